"""SIGKILL before and after everything that a launch does outside its own process, against a real daemon.

`python -m tests.support.failpoints FOLDER DOCKER PROMETHEUS IMAGE ACT ROUNDS` takes an act (`place`, `undo`, `remove`,
`reconcile`, `leaks`), counts its calls to the engine, the ledger's writes and the commands that make volumes, and then
has it killed before and after each of them, every time in a new process. After each death it reconciles, as if the
grace were over, and prints a JSON line: what was killed where, and what was left. The product knows nothing of this:
what it calls is wrapped here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, cast

import docker

from collector.errors import VdbmonError
from orchestrator.decision.gate import gate_reasons
from orchestrator.decision.resources import ResourceClass
from orchestrator.host.command import run_command
from orchestrator.host.volumes import LoopVolumes
from orchestrator.launch import LaunchFailedError
from orchestrator.ledger import LaunchState
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.reconcile import GRACE_SECONDS, SILENT_AFTER, Reconciliation, reconciler
from orchestrator.settings import FleetSettings, PoolSettings
from orchestrator.survey.gate import read_gate
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError
from tests.support.fleet import HOST, SMALL, fleet, source
from tests.support.place import Place, always_sampled
from tests.support.wait import wait_until

NAME = "b1"
BYSTANDER = "bystander"
"""Label `test` of what looks like ours and belongs to another ledger; `other` is in its name."""

ENGINE = ("probe", "create", "start", "inspect", "last_line", "remove", "managed")
LEDGER = ("allocate", "begin_step", "advance", "record", "prune", "take_over", "see")
ADDRESSES = ("take", "give_back")
NETWORKS = ("ensure", "found")
POOL = PoolSettings(name="backup", range=IPv4Network("10.77.0.0/22"), gateway=IPv4Address("10.77.0.1"))


Act = tuple[Callable[[], None], Callable[["Failpoint"], None], Callable[[], None]]
"""What comes before it, what is killed, what takes it back."""


class Failpoint:
    """Counts calls, and ends the process before or after the one that is asked for."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.calls: list[str] = []
        self._at = at
        self._after = after
        self._lock = threading.Lock()

    def call(self, name: str, act: Callable[[], Any]) -> Any:
        """Do it, if the process lives."""
        with self._lock:
            number = len(self.calls)
            self.calls.append(name)
        if number == self._at and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = act()
        if number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class Wrapped:
    """An object of which some methods pass a failpoint."""

    def __init__(self, inner: Any, prefix: str, names: Sequence[str], failpoint: Failpoint) -> None:
        self._inner, self._prefix, self._names, self._failpoint = inner, prefix, names, failpoint

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def passing(*arguments: Any, **options: Any) -> Any:
            return self._failpoint.call(f"{self._prefix}.{name}", lambda: found(*arguments, **options))

        return passing


@dataclass(frozen=True, slots=True)
class Trial:
    """Where everything is."""

    settings: FleetSettings
    folder: Path
    image: str

    @contextlib.contextmanager
    def scheduler(self, failpoint: Failpoint, *command: str, later: float = 0.0) -> Iterator[Scheduler]:
        """A scheduler whose calls pass the failpoint; its clock is `later` by so many seconds."""

        def run(command: Sequence[str]) -> str:
            return str(failpoint.call(f"command.{command[0]}", lambda: run_command(command)))

        with open_scheduler(self.settings, HOST) as opened:
            addresses: Any = Wrapped(opened.addresses, "address", ADDRESSES, failpoint)
            networks: Any = Wrapped(opened.networks, "network", NETWORKS, failpoint)
            engine: Any = Wrapped(opened.engines[HOST], "engine", ENGINE, failpoint)
            ledger: Any = Wrapped(opened.ledger, "ledger", LEDGER, failpoint)
            chosen = Place(opened, cast(docker.DockerClient, None), self.image).job(*(command or ("sleep", "600")))
            yield replace(
                chosen,
                engines={HOST: engine},
                ledger=ledger,
                volumes=LoopVolumes(self.settings.volumes.dir, run),
                addresses=addresses,
                networks=networks,
                sampled=always_sampled,
                clock=lambda: time.time() + later,
            )

    def undo(self, failpoint: Failpoint) -> None:
        """Launch one that ends at once, so that it is undone."""
        with contextlib.suppress(LaunchFailedError):
            self.place(failpoint, "false")

    def place(self, failpoint: Failpoint, *command: str) -> None:
        """Launch one."""
        with self.scheduler(failpoint, *command) as scheduler:
            place(scheduler)

    def remove(self, failpoint: Failpoint) -> None:
        """Take it back."""
        with self.scheduler(failpoint) as scheduler:
            remove(scheduler)

    def reconcile(self, failpoint: Failpoint, *, later: float = SILENT_AFTER + 1) -> None:
        """Mend."""
        with self.scheduler(failpoint, later=later) as scheduler:
            mend(scheduler)


def place(scheduler: Scheduler) -> None:
    request = scheduler.request(NAME, source="demo", job="backup", amounts=SMALL)
    request = replace(request, wishes=replace(request.wishes, pool=POOL.name))
    if scheduler.place(request, decided=lambda _: None).launched is None:
        raise SystemExit("the launch was refused")


def remove(scheduler: Scheduler) -> None:
    scheduler.remover().remove(NAME, with_volume=False, engine_lost=False)


def mend(scheduler: Scheduler, *, later: float = 0.0) -> None:
    """Reconcile as it would be done so many seconds from now."""
    then = replace(scheduler, clock=lambda: scheduler.clock() + later)
    # Containers of other tests hold a copy of each mount for as long as they begin: the next beat mends it.
    wait_until(lambda: well(reconciler(then).run()), deadline=60.0, what="all is reconciled", every=1.0)


def left(scheduler: Scheduler) -> dict[str, Any]:
    """What there is of ours, everywhere."""
    volumes = [item for item in scheduler.volumes.found() if item.labels.get("test") != BYSTANDER]
    folder = scheduler.fleet.volumes.dir
    files = folder.iterdir() if folder.is_dir() else ()
    return {
        "launches": [[record.name, record.state] for record in scheduler.ledger.launches()],
        "containers": [
            [item.state.name, item.state.status]
            for item in scheduler.engines[HOST].managed()
            if item.state.labels.get("test") != BYSTANDER
        ],
        "volumes": sorted(item.name for item in volumes),
        "loops": sorted(device for item in volumes for device in item.devices),
        "files": sorted(path.name for path in files if path.name != ".lock" and "other" not in path.name),
        "addresses": [item.request_id for item in scheduler.addresses.taken()] if scheduler.addresses else [],
        "allocated": sorted(scheduler.ledger.view().allocated),
    }


def gate_is_open(prometheus: str, host: str) -> bool:
    """Whether nothing speaks against the host."""
    try:
        reading = read_gate(PrometheusClient(prometheus, timeout=5.0))
    except PrometheusError:
        return False
    return not gate_reasons(reading, frozenset({host})).against(host)


def well(done: Reconciliation) -> bool:
    """Whether every host was visited and nothing failed there."""
    return not (done.unvisited or done.errors)


def trials(trial: Trial, act: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Count the act's calls, then kill it everywhere; what is done around it, one scheduler does."""
    with trial.scheduler(Failpoint()) as calm:
        yield from _trials(calm, _acts(trial, calm)[act], rounds)


def _trials(calm: Scheduler, act: Act, rounds: int) -> Iterator[dict[str, Any]]:
    prepare, run, clean = act
    prepare()
    counting = Failpoint()
    run(counting)
    clean()
    for at, name in enumerate(counting.calls):
        for after in (False, True):
            for number in range(rounds):
                prepare()
                died = _in_child(lambda at=at, after=after: run(Failpoint(at, after=after)))  # type: ignore[misc]
                mend(calm, later=SILENT_AFTER + 1)
                mend(calm, later=2 * SILENT_AFTER + GRACE_SECONDS)
                found = left(calm)
                clean()
                yield {
                    "call": name,
                    "point": f"{'after' if after else 'before'} {name} ({at}), round {number}",
                    "died": died,
                    "left": found,
                    "cleaned": left(calm),
                }


def _acts(trial: Trial, calm: Scheduler) -> dict[str, Act]:
    def nothing() -> None:
        return

    def clean() -> None:
        with contextlib.suppress(VdbmonError):
            remove(calm)

    @cache
    def start() -> int:
        counting = Failpoint()
        trial.place(counting)
        clean()
        return counting.calls.index("engine.start")

    def half_done() -> None:
        """Killed when the container is there, and not started."""
        at = start()
        _in_child(lambda: trial.place(Failpoint(at)))

    def leaking() -> None:
        """All of a launch is there, and its row says that it is removed."""
        place(calm)
        (record,) = calm.ledger.launches()
        everything = frozenset(ResourceClass)
        calm.ledger.advance(record.request_id, LaunchState.REMOVED, at=time.time(), release=everything, volume=None)
        mend(calm)

    return {
        "place": (nothing, trial.place, clean),
        "undo": (nothing, trial.undo, clean),
        "leaks": (leaking, partial(trial.reconcile, later=GRACE_SECONDS + 1), clean),
        "remove": (lambda: place(calm), trial.remove, clean),
        "reconcile": (half_done, trial.reconcile, clean),
    }


def _in_child(act: Callable[[], None]) -> bool:
    """Run it in a process of its own; whether that was killed."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(arguments: Sequence[str]) -> None:
    """See the module's text."""
    folder, docker, prometheus, image, act, rounds = arguments
    root = Path(folder)
    with source(root / "source") as demo:
        settings = fleet(root, docker=docker, prometheus_url=prometheus, demo=demo)
        host = replace(settings.hosts[0], pools=(POOL.name,))
        trial = Trial(replace(settings, hosts=(host,), pools=(POOL,)), root, image)
        for line in trials(trial, act, int(rounds)):
            sys.stdout.write(f"{json.dumps(line)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
