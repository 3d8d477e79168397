"""A fleet in memory: hosts, a ledger with generations, engines that can be lost, a monitoring that lags behind.

Decisions are the scheduler's own, and so is what counts as half done and as a leak. What surrounds them is modelled: a
scheduler looks, decides, and later takes what it decided, if the host's generation is still the one it saw. It may die
before any step of a launch, or sleep there and wake up when somebody else has taken the launch over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count

from orchestrator.decision.decide import Decision, decide
from orchestrator.decision.planning import plan_batch
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, InventoryRow, InventoryRows, ResourceClass
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import (
    Cordon,
    EngineState,
    GateAlert,
    HostState,
    PlacedJob,
    Snapshot,
    Telemetry,
    Unknown,
)
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement.removal import REMOVE
from orchestrator.settings import SourceSettings
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


STEPS = ("address", "volume", "create", "start", "commit")


@dataclass
class Launch:
    """A row of the ledger."""

    host: str
    job: PlacedJob
    holds: Amounts
    state: LaunchState = LaunchState.INTENT
    step: str | None = None
    turn: int = 0
    alive_at: float = 0.0

    @property
    def live(self) -> bool:
        """Whether it has its name."""
        return self.state is not LaunchState.REMOVED

    def record(self) -> LaunchRecord:
        """As the ledger has it."""
        volume = self.job.request_id if self.live else None
        return LaunchRecord(
            request_id=self.job.request_id,
            name=self.job.name,
            host=self.host,
            source=self.job.source,
            job=self.job.job,
            state=self.state,
            spec={},
            spec_hash="",
            volume=volume,
            created_at=self.alive_at,
            updated_at=self.alive_at,
            step=self.step,
            turn=self.turn,
        )


@dataclass(frozen=True)
class Sleeper:
    """A scheduler that stands still in the middle of a launch, with the turn that it believes to have."""

    request_id: str
    turn: int
    steps: tuple[str, ...]


@dataclass
class Host:
    """A machine: what runs there, and what the monitoring last saw of it.

    Attributes:
        created: names of containers that were made and not started.
        owners: request ids by the names of our containers.
        volumes: and addresses, by request id.
    """

    name: str
    rows: InventoryRows
    generation: int = 0
    lost: bool = False
    alerting: bool = False
    cordoned: bool = False
    running: dict[str, Amounts] = field(default_factory=dict)
    created: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    seen: dict[str, Amounts] = field(default_factory=dict)


class FleetModel:
    """The fleet, and what schedulers do to it."""

    def __init__(self) -> None:
        self.hosts = {name: Host(name, rows) for name, rows in ROWS.items()}
        self.ledger: dict[str, Launch] = {}
        self.frozen = False
        self.decisions: list[tuple[Snapshot, Decision]] = []
        self.now = NOW
        self.slipped: list[str] = []
        self._asleep: list[Sleeper] = []
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

    def take(self, *, dies_before: str | None = None, sleeps_before: str | None = None) -> None:
        """Allocate what was looked at first, and launch it; the scheduler may die or fall asleep on the way."""
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
        self.ledger[wanted.request_id] = Launch(name, job, wanted.amounts, alive_at=self.now)
        self._go_on(Sleeper(wanted.request_id, 0, STEPS), dies_before=dies_before, sleeps_before=sleeps_before)

    def wake_next(self) -> bool:
        """Wake one; whether there was one."""
        asleep = bool(self._asleep)
        self.wake()
        return asleep

    def wake(self) -> None:
        """A scheduler that slept goes on where it was: what it had asked for is done, whoever has its launch now."""
        if self._asleep:
            sleeper = self._asleep.pop(0)
            launch = self.ledger[sleeper.request_id]
            if launch.turn != sleeper.turn or not launch.live:
                self._do(launch, sleeper.steps[0], late=True)
            else:
                self._go_on(sleeper)

    def remove(self, number: int, *, dies: bool = False) -> None:
        """An operator takes a launch back, or dies over it; an unreachable host keeps its reservation."""
        live = sorted(key for key, launch in self.ledger.items() if launch.live)
        if live:
            launch = self.ledger[live[number % len(live)]]
            if not self.hosts[launch.host].lost:
                launch.turn, launch.step, launch.alive_at = launch.turn + 1, REMOVE, self.now
                if not dies:
                    self.undo(launch)

    def end(self, number: int) -> None:
        """A job ends: it gives back all but its disk space."""
        running = sorted(key for key, launch in self.ledger.items() if launch.state is LaunchState.RUNNING)
        if running:
            launch = self.ledger[running[number % len(running)]]
            if not self.hosts[launch.host].lost:
                self.settle(launch)

    def settle(self, launch: Launch) -> None:
        """Its job has ended."""
        host = self.hosts[launch.host]
        host.running.pop(launch.job.name, None)
        host.created.add(launch.job.name)  # stopped, and still there
        launch.state, launch.holds = LaunchState.DONE, {ResourceClass.DISK: launch.holds[ResourceClass.DISK]}
        host.generation += 1

    def restart(self) -> None:
        """All schedulers start anew: what was looked at is forgotten, and so are those that slept."""
        self._looked.clear()
        self._asleep.clear()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    def undo(self, launch: Launch) -> None:
        """Take everything back; its row says so."""
        host, request_id = self.hosts[launch.host], launch.job.request_id
        if host.owners.get(launch.job.name) == request_id:
            self.drop_container(host, launch.job.name)
        host.volumes.discard(request_id)
        host.addresses.discard(request_id)
        host.generation += 1
        launch.state, launch.holds, launch.step = LaunchState.REMOVED, {}, None

    def drop_container(self, host: Host, name: str) -> None:
        """It is gone, whether it ran or not."""
        host.running.pop(name, None)
        host.created.discard(name)
        host.owners.pop(name, None)

    def lose(self, number: int, *, crashed: bool) -> None:
        """A host is gone; if it crashed, so are its containers."""
        host = list(self.hosts.values())[number % len(self.hosts)]
        host.lost = True
        if crashed:
            for name in [*host.running]:
                host.running.pop(name)
                host.created.add(name)

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
        live = [launch for launch in self.ledger.values() if not launch.state.ended]
        return snapshot(
            *(self._state(host) for host in self.hosts.values()),
            gate=replace(OPEN_GATE, alerts=alerts),
            names={launch.job.name: launch.host for launch in self.ledger.values() if launch.live},
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
        live = (launch.job for launch in self.ledger.values() if launch.host == host.name and launch.live)
        engine = EngineState(fingerprint=host.name, containers=frozenset({*host.running, *host.created}))
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

    def _go_on(self, sleeper: Sleeper, *, dies_before: str | None = None, sleeps_before: str | None = None) -> None:
        launch = self.ledger[sleeper.request_id]
        for number, step in enumerate(sleeper.steps):
            launch.step, launch.alive_at = step, self.now
            if step == dies_before:
                return
            if step == sleeps_before:
                self._asleep.append(Sleeper(sleeper.request_id, sleeper.turn, sleeper.steps[number:]))
                return
            if self.hosts[launch.host].lost:
                return  # what the engine did is unknown: nothing is undone
            if self._closed(self.hosts[launch.host], step):
                self.undo(launch)
                return
            self._do(launch, step, late=False)

    def _closed(self, host: Host, step: str) -> bool:
        """What a launch asks again before that step: the gate before its container is made, operators also after it."""
        closed = host.cordoned or self.frozen
        return (step == "create" and (host.alerting or closed)) or (step == "start" and closed)

    def _do(self, launch: Launch, step: str, *, late: bool) -> None:
        """What a step does on its host; `late` when its scheduler has lost the launch, and the ledger refuses it."""
        host, request_id, name = self.hosts[launch.host], launch.job.request_id, launch.job.name
        if host.lost:
            return
        if step == "address":
            host.addresses.add(request_id)
        elif step == "volume":
            host.volumes.add(request_id)
        elif step == "create" and name not in host.owners:
            if self._closed(host, step) and not late:
                self.slipped.append(name)
            host.created.add(name)
            host.owners[name] = request_id
            launch.state = launch.state if late else LaunchState.CREATED
        elif step == "start" and host.owners.get(name) == request_id and name in host.created:
            if self._closed(host, step) and not late:
                self.slipped.append(name)
            host.created.discard(name)
            host.running[name] = launch.job.amounts
        elif step == "commit" and not late:
            launch.state, launch.step = LaunchState.RUNNING, None
