"""Place a container: snapshot, decision, allocation, launch; with the parts of a configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from collector.errors import VdbmonError
from orchestrator.backup.entries import Backup
from orchestrator.backup.feeding import take_in_logs
from orchestrator.backup.inputs import JobOptions, require_present
from orchestrator.decision.decide import Decision, decide
from orchestrator.decision.documents import decision_document
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import EngineState, HostState, Snapshot
from orchestrator.engines.engine import Engine
from orchestrator.host.blockdevices import device_of
from orchestrator.host.limits import Limits, read_limits
from orchestrator.host.volumes import LoopVolumes, Volume
from orchestrator.launch import Addresses, Launch, Networks, Tools, Verifier, Volumes
from orchestrator.launch.closures import check_cordons, check_gate
from orchestrator.launch.samples import Sampled, sampled_by
from orchestrator.launch.spec import labels_of, launch_spec, volume_name
from orchestrator.ledger import (
    Event,
    Generations,
    LaunchRecord,
    Ledger,
    NameTakenError,
    open_ledger,
    override_detail,
)
from orchestrator.operators import this_operator
from orchestrator.placement.allocation import decide_and_take
from orchestrator.placement.fixed_addresses import FixedAddresses
from orchestrator.placement.host_parts import HostParts, reached
from orchestrator.placement.jobs import JOBS, Job, check_on_host
from orchestrator.placement.outcomes import LaunchStatus, Placement
from orchestrator.placement.removal import Remover
from orchestrator.placement.requests import Sizes, Wanted, amounts_of, intent_of, request_of
from orchestrator.placement.visits import await_end, statuses, visitor
from orchestrator.settings import FleetSettings
from orchestrator.survey.fleet import take_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """All that a placement needs; the command makes one with `open_scheduler`."""

    fleet: FleetSettings
    local_host: str
    ledger: Ledger
    engines: Mapping[str, Engine]
    volumes: Volumes
    sampled: Sampled
    addresses: Addresses | None = None
    networks: Networks | None = None
    remote: Mapping[str, HostParts] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=lambda: JOBS)
    read_limits: Callable[[str], Limits | None] = read_limits
    operator: str = field(default_factory=this_operator)
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    strategy: Strategy = Strategy.SPREAD

    def parts(self, host: str) -> HostParts:
        """What of a host is read and made by other means on this host than on others.

        Raises:
            VdbmonError: `host.not_configured`.
        """
        here = HostParts(volumes=self.volumes, disk_of=device_of, read_limits=self.read_limits)
        if host == self.local_host:
            return here
        if host not in self.remote:
            raise VdbmonError("host.not_configured", f"host {host} is not in [[hosts]]", "put it back")
        return self.remote[host]

    def request(self, name: str, *, source: str, job: str, amounts: Amounts) -> Request:
        """A checked request for now, and for any host, of a name that is free.

        Raises:
            ConfigError: as `wanted`.
            NameTakenError: a live launch has that name.
        """
        wanted = Wanted(name=name, source=source, job=job, amounts=amounts)
        self.require_free(name)
        return self.wanted(wanted)

    def wanted(self, wanted: Wanted) -> Request:
        """A checked request.

        Raises:
            ConfigError: as `request_of`.
            VdbmonError: as `request_of`.
        """
        backups = self._backups(wanted.source, wanted.options)
        return request_of(wanted, self.fleet, jobs=self.jobs, backups=backups, now=self.clock())

    def amounts(self, sizes: Sizes, job: str, options: JobOptions, *, source: str) -> Amounts:
        """How much a job is to have.

        Raises:
            ConfigError: as `amounts_of`.
            VdbmonError: as `amounts_of`.
        """
        backups = self._backups(source, options)
        return amounts_of(sizes, job, options, self.fleet, source=source, backups=backups, now=self.clock())

    def _backups(self, source: str, options: JobOptions) -> tuple[Backup, ...]:
        """All of a source; where a later moment is wanted, with its binary logs as far as they are now."""
        if options.until is not None:
            take_in_logs(self.ledger, source, lambda host: self.parts(host).volumes)
        return self.ledger.backups.all(source=source)

    def require_free(self, name: str) -> None:
        """Refuse a name before anybody is asked.

        Raises:
            NameTakenError: a live launch has it.
        """
        if name in self.ledger.view().names:
            raise NameTakenError(name)

    def snapshot(self) -> Snapshot:
        """The fleet as it is now."""
        visit = visitor(self.engines, self.ledger, self.clock)
        return take_snapshot(
            self.fleet,
            local_host=self.local_host,
            engines=self.engines,
            probe=lambda host: visit(host).engine,
            ledger=self.ledger,
            clock=self.clock,
        )

    def decide(self, request: Request) -> Decision:
        """Decide, and do nothing."""
        return decide(self.snapshot(), request, self.strategy)

    def place(self, request: Request, *, decided: Callable[[Decision], None]) -> Placement:
        """Decide, allocate and launch; `decided` is told the decision before anything is done.

        Raises:
            ConcurrentUpdateError: others changed the host again and again while this was decided.
            LaunchFailedError: the launch failed and is undone.
            LaunchUnknownError: it stopped halfway.
            VdbmonError: the source can't be read on this host; nothing was done.
        """
        decision, accepted = self._allocate(request)
        self.ledger.prune(before=self.clock() - self.fleet.ledger.keep, keep=self.fleet.ledger.keep_entries)
        decided(decision)
        return Placement(decision=decision, launched=accepted.run() if accepted else None)

    def statuses(self) -> tuple[LaunchStatus, ...]:
        """All launches that hold something, those that ended settled; each host's engine costs its own rows at most."""
        return statuses(self.engines, self.ledger, self.clock)

    def await_end(self, request_id: str) -> LaunchRecord:
        """Wait until a job that runs has ended; its record.

        Raises:
            EngineUnreachableError: nobody knows any more how it is.
        """
        return await_end(request_id, self.engines, self.ledger, clock=self.clock, sleep=self.sleep)

    def remover(self) -> Remover:
        """Takes launches back."""
        return Remover(
            self.ledger,
            engines=self.engines,
            volumes=lambda host: self.parts(host).volumes,
            addresses=self.addresses,
            local_host=self.local_host,
            clock=self.clock,
        )

    def verifier(self, host: str) -> Verifier:
        """Checks containers of a host."""
        return Verifier(
            host=host,
            engine=self.engines[host],
            read_limits=self.parts(host).read_limits,
            sampled=self.sampled,
            sleep=self.sleep,
        )

    def _allocate(self, request: Request) -> tuple[Decision, Launch | None]:
        decision, launch = decide_and_take(
            self.snapshot(),
            decide=lambda snapshot: decide(snapshot, request, self.strategy),
            view=self.ledger.view,
            take=partial(self._intend, request),
        )
        if launch is None:
            untaken = Event(
                at=self.clock(),
                kind="decision",
                request_id=request.request_id,
                name=request.name,
                who=self.operator,
                detail=decision_document(decision),
            )
            self.ledger.record(untaken)
            if request.override is not None:
                detail = override_detail(request.override)
                self.ledger.record(replace(untaken, kind="override", who=request.override.who, detail=detail))
        return decision, launch

    def _stored(self, host: str, volume: str) -> Volume:
        """A volume with a backup.

        Raises:
            VdbmonError: `backup.volume_missing`.
        """
        found = self.parts(host).volumes.get(volume)
        if found is None:
            raise VdbmonError("backup.volume_missing", f"volume {volume} isn't there", "see `vdbmon backup scan`")
        return found

    def _intend(self, request: Request, snapshot: Snapshot, decision: Decision, host: HostState) -> Launch:
        """Write the intent; what can be seen to fail without doing anything fails before that."""
        if not isinstance(host.engine, EngineState):
            raise TypeError("a host whose engine is unknown was chosen")
        job = self.jobs[request.job]
        run = job.run(request, volume_name(request), partial(self._stored, host.name))
        if host.name == self.local_host:
            check_on_host(run)
        require_present(request.inputs, self.ledger.backups.all(source=request.source.name))
        spec = launch_spec(request, job.image, run)
        record = intent_of(request, host.name, spec, at=self.clock())
        self.ledger.allocate(
            record,
            request.amounts,
            inventory=host.inventory,
            expected=Generations(host=host.generation, source=snapshot.source_generations.get(request.source.name, 0)),
            max_readers=request.source.readers if request.reads_source else None,
            fingerprint=host.engine.fingerprint,
            decision=decision_document(decision),
            who=self.operator,
            override=request.override,
        )
        return Launch(
            record,
            spec,
            container_labels=labels_of(request, generation=host.generation + 1, spec_hash=record.spec_hash),
            tools=self._tools(host.name, request),
        )

    def _tools(self, host: str, request: Request) -> Tools:
        return Tools(
            engine=self.engines[host],
            volumes=self.parts(host).volumes,
            addresses=self.addresses,
            networks=self.networks,
            disk_of=self.parts(host).disk_of,
            ledger=self.ledger,
            verifier=self.verifier(host),
            check_gate=partial(check_gate, self.fleet, host, request),
            check_cordons=lambda: check_cordons(self.ledger.cordons(), host, request, now=self.clock()),
            clock=self.clock,
        )


@contextmanager
def open_scheduler(
    fleet: FleetSettings, local_host: str, *, strategy: Strategy = Strategy.SPREAD, ledger: Ledger | None = None
) -> Iterator[Scheduler]:
    """The scheduler of a configuration, run on `local_host`; on its ledger, or one that is open and stays so.

    Raises:
        LedgerError: the ledger can't be opened.
    """
    opened = ledger or open_ledger(fleet.ledger.url)
    try:
        with reached(fleet, local_host) as hosts:
            yield Scheduler(
                fleet=fleet,
                local_host=local_host,
                ledger=opened,
                engines=hosts.engines,
                volumes=LoopVolumes(fleet.volumes.dir),
                sampled=sampled_by(fleet),
                addresses=FixedAddresses(opened, {pool.name: pool for pool in fleet.pools}, time.time),
                networks=hosts.networks,
                remote=hosts.remote,
                strategy=strategy,
            )
    finally:
        if ledger is None:
            opened.close()
