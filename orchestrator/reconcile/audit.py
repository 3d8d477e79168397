"""Compare the ledger with what every host really runs, and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from collector.errors import VdbmonError
from orchestrator.launch import Networks
from orchestrator.ledger import Ledger
from orchestrator.reconcile.book import book_of
from orchestrator.reconcile.findings import Findings, look
from orchestrator.reconcile.leaks import find_leaks
from orchestrator.reconcile.mend import Ground
from orchestrator.reconcile.run import AgedLeak, age_of
from orchestrator.survey.deadline import Stragglers, ask_all

AUDIT_SECONDS = 20.0
STRAGGLER_SECONDS = 3.0
"""How much longer a host may take than nine of ten others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAudit:
    """One host.

    Attributes:
        unknown: why nothing is known of it; None for a host that answered.
        containers: how many it has of ours; None where nobody knows, as in `volumes`.
    """

    host: str
    unknown: str | None = None
    containers: int | None = None
    volumes: int | None = None
    leaks: tuple[AgedLeak, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """Asks all hosts at the same time, under one deadline; one that is slow costs its own row."""

    hosts: Mapping[str, frozenset[str]]
    """Address pools by host."""
    ledger: Ledger
    ground: Callable[[str], Ground]
    networks: Networks | None
    clock: Callable[[], float]
    seconds: float = AUDIT_SECONDS

    def run(self) -> tuple[HostAudit, ...]:
        """A row per host, by name.

        Raises:
            LedgerError: the ledger doesn't answer.
        """
        known, sightings = self.ledger.engine_fingerprints(), self.ledger.sightings()
        answers = ask_all(
            {host: partial(self._look, host) for host in self.hosts},
            seconds=self.seconds,
            stragglers=Stragglers(last_tenth=STRAGGLER_SECONDS),
        )
        seen = {(item.host, item.kind, item.identity): item for item in sightings}
        now, rows = self.clock(), []
        for host, pools in sorted(self.hosts.items()):
            match answers.get(host):
                case Findings() as found if known.get(host, found.fingerprint) == found.fingerprint:
                    book = book_of(found, self.ledger, self.ground(host).addresses, pools)
                    leaks = [
                        (leak, seen.get((host, leak.kind.value, leak.identity)))
                        for leak in find_leaks(found, book, now=now)
                    ]
                    aged = tuple(
                        AgedLeak(leak=leak, age=age_of(leak, before, now), times=before.times if before else 0)
                        for leak, before in leaks
                    )
                    rows.append(_row(found, aged))
                case Findings() as found:
                    said = f"it has another engine ({found.fingerprint}) than the one that ran its launches"
                    rows.append(HostAudit(host=host, unknown=said))
                case VdbmonError() as error:
                    rows.append(HostAudit(host=host, unknown=error.message))
                case _:
                    rows.append(HostAudit(host=host, unknown="it doesn't answer in time"))
        return tuple(rows)

    def _look(self, host: str) -> Findings:
        ground = self.ground(host)
        return look(host, ground.engine, ground.volumes, self.networks)


def _row(found: Findings, leaks: tuple[AgedLeak, ...]) -> HostAudit:
    volumes = sum(1 for item in found.volumes if item.size_bytes)
    return HostAudit(host=found.host, containers=len(found.containers), volumes=volumes, leaks=leaks)
