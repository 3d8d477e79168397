"""Schedulers under load: real processes, the real ledger, decide and allocate.

No engine and no Prometheus is asked: they would take most of the time, and what is to be seen is what processes do to
each other in the ledger.

    python -m tests.support.ledger_load place URL REQUESTS      waits for a line on stdin; prints a JSON result
    python -m tests.support.ledger_load kill URL ROUNDS SEED    prints the ids of launches that were acknowledged
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from orchestrator.decision.decide import Decision, decide
from orchestrator.decision.documents import decision_document
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, InventoryRow, ResourceClass
from orchestrator.decision.snapshot import EngineState, GateGroup, GateReading, HostState, Snapshot, Telemetry
from orchestrator.ledger import ConcurrentUpdateError, Generations, LaunchRecord, LaunchState, Ledger, open_ledger
from orchestrator.placement.allocation import decide_and_take
from orchestrator.settings import Reach, SourceSettings
from orchestrator.survey.fleet import with_ledger

HOSTS = 20
SLOTS = 9
GIB = 2**30
AMOUNTS: Amounts = MappingProxyType(
    {ResourceClass.SLOTS: 1, ResourceClass.CPU: 500, ResourceClass.MEMORY: 2 * GIB, ResourceClass.DISK: 10 * GIB}
)
INVENTORY = MappingProxyType(
    {
        ResourceClass.SLOTS: InventoryRow(SLOTS),
        ResourceClass.CPU: InventoryRow(16_000),
        ResourceClass.MEMORY: InventoryRow(64 * GIB),
        ResourceClass.DISK: InventoryRow(1000 * GIB),
    }
)
CHURNING = 3
STALLED_SECONDS = 60.0
_NOW = 1_000_000.0
_IDLE = Telemetry(up=True, age=1.0, used=MappingProxyType({key: 0 for key in ResourceClass if key.measured}))
_OPEN_GATE = GateReading(
    now=_NOW,
    started_at=_NOW - 86400,
    groups=(GateGroup(name="gate", evaluated_at=_NOW - 1, interval=5.0),),
    gate_rules=1,
    watchdog_firing=True,
    alerts=(),
)


def host_name(number: int) -> str:
    """Of one of them."""
    return f"db{number:02}"


def request(source: str) -> Request:
    """A request that any host may take, so that all schedulers want the same one: the best."""
    settings = SourceSettings(
        name=source, reach=Reach.STREAM, address="tcp://db.example:3306", credentials_file=Path("/c")
    )
    request_id = uuid.uuid4().hex
    return Request(name=f"b-{request_id}", request_id=request_id, source=settings, job="backup", amounts=dict(AMOUNTS))


def well_fleet() -> Snapshot:
    """All hosts, idle, with an open gate; nothing of any ledger."""
    hosts = (
        HostState(
            name=host_name(number),
            inventory=INVENTORY,
            engine=EngineState(fingerprint="e"),
            telemetry=_IDLE,
            reaches=frozenset(Reach),
        )
        for number in range(HOSTS)
    )
    return Snapshot(taken_at=_NOW, hosts=tuple(hosts), gate=_OPEN_GATE)


@dataclass
class Scheduler:
    """Places requests on a fleet whose every host is well."""

    ledger: Ledger
    attempts: int = 0
    placed: list[str] = field(default_factory=list)
    refused: int = 0

    def place(self, wanted: Request) -> None:
        """Decide and allocate, as `vdbmon place` does."""
        snapshot = with_ledger(well_fleet(), self.ledger.view())

        def take(snapshot: Snapshot, decision: Decision, host: HostState) -> str:
            self.attempts += 1
            self._allocate(wanted, snapshot, decision, host)
            return wanted.request_id

        _, taken = decide_and_take(
            snapshot, decide=lambda current: decide(current, wanted), view=self.ledger.view, take=take
        )
        if taken is None:
            self.refused += 1
        else:
            self.placed.append(taken)

    def take_back(self, request_id: str) -> None:
        """Release all that a launch holds; others may do the same at the same time."""
        self.ledger.advance(request_id, LaunchState.REMOVED, at=time.time(), release=frozenset(ResourceClass))

    def _allocate(self, wanted: Request, snapshot: Snapshot, decision: Decision, host: HostState) -> None:
        now = time.time()
        record = LaunchRecord(
            request_id=wanted.request_id,
            name=wanted.name,
            host=host.name,
            source=wanted.source.name,
            job=wanted.job,
            state=LaunchState.INTENT,
            spec={},
            spec_hash="",
            created_at=now,
            updated_at=now,
        )
        self.ledger.allocate(
            record,
            wanted.amounts,
            inventory=host.inventory,
            expected=Generations(host=host.generation, source=snapshot.source_generations.get(wanted.source.name, 0)),
            max_readers=None,
            fingerprint="e",
            decision=decision_document(decision),
        )


def place(url: str, requests: int) -> None:
    """Place as fast as it goes."""
    scheduler = Scheduler(open_ledger(url))
    scheduler.ledger.view()
    _say("ready")
    sys.stdin.readline()
    started, lost = time.monotonic(), 0
    for _ in range(requests):
        try:
            scheduler.place(request(f"source-{os.getpid()}"))
        except ConcurrentUpdateError:
            lost += 1
    result = {
        "placed": scheduler.placed,
        "refused": scheduler.refused,
        "lost": lost,
        "attempts": scheduler.attempts,
        "seconds": time.monotonic() - started,
    }
    _say(json.dumps(result))


def churn(url: str, progress: int, seed: int) -> None:
    """Place and take back without an end; writes the id of a launch when the ledger has acknowledged it."""
    chance = random.Random(seed)  # noqa: S311 - a load, no secret
    scheduler = Scheduler(open_ledger(url))
    while True:
        with contextlib.suppress(ConcurrentUpdateError):
            scheduler.place(request(f"source-{chance.randrange(3)}"))
        while scheduler.placed:
            os.write(progress, f"{scheduler.placed.pop()}\n".encode())
        live = scheduler.ledger.launches()
        if len(live) > HOSTS * SLOTS // 2:
            scheduler.take_back(chance.choice(live).request_id)


def kill(url: str, rounds: int, seed: int) -> None:
    """Kill one of several churning processes in the middle of its work, again and again."""
    chance, pause = random.Random(seed), threading.Event()  # noqa: S311 - a load, no secret
    seen, progress = os.pipe()
    children = [_fork(url, progress, seed + number) for number in range(CHURNING)]
    acknowledged = b""
    try:
        for number in range(rounds):
            for _ in range(chance.randrange(1, 4)):
                if not select.select([seen], [], [], STALLED_SECONDS)[0]:
                    raise SystemExit(f"round {number}: nobody gets on; a killed process holds the ledger")
                acknowledged += os.read(seen, 1 << 16)
            pause.wait(chance.uniform(0.0, 0.02))
            victim = children.pop(chance.randrange(CHURNING))
            _kill(victim)
            children.append(_fork(url, progress, seed + CHURNING + number))
    finally:
        for child in children:
            _kill(child)
    os.close(progress)
    while chunk := os.read(seen, 1 << 16):
        acknowledged += chunk
    _say(acknowledged.decode())


def _fork(url: str, progress: int, seed: int) -> int:
    """A child that has all libraries loaded already; it opens the ledger itself."""
    child = os.fork()
    if child == 0:
        try:
            churn(url, progress, seed)
        finally:
            os._exit(1)
    return child


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"process {child} ended by itself with status {status}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["place", url, requests]:
            place(url, int(requests))
        case ["kill", url, rounds, seed]:
            kill(url, int(rounds), int(seed))
        case _:
            raise SystemExit(__doc__)
