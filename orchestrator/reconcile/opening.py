"""A reconciler and an auditor with the parts of a scheduler."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from collector.errors import VdbmonError
from orchestrator.placement.scheduler import Scheduler
from orchestrator.reconcile.audit import Auditor
from orchestrator.reconcile.mend import Ground
from orchestrator.reconcile.run import Reconciler


def reconciler(scheduler: Scheduler) -> Reconciler:
    """Mends what stopped halfway and what belongs to no launch."""
    return Reconciler(
        hosts=_pools(scheduler),
        ledger=scheduler.ledger,
        ground=partial(ground_of, scheduler),
        networks=scheduler.networks,
        remover=scheduler.remover(),
        clock=scheduler.clock,
    )


def auditor(scheduler: Scheduler) -> Auditor:
    """Tells of it, and changes nothing."""
    return Auditor(
        hosts=_pools(scheduler),
        ledger=scheduler.ledger,
        ground=partial(ground_of, scheduler),
        networks=scheduler.networks,
        clock=scheduler.clock,
    )


def ground_of(scheduler: Scheduler, host: str) -> Ground:
    """What there is to work with on a host.

    A launch that stopped halfway began long ago: whether it is measured is the alerts' business now.

    Raises:
        VdbmonError: no such host.
    """
    if host not in scheduler.engines:
        raise VdbmonError("host.not_configured", f"host {host} is not in [[hosts]]", "put it back")
    return Ground(
        host=host,
        engine=scheduler.engines[host],
        volumes=scheduler.parts(host).volumes,
        addresses=scheduler.addresses,
        verifier=replace(scheduler.verifier(host), sampled=lambda _host, _name: True),
        disk_of=scheduler.parts(host).disk_of,
        ledger=scheduler.ledger,
        clock=scheduler.clock,
    )


def _pools(scheduler: Scheduler) -> dict[str, frozenset[str]]:
    return {host.name: frozenset(host.pools) for host in scheduler.fleet.hosts}
