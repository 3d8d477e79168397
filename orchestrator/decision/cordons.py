"""What operators closed: reasons against the fleet (a freeze) and against hosts, from the cordons in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import attrgetter

from orchestrator.decision.reasons import NONE, Closures, Code, Reason, Reasons
from orchestrator.decision.snapshot import Cordon


def cordon_reasons(cordons: Iterable[Cordon], *, now: float) -> Closures:
    """Of those that are not over."""
    fleet: list[Reason] = []
    hosts: dict[str, Reasons] = {}
    in_force = (item for item in cordons if item.until is None or item.until > now)
    for cordon in sorted(in_force, key=attrgetter("since", "who", "why")):
        if cordon.host is None:
            fleet.append(Reason(code=Code.FLEET_FROZEN, text=f"the fleet is frozen by {_by(cordon)}"))
        else:
            reason = Reason(code=Code.HOST_CORDONED, text=f"cordoned by {_by(cordon)}")
            hosts[cordon.host] = (*hosts.get(cordon.host, NONE), reason)
    return Closures(fleet=tuple(fleet), hosts=hosts)


def _by(cordon: Cordon) -> str:
    end = f"until {datetime.fromtimestamp(cordon.until, UTC):%Y-%m-%d %H:%M} UTC" if cordon.until else "with no end set"
    return f"{cordon.who}, {end}: {cordon.why}"
