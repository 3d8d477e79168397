"""`make bench-paging`: seconds from an event to its page, with rules and routes as they are delivered.

Prometheus scrapes as `make up` does, and again as rarely as vdbmon allows. All is real, from the backup of a MariaDB
server to Alertmanager; the one who is paged is a stand-in. What is longer than a minute ends it with 1.
"""

from __future__ import annotations

import contextlib
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
from tests.support.backup_image import load_backup_image
from tests.support.dockerd import OwnDockerd, own_dockerd
from tests.support.mariadb import make_data_dir
from tests.support.paging import Paging, paging
from tests.support.paging_troubles import FAILED, HANG, OOM, SILENT, orders, starve, victim
from tests.support.wait import wait_until
from vdbmon.stack.render import SCRAPE_INTERVAL

RESULTS = Path("build/bench-paging.json")
LIMIT = 60.0
RAREST_SCRAPE = "15s"


def seconds_to_page(site: Paging, words: str, go_wrong: Callable[[], None]) -> float:
    """From the event until PagerDuty has it."""
    begun = time.monotonic()
    go_wrong()

    def paged() -> list[float]:
        found = site.to.inbox.about(words, "pagerduty", firing=True)
        return [one.at - begun for one in found if one.at > begun]

    return wait_until(paged, deadline=2 * LIMIT, what=f"the page: {words}")[0]


def run(scrape: str, daemon: OwnDockerd, folder: Path, empty_data: Path) -> dict[str, float]:
    """All events, at this scrape interval."""
    folder.mkdir()
    rules = rule_file(rule_groups())
    with (
        paging(daemon, folder, rules, scrape=scrape, change=lambda _document: None) as site,
        orders(site, folder / "orders", empty_data) as source,
        victim(site),
    ):
        source.begin_backup()
        took = {
            "OOM kill": seconds_to_page(site, OOM, lambda: starve(site)),
            "failed backup": seconds_to_page(site, FAILED, source.die),
            "daemon does not answer": seconds_to_page(site, SILENT, daemon.freeze),
        }
        daemon.thaw()
        wait_until(site.is_answered, deadline=2 * LIMIT, what="the daemon answers again")
        return took | {"daemon hangs on containers": seconds_to_page(site, HANG, daemon.freeze_containerd)}


def main() -> None:
    """Measure, print, write down."""
    with own_dockerd() as daemon, tempfile.TemporaryDirectory(prefix="paging-") as name:
        folder = Path(name)
        with contextlib.closing(daemon.client(timeout=120)) as client:
            load_backup_image(client)
        make_data_dir(folder / "empty")
        scrapes = (SCRAPE_INTERVAL, RAREST_SCRAPE)
        results = {scrape: run(scrape, daemon, folder / scrape, folder / "empty") for scrape in scrapes}
    table = Table("event", *(f"scraped every {scrape}" for scrape in results))
    for event in next(iter(results.values())):
        table.add_row(event, *(f"{found[event]:.1f} s" for found in results.values()))
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(max(max(found.values()) for found in results.values()) > LIMIT)


if __name__ == "__main__":
    main()
