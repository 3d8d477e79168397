"""Close a host, or the whole fleet, to placements; and open it again. What runs there runs on."""

from __future__ import annotations

from collector.errors import ConfigError
from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import Ledger
from orchestrator.placement.requests import require_host
from orchestrator.settings import FleetSettings


def close(ledger: Ledger, fleet: FleetSettings, cordon: Cordon) -> None:
    """Nothing is placed there from now on, not even by a decision that is under way.

    Raises:
        ConfigError: no such host, or no reason is given.
    """
    names = tuple(host.name for host in fleet.hosts)
    if not cordon.why.strip():
        raise ConfigError("request.why", "--why is empty", "say why, in a few words")
    if cordon.host is None:
        ledger.cordon(cordon, hosts=names)
        return
    require_host(cordon.host, fleet)
    ledger.cordon(cordon, hosts=[cordon.host])
