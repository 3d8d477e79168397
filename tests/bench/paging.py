"""`make bench-paging`: seconds from an event to its page, with rules and routes as they are delivered.

Prometheus scrapes as `make up` does, and again as rarely as vdbmon allows. The daemon, the agent, Prometheus and
Alertmanager are real, the one who is paged is a stand-in. What is longer than a minute ends it with 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alerts.render import rule_file
from alerts.rules import rule_groups
from tests.support.dockerd import own_dockerd
from tests.support.paging import FAILED, HANG, OOM, Paging, paging
from tests.support.wait import wait_until
from vdbmon.stack.render import SCRAPE_INTERVAL

RESULTS = Path("build/bench-paging.json")
LIMIT = 60.0
RAREST_SCRAPE = "15s"


def seconds_to_page(site: Paging, words: str, go_wrong: Callable[[], None]) -> float:
    """From the event until PagerDuty has it."""
    begun = time.monotonic()
    go_wrong()
    found = wait_until(
        lambda: site.to.inbox.about(words, "pagerduty", firing=True), deadline=2 * LIMIT, what=f"the page: {words}"
    )
    return found[0].at - begun


def run(scrape: str) -> dict[str, float]:
    """All three events, at this scrape interval."""
    with own_dockerd() as daemon, tempfile.TemporaryDirectory() as folder:
        rules = rule_file(rule_groups())
        with paging(daemon, Path(folder), rules, scrape=scrape, change=lambda _document: None) as site:
            return {
                "OOM kill": seconds_to_page(site, OOM, site.starve),
                "failed backup": seconds_to_page(site, FAILED, site.fail_backup),
                "daemon hangs": seconds_to_page(site, HANG, site.daemon.freeze),
            }


def main() -> None:
    """Measure, print, write down."""
    results = {scrape: run(scrape) for scrape in (SCRAPE_INTERVAL, RAREST_SCRAPE)}
    table = Table("event", *(f"scraped every {scrape}" for scrape in results))
    for event in next(iter(results.values())):
        table.add_row(event, *(f"{found[event]:.1f} s" for found in results.values()))
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(max(max(found.values()) for found in results.values()) > LIMIT)


if __name__ == "__main__":
    main()
