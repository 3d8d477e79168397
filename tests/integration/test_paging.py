"""What goes wrong on a real host pages, once, with the right words, by every way, and is resolved. Intervals scaled.

`make bench-paging` measures the same with the delivered intervals.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import recording
from alerts.render import rule_file
from alerts.rules import RECORDED, RULES, rule_groups
from tests.support.dockerd import OwnDockerd
from tests.support.paging import Paging, paging
from tests.support.paging_troubles import FAILED, HANG, OOM, SILENT, Orders, orders, starve, victim
from tests.support.receivers import Received
from tests.support.servers import http_json, query
from tests.support.wait import wait_until

PATIENCE = 60.0
WAYS = ("pagerduty", "email", "wechat", "webhook")
PAGED = ("ContainerOOMKilled", "DockerDaemonNotAnswering", "DockerDaemonHung", "BackupFailed")

pytestmark = pytest.mark.timeout(400)


def scaled_rules() -> bytes:
    """The delivered rules, evaluated each second; those that the test fires wait no longer and look back less far."""
    document = yaml.safe_load(rule_file(rule_groups()))
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if rule.get("alert") in PAGED:
                rule |= {key: "1s" for key in ("for", "keep_firing_for") if key in rule}
                rule["expr"] = rule["expr"].replace("15m", "10s")
    return yaml.safe_dump(document).encode()


def scale_routes(document: dict[str, Any]) -> None:
    for route in document["route"]["routes"]:
        if "group_wait" in route:
            # Not at once: what holds an alert back is of the same evaluation and sent a moment later.
            route |= {"group_wait": "1s", "group_interval": "1s"}


@pytest.fixture
def site(online_dockerd: OwnDockerd, backup_image: str, tmp_path: Path) -> Iterator[Paging]:
    assert backup_image
    with paging(online_dockerd, tmp_path, scaled_rules(), scrape="1s", change=scale_routes) as made:
        yield made


@pytest.fixture
def source(site: Paging, empty_data: Path, tmp_path: Path) -> Iterator[Orders]:
    with victim(site), orders(site, tmp_path / "orders", empty_data) as made:
        yield made


def messages(site: Paging, words: str, *, firing: bool) -> list[Received]:
    return [one for way in WAYS for one in site.to.inbox.about(words, way, firing=firing)]


def page(site: Paging, words: str, go_wrong: Callable[[], None]) -> float:
    """Make something go wrong; seconds until PagerDuty has the page, and all others have it too."""
    begun = time.monotonic()
    go_wrong()
    for way in WAYS:
        wait_until(
            lambda way=way: site.to.inbox.about(words, way, firing=True),  # type: ignore[misc]
            deadline=PATIENCE,
            what=f"{words}, by {way}; refused: {site.to.inbox.refused}",
        )
    (first, *more) = site.to.inbox.about(words, "pagerduty", firing=True)
    assert more == []
    return first.at - begun


def resolved(site: Paging, words: str) -> None:
    for way in WAYS:
        wait_until(
            lambda way=way: site.to.inbox.about(words, way, firing=False),  # type: ignore[misc]
            deadline=PATIENCE,
            what=f"the end of {words}, by {way}",
        )


def test_what_goes_wrong_pages_once_by_every_way_and_is_resolved(
    site: Paging, source: Orders, capsys: pytest.CaptureFixture[str]
) -> None:
    source.begin_backup()
    took = {"OOM kill": page(site, OOM, lambda: starve(site)), "failed backup": page(site, FAILED, source.die)}
    source.come_back()
    resolved(site, FAILED)
    resolved(site, OOM)
    took["daemon stopped"] = page(site, SILENT, site.daemon.freeze)
    site.daemon.thaw()
    resolved(site, SILENT)

    assert site.to.inbox.refused == []
    for words in (OOM, FAILED, SILENT):
        check_told_once(site, words)
    check_words(site)
    check_rules(site)
    tell(took, capsys)


def test_a_daemon_that_hangs_on_its_containers_pages_once_by_the_name_of_that(
    lent_dockerd: OwnDockerd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its containerd is stopped: `docker info` waits for it, `docker images` and `docker volume ls` do not."""
    follows = 'ALERTS{alertname="DockerDaemonNotAnswering",alertstate="firing"}'
    with paging(lent_dockerd, tmp_path, scaled_rules(), scrape="1s", change=scale_routes) as site:
        took = {"daemon hangs on its containers": page(site, HANG, lent_dockerd.freeze_containerd)}
        assert answering(site) == {"ping", "containers", "volumes", "networks", "images"}
        assert query(site.store, follows)
        lent_dockerd.thaw()
        resolved(site, HANG)

    assert site.to.inbox.refused == []
    check_told_once(site, HANG)
    assert [one for firing in (True, False) for one in messages(site, SILENT, firing=firing)] == []
    (trigger,) = site.to.inbox.about(HANG, "pagerduty", firing=True)
    assert trigger.raw["payload"]["class"] == "DockerDaemonHung"
    assert "`docker info` hangs while `docker images` or `docker volume ls` answers" in trigger.text
    tell(took, capsys)


def answering(site: Paging) -> set[str]:
    """Endpoints of the daemon that answer, as Prometheus knows it."""
    probes = query(site.store, "vdbmon_docker_probe_success == 1")
    return {probe["metric"]["endpoint"] for probe in probes}


def check_told_once(site: Paging, words: str) -> None:
    for firing in (True, False):
        assert sorted(one.way for one in messages(site, words, firing=firing)) == sorted(WAYS), (words, firing)


def tell(took: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for name, seconds in took.items():
            sys.stdout.write(f"\nfrom event to page, with intervals of 1 s: {name} {seconds:.1f} s")


def check_rules(site: Paging) -> None:
    """Every rule can be evaluated on what a real agent says, and what is recorded of a host is there."""
    answer = http_json(f"{site.store.url}/api/v1/rules")
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert len(rules) == len(RULES) + len(RECORDED)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    for recorded in (recording.CPU_BUSY, recording.MEMORY_USED, recording.CONTAINER_CPU, recording.FILESYSTEM_AVAIL):
        assert query(site.store, recorded.name), recorded.name


def check_words(site: Paging) -> None:
    (trigger,) = site.to.inbox.about(OOM, "pagerduty", firing=True)
    (resolve,) = site.to.inbox.about(OOM, "pagerduty", firing=False)
    assert trigger.raw["dedup_key"] == resolve.raw["dedup_key"]
    payload = trigger.raw["payload"]
    assert payload["summary"] == OOM
    assert (payload["severity"], payload["class"]) == ("critical", "ContainerOOMKilled")
    assert (payload["group"], payload["component"]) == ("testhost", "hungry")
    assert "Place it again with more --memory." in payload["custom_details"]["text"]
    assert trigger.raw["links"] == [
        {"href": "https://git.example/alerts/runbooks/ContainerOOMKilled.md", "text": "Runbook"}
    ]
    (mail,) = site.to.inbox.about(FAILED, "email", firing=True)
    assert mail.raw["Subject"] == f"[CRITICAL] {FAILED}"
    assert (mail.raw["From"], mail.raw["To"]) == ("vdbmon@example.com", "dba@example.com")
    assert "The last backup of orders did not come to a good end" in mail.text
    (message,) = site.to.inbox.about(SILENT, "wechat", firing=True)
    assert message.raw["toparty"] == "1|2"
    assert message.text.startswith("[CRITICAL] DockerDaemonNotAnswering\n")
    assert message.text.endswith("alerts/runbooks/DockerDaemonNotAnswering.md")
    (hook,) = site.to.inbox.about(FAILED, "webhook", firing=True)
    assert hook.raw["commonLabels"]["source"] == "orders"
