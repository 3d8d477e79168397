"""`make bench-backup`: what a container costs a backup, whether limits hold, and what the source feels.

MB (2048) of rows, PAIRS (10) of runs in a container and on the host by turns, on the same kind of volume, with the
source's files out of the page cache. The table is printed, the figures are in build/bench-backup.json. Ratios compare
runs of one session; absolute figures are this machine's.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.types import Mount
from rich.console import Console
from rich.table import Table

from orchestrator.backup.runner.record import Record
from orchestrator.engines.images import ensure_backup_image
from orchestrator.host.volumes import LoopVolumes, SizedVolume
from tests.support.dockerd import own_dockerd_online
from tests.support.mariadb import MariaDB, fill, make_data_dir, run_job, running, source

MIB = 1 << 20
SIZE_MB = int(os.environ.get("MB", "2048"))
PAIRS = int(os.environ.get("PAIRS", "10"))
LIMIT = 40_000_000
JOBS = 5
THROTTLE = 40  # far above the rate of the log: mariadb-backup never catches up with a source that writes faster
WINDOW_SECONDS = 10.0
TICK_SECONDS = 0.5
RESULTS = Path("build/bench-backup.json")
CONTEXT = Path(__file__).parents[2] / "deploy" / "images" / "backup"
# One-sided, 95 %, by degrees of freedom; William Gosset's table.
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753)

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """A source on this host, as many smaller ones as there are jobs at once, an engine with the image, volumes."""

    server: MariaDB
    others: tuple[MariaDB, ...]
    client: docker.DockerClient
    image: str
    volumes: LoopVolumes

    @contextlib.contextmanager
    def volume(self, name: str) -> Iterator[SizedVolume]:
        """A volume that is large enough for one backup."""
        made = self.volumes.create(name, SIZE_MB * MIB + 512 * MIB)
        try:
            yield made
        finally:
            self.volumes.remove(name)

    @contextlib.contextmanager
    def job(
        self, volume: SizedVolume, *more: str, write_bps: int | None = None, server: MariaDB | None = None
    ) -> Iterator[Container]:
        """A backup in a container, as the scheduler launches it, with no more limits than given."""
        server = server or self.server
        folders = (server.data, server.socket.parent, server.credentials)
        mounts = [Mount(str(path), str(path), "bind", read_only=True) for path in folders]
        limits: list[Any] = [{"Path": str(volume.device.path), "Rate": write_bps}] if write_bps else []
        command = ["python3", "-m", "runner", "backup", *arguments(server, Path("/backup")), *more]
        container = self.client.containers.run(
            self.image,
            command,
            detach=True,
            init=True,
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": "size=64m"},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            cap_add=["DAC_READ_SEARCH"],
            device_write_bps=limits,
            mounts=[*mounts, Mount("/backup", str(volume.mountpoint), "bind")],
        )
        try:
            yield container
        finally:
            container.remove(force=True)


def main() -> None:
    """Measure, print, store."""
    figures: dict[str, Figures] = {}
    with bench() as made:
        for name, measure in (
            ("container against host", container_and_host),
            (f"write limit of {LIMIT // 10**6} MB/s", write_limit),
            (f"{JOBS} jobs at once", jobs_at_once),
            ("effect on the source", effect_on_source),
        ):
            figures[name] = measure(made)
            Console().print(name, figures[name])
    table = Table("measurement", "figure", "value")
    for name, found in figures.items():
        for figure, value in found.items():
            table.add_row(name, figure, f"{value:.4g}")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"mb": SIZE_MB, "pairs": PAIRS, **figures}, indent=2) + "\n")


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """All that the measurements need, in a temporary folder."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vdbmon-bench-", dir="/var/tmp")))
        make_data_dir(folder / "empty")
        names = ["source", *(f"source{number}" for number in range(JOBS))]
        for name, rows in zip(names, [SIZE_MB * 900, *[SIZE_MB * 450] * JOBS], strict=True):
            (folder / name).mkdir()
            with source(folder / name, folder / "empty", "--skip-log-bin") as server:
                fill(server, rows)
        daemon = stack.enter_context(own_dockerd_online())
        client = stack.enter_context(contextlib.closing(daemon.client(timeout=600)))
        image = ensure_backup_image(client, CONTEXT, print)
        # A log that is flushed once a second would hold up a backup's end, and with it commits, for up to a second.
        options = ("--log-bin=binlog", "--server-id=1", "--innodb-flush-log-at-trx-commit=1")
        server, *others = (stack.enter_context(running(folder / name, *options)) for name in names)
        yield Bench(server, tuple(others), client, image, LoopVolumes(folder / "volumes"))


def arguments(server: MariaDB, target: Path) -> list[str]:
    """The same for a container and for the host: no table sums, which would read everything a second time."""
    where = ["--source=bench", "--backup-id=b1", f"--target={target}"]
    return [*where, *server.reach(), "--tables=none"]


def container_and_host(made: Bench) -> Figures:
    """Pairs of runs by turns; above 1 the container is the faster one."""
    logs, seconds, cpu_host = [], [], []
    for pair in range(PAIRS):
        order = (in_container, on_host) if pair % 2 else (on_host, in_container)
        found = {run: run(made) for run in order}
        logs.append(math.log(found[on_host][0].seconds / found[in_container][0].seconds))
        seconds.append(found[in_container][0].seconds)
        cpu_host.append(found[on_host][1])
    raw_gb = found[on_host][0].bytes_raw / 1e9
    return {
        "raw GB": raw_gb,
        "container s (median)": statistics.median(seconds),
        "host time / container time": math.exp(statistics.mean(logs)),
        "its lower 95 % bound": math.exp(lower_bound(logs)),
        "lowest pair": math.exp(min(logs)),
        "highest pair": math.exp(max(logs)),
        "CPU s per raw GB": statistics.median(cpu_host) / raw_gb,
    }


def lower_bound(values: Sequence[float]) -> float:
    """Of the mean, one-sided, 95 %."""
    if len(values) - 1 not in range(1, len(STUDENT) + 1):
        raise SystemExit(f"PAIRS must be 2 to {len(STUDENT) + 1}")
    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - STUDENT[len(values) - 2] * error


def on_host(made: Bench) -> tuple[Record, float]:
    """One backup on the host; its record and CPU seconds."""
    with made.volume("host") as volume:
        forget(made.server.data)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = run_job("backup", *arguments(made.server, volume.mountpoint), deadline=3600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    check(record)
    return record, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_container(made: Bench) -> tuple[Record, float]:
    """One backup in a container; its record."""
    with made.volume("container") as volume:
        forget(made.server.data)
        with made.job(volume) as container:
            return outcome(container), 0.0


def write_limit(made: Bench) -> Figures:
    """The rate on the volume's device, by the kernel's own count."""
    with made.volume("limited") as volume, made.job(volume, write_bps=LIMIT) as container:
        samples = watch(container, volume)
        outcome(container)
    return rates(samples, LIMIT)


def jobs_at_once(made: Bench) -> Figures:
    """Each of a source of its own, for a server lets one backup begin at a time; on its own volume, with its share."""
    share = LIMIT // JOBS
    with contextlib.ExitStack() as stack:
        volumes = [stack.enter_context(made.volume(f"job{number}")) for number in range(JOBS)]
        containers = [
            stack.enter_context(made.job(volume, write_bps=share, server=server))
            for volume, server in zip(volumes, made.others, strict=True)
        ]
        with ThreadPoolExecutor(JOBS) as pool:
            samples = list(pool.map(watch, containers, volumes))
        for container in containers:
            outcome(container)
    found = [rates(one, share) for one in samples]
    return {
        "slowest mean / limit": min(one["mean / limit"] for one in found),
        "fastest mean / limit": max(one["mean / limit"] for one in found),
        "most over 10 s / limit": max(one["most over 10 s / limit"] for one in found),
    }


def effect_on_source(made: Bench) -> Figures:
    """Commits per second: alone, beside a backup, beside one with a throttle."""
    with busy(made.server):
        alone = commits_while(made.server, lambda: threading.Event().wait(15.0))
        figures = {"commits/s alone": alone}
        for name, more in (("with a backup", ()), (f"with --throttle={THROTTLE}", (f"--throttle={THROTTLE}",))):
            with made.volume("effect") as volume:
                forget(made.server.data)
                with made.job(volume, *more) as container:
                    rate = commits_while(made.server, lambda job=container: job.wait(timeout=3600))
                    record = outcome(container)
            figures |= {f"{name} / alone": rate / alone, f"{name}: backup s": record.seconds}
            figures[f"{name}: commits held up s"] = record.lock_seconds or 0.0
    return figures


@contextlib.contextmanager
def busy(server: MariaDB) -> Iterator[None]:
    """Transactions as fast as one session makes them."""
    block = (
        "BEGIN NOT ATOMIC DECLARE one INT; REPEAT SET one = 1 + FLOOR(RAND() * 100000); START TRANSACTION;"
        " UPDATE shop.orders SET state = state + 1 WHERE id = one;"
        " UPDATE shop.items SET name = UUID() WHERE id = 1 + one MOD 900; COMMIT;"
        " UNTIL (SELECT stop FROM shop.control) END REPEAT; END"
    )
    server.sql("UPDATE shop.control SET stop = 0")
    command = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root", "--delimiter=//", "-e", block]
    with subprocess.Popen(command) as client:
        try:
            yield
        finally:
            server.sql("UPDATE shop.control SET stop = 1")
            client.wait(60)


def commits_while(server: MariaDB, work: Any) -> float:
    """Commits per second as long as `work` takes."""

    def count() -> int:
        return int(server.sql("SHOW GLOBAL STATUS LIKE 'Com_commit'").split()[1])

    before, start = count(), time.monotonic()
    work()
    return (count() - before) / (time.monotonic() - start)


def forget(folder: Path) -> None:
    """Have the page cache forget a folder's files, as far as they are written."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def watch(container: Container, volume: SizedVolume) -> list[tuple[float, int]]:
    """Times and bytes written to the volume's device (Documentation/block/stat.rst), until the container ends."""
    stat = Path("/sys/block", volume.device.path.name, "stat")
    samples = []
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(container.wait, timeout=3600)
        while not end.done():
            samples.append((time.monotonic(), int(stat.read_text().split()[6]) * 512))
            threading.Event().wait(TICK_SECONDS)
    return samples


def rates(samples: Sequence[tuple[float, int]], limit: int) -> Figures:
    """The mean from the first MiB to the last, and the most over ten seconds, as parts of the limit."""
    first, last = samples[0][1] + MIB, samples[-1][1] - MIB
    growing = [sample for sample in samples if first <= sample[1] <= last]
    (start, low), (end, high) = growing[0], growing[-1]
    windows = [
        (later[1] - sample[1]) / (later[0] - sample[0])
        for sample in growing
        for later in growing
        if WINDOW_SECONDS <= later[0] - sample[0] < WINDOW_SECONDS + 2 * TICK_SECONDS
    ]
    mean = (high - low) / (end - start)
    return {"mean / limit": mean / limit, "most over 10 s / limit": max(windows, default=mean) / limit}


def outcome(container: Container) -> Record:
    """The record of a container that must end well."""
    container.wait(timeout=3600)
    record = Record.from_json(container.logs(stdout=True, stderr=False).decode().splitlines()[-1])
    check(record)
    return record


def check(record: Record) -> None:
    """A failed backup ends the benchmark."""
    if record.reason is not None:
        raise SystemExit(f"a backup failed: {record.reason}")


if __name__ == "__main__":
    main()
