"""What `vdbmon cordon` and `uncordon`, `freeze` and `thaw` share: write down who closed or opened what, and why."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import open_ledger
from orchestrator.operators import this_operator
from orchestrator.placement.closing import close
from orchestrator.placement.requests import require_host
from vdbmon.config import find_config, load_config
from vdbmon.times import parse_until, utc_text


def close_until(host: str | None, *, why: str, until: str | None, config: Path | None) -> str:
    """Close a host, or with None the fleet; the end for people: `, until ...`, or nothing."""
    fleet, now = load_config(find_config(config)).fleet(), time.time()
    end = parse_until(until, now=now)
    with contextlib.closing(open_ledger(fleet.ledger.url)) as ledger:
        close(ledger, fleet, Cordon(host=host, who=this_operator(), why=why, until=end, since=now))
    return f", until {utc_text(end)}" if end else ""


def reopen(host: str | None, *, config: Path | None) -> bool:
    """Open a host again, or with None the fleet, whose hosts stay cordoned; whether it was closed.

    Raises:
        ConfigError: no such host, and none was closed under that name.
    """
    fleet = load_config(find_config(config)).fleet()
    with contextlib.closing(open_ledger(fleet.ledger.url)) as ledger:
        lifted = ledger.uncordon(host, who=this_operator(), at=time.time())
    if host is not None and not lifted:
        require_host(host, fleet)
    return lifted
