"""A fleet in memory: hosts, a ledger with generations, engines that can be lost, a monitoring that lags behind.

Decisions are the scheduler's own. What surrounds them is modelled: a scheduler looks, decides, and later takes what it
decided, if the host's generation is still the one it saw; it may die after any step.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count

from orchestrator.decision import Decision, decide
from orchestrator.planning import plan_batch
from orchestrator.resources import Amounts, InventoryRow, InventoryRows, ResourceClass
from orchestrator.scoring import Strategy
from orchestrator.settings import SourceSettings
from orchestrator.snapshot import (
    Cordon,
    EngineState,
    GateAlert,
    HostState,
    PlacedJob,
    Request,
    Snapshot,
    Telemetry,
    Unknown,
)
from tests.support.placing import EVERY_REACH, NOW, OPEN_GATE, REMOTE, request, snapshot

CLASSES = (ResourceClass.SLOTS, ResourceClass.CPU, ResourceClass.MEMORY, ResourceClass.DISK)
SIZES: tuple[Amounts, ...] = (
    {ResourceClass.SLOTS: 1, ResourceClass.CPU: 1000, ResourceClass.MEMORY: 10, ResourceClass.DISK: 10},
    {ResourceClass.SLOTS: 1, ResourceClass.CPU: 3000, ResourceClass.MEMORY: 40, ResourceClass.DISK: 5},
    {ResourceClass.SLOTS: 1, ResourceClass.CPU: 500, ResourceClass.MEMORY: 60, ResourceClass.DISK: 60},
)
ROWS: dict[str, InventoryRows] = {
    f"db{number}": {
        ResourceClass.SLOTS: InventoryRow(2 + number),
        ResourceClass.CPU: InventoryRow(4000, 500, 1.0 + number / 2),
        ResourceClass.MEMORY: InventoryRow(100, 10),
        ResourceClass.DISK: InventoryRow(80),
    }
    for number in range(3)
}


class Stage(Enum):
    """How far a launch got."""

    INTENT = "intent"
    RUNNING = "running"
    ENDED = "ended"


@dataclass
class Launch:
    """A row of the ledger."""

    host: str
    job: PlacedJob
    holds: Amounts
    stage: Stage = Stage.INTENT


@dataclass
class Host:
    """A machine: what runs there, and what the monitoring last saw of it."""

    name: str
    rows: InventoryRows
    generation: int = 0
    lost: bool = False
    alerting: bool = False
    cordoned: bool = False
    running: dict[str, Amounts] = field(default_factory=dict)
    seen: dict[str, Amounts] = field(default_factory=dict)


class FleetModel:
    """The fleet, and what schedulers do to it."""

    def __init__(self) -> None:
        self.hosts = {name: Host(name, rows) for name, rows in ROWS.items()}
        self.ledger: dict[str, Launch] = {}
        self.frozen = False
        self.decisions: list[tuple[Snapshot, Decision]] = []
        self._looked: list[tuple[Request, str, int]] = []
        self._numbers = count()

    def look(self, size: int, strategy: Strategy, readers: int | None) -> None:
        """A scheduler decides; it has not taken anything yet."""
        wanted = self._wanted(size, readers)
        state = self.snapshot()
        decision = decide(state, wanted, strategy)
        self.decisions.append((state, decision))
        if decision.host is not None:
            self._looked.append((wanted, decision.host, self.hosts[decision.host].generation))

    def plan(self, size: int, strategy: Strategy) -> None:
        """A scheduler plans three containers; each is taken later, decided again on its host."""
        state = self.snapshot()
        plan = plan_batch(state, [self._wanted((size + one) % len(SIZES), None) for one in range(3)], strategy)
        self.decisions.extend((state, decision) for decision in plan.refused)
        for item in plan.assignments:
            self._looked.append((item.request, item.host, self.hosts[item.host].generation))

    def take(self, *, dies_after: int) -> None:
        """Allocate what was looked at first, and launch it; the scheduler may die after the intent or the start."""
        if not self._looked:
            return
        wanted, name, generation = self._looked.pop(0)
        host = self.hosts[name]
        if host.generation != generation:
            return  # somebody was faster: nothing is written
        host.generation += 1
        job = PlacedJob(
            request_id=wanted.request_id,
            name=wanted.name,
            source=wanted.source.name,
            job=wanted.job,
            amounts=wanted.amounts,
        )
        launch = self.ledger[wanted.request_id] = Launch(name, job, wanted.amounts)
        if dies_after == 1 or host.lost:
            return  # nobody knows whether it was started
        host.running[wanted.name] = wanted.amounts
        if dies_after == 2:
            return
        launch.stage = Stage.RUNNING

    def remove(self, number: int) -> None:
        """An operator takes a launch back; an unreachable host keeps its reservation."""
        if self.ledger:
            request_id = sorted(self.ledger)[number % len(self.ledger)]
            self._undo(request_id)

    def end(self, number: int) -> None:
        """A job ends: it gives back all but its disk space."""
        running = sorted(key for key, launch in self.ledger.items() if launch.stage is Stage.RUNNING)
        if running:
            launch = self.ledger[running[number % len(running)]]
            host = self.hosts[launch.host]
            if not host.lost:
                host.running.pop(launch.job.name, None)
                launch.stage, launch.holds = Stage.ENDED, {ResourceClass.DISK: launch.holds[ResourceClass.DISK]}
                host.generation += 1

    def restart(self) -> None:
        """A scheduler starts anew: what was looked at is forgotten, half-done launches are finished or undone."""
        self._looked.clear()
        for request_id, launch in list(self.ledger.items()):
            host = self.hosts[launch.host]
            if launch.stage is Stage.INTENT and not host.lost:
                if launch.job.name in host.running:
                    launch.stage = Stage.RUNNING
                else:
                    self._undo(request_id)

    def lose(self, number: int, *, crashed: bool) -> None:
        """A host is gone; if it crashed, so are its containers."""
        host = list(self.hosts.values())[number % len(self.hosts)]
        host.lost = True
        if crashed:
            host.running.clear()

    def return_all(self) -> None:
        """Lost hosts answer again."""
        for host in self.hosts.values():
            host.lost = False

    def scrape(self) -> None:
        """The monitoring sees what runs now."""
        for host in self.hosts.values():
            if not host.lost:
                host.seen = dict(host.running)

    def foreign(self, number: int, size: int) -> None:
        """Somebody starts a container of his own."""
        host = list(self.hosts.values())[number % len(self.hosts)]
        host.running[f"theirs{next(self._numbers)}"] = SIZES[size]

    def toggle_alert(self, number: int) -> None:
        """A gate alert of a host begins or stops firing."""
        host = list(self.hosts.values())[number % len(self.hosts)]
        host.alerting = not host.alerting

    def toggle_cordon(self, number: int) -> None:
        """An operator closes a host, or opens it again."""
        host = list(self.hosts.values())[number % len(self.hosts)]
        host.cordoned = not host.cordoned

    def freeze(self, *, frozen: bool) -> None:
        """An operator closes the fleet, or opens it again."""
        self.frozen = frozen

    def snapshot(self) -> Snapshot:
        """The fleet as a scheduler sees it."""
        alerts = tuple(
            GateAlert(name="HostDiskFilling", host=host.name, fleet=False, firing=True)
            for host in self.hosts.values()
            if host.alerting
        )
        closed = [Cordon(host.name, "ann", "disks", None, NOW) for host in self.hosts.values() if host.cordoned]
        live = [launch for launch in self.ledger.values() if launch.stage is not Stage.ENDED]
        return snapshot(
            *(self._state(host) for host in self.hosts.values()),
            gate=replace(OPEN_GATE, alerts=alerts),
            names={launch.job.name: launch.host for launch in self.ledger.values()},
            cordons=(*closed, *([Cordon(None, "ann", "holidays", None, NOW)] if self.frozen else [])),
            readers=Counter(launch.job.source for launch in live),
        )

    def allocated(self, name: str) -> Counter[ResourceClass]:
        """What the ledger has given away of a host."""
        total: Counter[ResourceClass] = Counter()
        for launch in self.ledger.values():
            if launch.host == name:
                total.update(launch.holds)
        return total

    def _state(self, host: Host) -> HostState:
        used: Counter[ResourceClass] = Counter({key: 0 for key in CLASSES if key.measured})
        for amounts in host.seen.values():
            used.update({key: amount for key, amount in amounts.items() if key.measured})
        live = (launch.job for launch in self.ledger.values() if launch.host == host.name)
        engine = EngineState(fingerprint=host.name, containers=frozenset(host.running))
        return HostState(
            name=host.name,
            inventory=host.rows,
            allocated=self.allocated(host.name),
            generation=host.generation,
            engine=Unknown("no answer in time") if host.lost else engine,
            telemetry=Telemetry(up=not host.lost, age=2.0, used=used, containers=dict(host.seen)),
            reaches=EVERY_REACH,
            jobs=tuple(live),
        )

    def _wanted(self, size: int, readers: int | None) -> Request:
        number = next(self._numbers)
        source = SourceSettings(
            name=f"source{number % 2}",
            reach=REMOTE.reach,
            address=REMOTE.address,
            credentials_file=REMOTE.credentials_file,
            readers=readers,
        )
        return request(f"b{number}", SIZES[size], source)

    def _undo(self, request_id: str) -> None:
        launch = self.ledger[request_id]
        host = self.hosts[launch.host]
        if host.lost:
            return
        host.running.pop(launch.job.name, None)
        host.generation += 1
        del self.ledger[request_id]
