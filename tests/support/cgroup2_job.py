"""The guest's job: containers' cgroups as Docker makes them, under load, read by the collector and beside it.

Needs the standard library, `collector`, `orchestrator.host.limit_files` and `tests.support.wait`. What it saw goes to
$OUT/report.json: per gathering the collector's samples between two readings of the very same files.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import ContainerIndex, read_metadata
from collector.inputs.cgroup import CgroupInput
from collector.inputs.containers import ContainersInput
from collector.inputs.network import NetworkInput
from collector.inputs.process import ProcessInput
from collector.kernelfile import SkippedLines
from collector.metrics import Sample
from collector.oom import OomKills
from orchestrator.host.limit_files import read_more_limits
from tests.support.wait import wait_until

CGROUPS = Path("/sys/fs/cgroup")
PROCFS = Path("/proc")
DOCKER_ROOT = Path("/run/docker-root")
SCRATCH = os.environ["SCRATCH"]
PATIENCE = 30.0
APART = 2.0  # seconds between the two gatherings under load

MIB = 2**20
FILLED, FILLED_LIMIT = 16 * MIB, 24 * MIB
CHURNED = 5
READ_BESIDE = ("cpu.", "io.", "memory.", "pids.")
WRITE_ONLY = {"memory.reclaim"}


class Input(Protocol):
    """What all inputs have in common."""

    name: str

    def gather(self) -> list[Sample]:
        """All samples."""


@dataclass(frozen=True, slots=True)
class Box:
    """A container's cgroup; `path` is relative to the root of the hierarchy."""

    name: str
    id: str
    path: str

    @property
    def folder(self) -> Path:
        return CGROUPS / self.path

    def pids(self) -> list[int]:
        files = [self.folder / "cgroup.procs", *self.folder.rglob("*/cgroup.procs")]
        return [int(line) for file in files for line in file.read_text().split()]


def container_id(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def make(name: str, pattern: str, limits: dict[str, str] | None = None, network_mode: str = "host") -> Box:
    """A cgroup and what Docker writes of its container; `pattern` holds the place of the id."""
    box = Box(name, container_id(name), pattern.format(container_id(name)))
    box.folder.mkdir(parents=True)
    for file, value in (limits or {}).items():
        (box.folder / file).write_text(value)
    folder = DOCKER_ROOT / "containers" / box.id
    folder.mkdir(parents=True, exist_ok=True)
    state = {"Pid": 0, "StartedAt": "2026-01-01T00:00:00.5Z"}
    config: dict[str, Any] = {"Name": f"/{name}", "Config": {"Image": "image:1", "Labels": {}}, "State": state}
    (folder / "config.v2.json").write_text(json.dumps(config))
    (folder / "hostconfig.json").write_text(json.dumps({"NetworkMode": network_mode}))
    return box


def start(folder: Path, *command: str) -> int:
    """Run a command that joins the cgroup before anything else; its pid."""
    join = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
    pid = subprocess.Popen(["sh", "-c", join, str(folder), *command]).pid
    wait_until(lambda: str(pid) in (folder / "cgroup.procs").read_text().split(), deadline=PATIENCE, what="it joins")
    return pid


def fill(folder: Path, size: int) -> int:
    """A process that joins the cgroup, writes to `size` bytes of memory of its own, and waits; its pid."""
    pid = os.fork()
    if pid == 0:
        (folder / "cgroup.procs").write_text("0")
        memory = bytearray(size)
        while True:
            signal.pause()
            memory[0] = 1
    return pid


def end(box: Box) -> None:
    """Kill what runs in it and remove it, as runc does."""
    (box.folder / "cgroup.kill").write_text("1")
    events = box.folder / "cgroup.events"
    wait_until(lambda: "populated 0" in events.read_text(), deadline=PATIENCE, what="all its processes end")
    for folder in sorted((path for path in box.folder.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    box.folder.rmdir()


def number(box: Box, file: str, key: str) -> int:
    """The number after `key` in a file of the cgroup, summed over devices; 0 where it isn't there yet."""
    words = (box.folder / file).read_text().replace("=", " ").split()
    return sum(int(value) for word, value in itertools.pairwise(words) if word == key)


class Agent:
    """The container inputs as the agent puts them together, and the same files read beside them."""

    def __init__(self) -> None:
        names = ("cgroup", "network", "process")
        self.skipped = {name: SkippedLines() for name in names}
        hierarchy = detect_hierarchy((PROCFS / "self/mounts").read_text(), CGROUPS)
        self.index = index = ContainerIndex(hierarchy, functools.partial(read_metadata, DOCKER_ROOT))
        self.containers = ContainersInput(index)
        self.cgroup = CgroupInput(index, BlockDevices(PROCFS), OomKills(), self.skipped["cgroup"], time.time)
        self.network = NetworkInput(index, PROCFS, self.skipped["network"])
        self.process = ProcessInput(index, PROCFS, (), self.skipped["process"])

    def gather(self, beside: Iterable[Box] = (), *, refresh: bool = True) -> dict[str, Any]:
        """All samples, between two readings of the files of `beside`; without `refresh` of what ran before."""
        inputs: list[Input] = [self.containers] if refresh else []
        inputs += [self.cgroup, self.network, self.process]
        before, started = look(beside), time.monotonic()
        seconds, samples = {}, []
        for source in inputs:
            begun = time.perf_counter()
            samples += [(sample.metric.name, sample.labels, sample.value) for sample in source.gather()]
            seconds[source.name] = time.perf_counter() - begun
        return {
            "before": before,
            "samples": [(name, *labelled(labels), value) for name, labels, value in samples],
            "after": look(beside),
            "started": started,
            "seconds": seconds,
            "skipped": {name: lines.count for name, lines in self.skipped.items()},
            "descriptors": descriptors(),
        }

    def close(self) -> None:
        """Give all descriptors back."""
        for part in (self.cgroup, self.process, self.index):
            part.close()


def labelled(labels: tuple[str, ...]) -> tuple[str, list[str]]:
    """The container's name, empty where there is none, and the labels after its name and image."""
    return (labels[0] if labels else "", list(labels[2:]))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def look(boxes: Iterable[Box]) -> dict[str, dict[str, str]]:
    """The text of all files by container: the cgroup's, and `PID/stat`, `PID/io`, `net/dev` of its processes."""
    return {box.name: {**cgroup_files(box), **process_files(box)} for box in boxes}


def cgroup_files(box: Box) -> dict[str, str]:
    texts = {}
    for file in box.folder.iterdir():
        if file.name.startswith(READ_BESIDE) and file.name not in WRITE_ONLY:
            with contextlib.suppress(OSError):
                texts[file.name] = file.read_text()
    return texts


def process_files(box: Box) -> dict[str, str]:
    texts = {}
    pids = box.pids()
    names = [f"{pid}/{name}" for pid in pids for name in ("stat", "io")]
    for name in [*names, *(f"{pid}/net/dev" for pid in pids[:1])]:
        with contextlib.suppress(OSError):
            texts[name.partition("/")[2] if name.endswith("net/dev") else name] = (PROCFS / name).read_text()
    return texts


def delegate(folder: str, controllers: str) -> None:
    (CGROUPS / folder).mkdir(exist_ok=True)
    (CGROUPS / folder / "cgroup.subtree_control").write_text(controllers)


def make_boxes() -> list[Box]:
    """Containers under both of Docker's drivers, two of them beneath a parent that lacks controllers."""
    device = Path(SCRATCH).stat().st_rdev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    delegate("", "+cpu +cpuset +io +memory +pids")
    delegate("docker", "+cpu +io +memory +pids")
    delegate("system.slice", "+cpu +cpuset +io +memory +pids")
    delegate("noio.slice", "+cpu +memory +pids")
    delegate("bare.slice", "")
    scope = "system.slice/docker-{}.scope"
    return [
        make("web", "docker/{}", {"cpu.max": "20000 100000", "pids.max": "64"}, network_mode="bridge"),
        make(
            "writer",
            scope,
            {
                "io.max": f"{numbers} rbps={2 * MIB} wbps={MIB} riops=700 wiops=300",
                "cpuset.cpus": "1",
                "memory.swap.max": "0",
            },
        ),
        make("filled", "docker/{}", {"memory.max": str(FILLED_LIMIT)}),
        make("hungry", scope, {"memory.max": str(8 * MIB)}),
        make("noio", "noio.slice/docker-{}.scope", {"cpu.weight": "50"}, f"container:{container_id('web')}"),
        make("bare", "bare.slice/docker-{}.scope"),
    ]


def load(boxes: dict[str, Box]) -> None:
    """Start what each container does, and wait until the kernel shows it."""
    web = start(boxes["web"].folder, "unshare", "--net", "sh", "-c", "while :; do :; done")
    inner = boxes["web"].folder / "docker" / container_id("inner")
    inner.mkdir(parents=True)
    start(inner, "sleep", "600")
    writing = f"while :; do dd if=/dev/zero of={SCRATCH} bs=64k oflag=direct conv=notrunc 2>/dev/null; done"
    start(boxes["writer"].folder, "sh", "-c", writing)
    fill(boxes["filled"].folder, FILLED)
    for name in ("hungry", "bare"):
        start(boxes[name].folder, "sleep", "600")
    _, status = os.waitpid(fill(boxes["hungry"].folder, 16 * MIB), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    connect(web)
    start(boxes["noio"].folder, "nsenter", f"--net=/proc/{web}/ns/net", "sleep", "600")
    shown = (
        ("web", "cpu.stat", "nr_throttled", 3),
        ("writer", "io.stat", "wbytes", MIB),
        ("filled", "memory.stat", "anon", FILLED),
    )
    wait_until(
        lambda: all(number(boxes[name], file, key) >= least for name, file, key, least in shown),
        deadline=PATIENCE,
        what="all loads show",
    )


def connect(pid: int) -> None:
    """A veth pair into the namespace of `pid`, and datagrams that arrive there."""
    own = Path("/proc/self/ns/net").readlink()
    wait_until(lambda: Path(f"/proc/{pid}/ns/net").readlink() != own, deadline=PATIENCE, what="its own namespace")
    ours = f"link add veth0 type veth peer name eth0 netns {pid}\naddr add 10.0.0.1/24 dev veth0\nlink set veth0 up\n"
    theirs = "addr add 10.0.0.2/24 dev eth0\nlink set eth0 up\n"
    batch = ["ip", "-batch", "-"]
    subprocess.run(batch, input=ours, text=True, check=True)
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", *batch], input=theirs, text=True, check=True)
    received = Path(f"/proc/{pid}/net/dev")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def arrived() -> bool:
            sender.sendto(bytes(1000), ("10.0.0.2", 9))
            line = next(line for line in received.read_text().splitlines() if "eth0:" in line)
            return int(line.split()[2]) > 20

        wait_until(arrived, deadline=PATIENCE, what="datagrams arrive")


def under_load(agent: Agent, boxes: list[Box]) -> list[dict[str, Any]]:
    first = agent.gather(boxes)
    web = boxes[0]
    throttled = number(web, "cpu.stat", "nr_throttled")
    later = time.monotonic() + APART
    wait_until(
        lambda: time.monotonic() >= later and number(web, "cpu.stat", "nr_throttled") > throttled,
        deadline=PATIENCE,
        what="the next throttled period",
    )
    return [first, agent.gather(boxes)]


def remove_while_open(agent: Agent) -> dict[str, Any]:
    """A container that ends between the look at the tree and the reading, and starts again under the same path."""

    def begin() -> Box:
        made = make("shortlived", "docker/{}")
        start(made.folder, "sleep", "600")
        return made

    mortal = begin()
    alive = agent.gather()
    end(mortal)
    removed = agent.gather(refresh=False)
    again = begin()
    anew = agent.gather()
    end(again)
    return {"alive": alive, "removed": removed, "anew": anew, "ended": agent.gather()}


def switch_controller(agent: Agent) -> dict[str, Any]:
    """The parent gets all controllers, loses memory and gets it back, while files of the container are open."""
    box = make("switched", "switched.slice/docker-{}.scope")
    start(box.folder, "sleep", "600")
    seen = {}
    for step in ("absent", "given", "taken", "given again"):
        if step != "absent":
            delegate("switched.slice", "-memory" if step == "taken" else "+cpu +io +memory +pids")
        seen[step] = agent.gather()
    end(box)
    return seen


def limits(box: Box) -> dict[str, Any]:
    """What a launch reads back of a container, besides what the agent reads."""
    hierarchy = detect_hierarchy(Path("/proc/mounts").read_text(), CGROUPS)
    found = read_more_limits(hierarchy, f"/{box.path}", cpuset=None)
    return {
        "processors": None if found.processors is None else sorted(found.processors),
        "swap": found.swap,
    }


def churn(agent: Agent) -> list[int]:
    """Open descriptors before containers come, while they run, and after they went."""
    counts = [agent.gather()["descriptors"]]
    born = [make(f"guest-{number}", "docker/{}") for number in range(CHURNED)]
    for box in born:
        start(box.folder, "sleep", "600")
    counts.append(agent.gather()["descriptors"])
    for box in born:
        end(box)
    counts.append(agent.gather()["descriptors"])
    return counts


def main() -> None:
    boxes = make_boxes()
    load({box.name: box for box in boxes})
    at_start = descriptors()
    agent = Agent()
    steps: dict[str, Callable[[Agent], Any]] = {
        "under_load": functools.partial(under_load, boxes=boxes),
        "removed": remove_while_open,
        "switched": switch_controller,
        "churn": churn,
    }
    report: dict[str, Any] = {"boxes": [asdict(box) for box in boxes], "seconds": {"load": time.monotonic()}}
    report["limits"] = {box.name: limits(box) for box in boxes if box.name in {"writer", "bare"}}
    for name, step in steps.items():
        begun = time.monotonic()
        report[name] = step(agent)
        report["seconds"][name] = time.monotonic() - begun
    agent.close()
    report["descriptors"] = [at_start, descriptors()]
    (Path(os.environ["OUT"]) / "report.json").write_text(json.dumps(report))


main()
