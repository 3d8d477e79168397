from dataclasses import replace

from orchestrator.backup.due import elsewhere, refusal_of
from orchestrator.decision.decide import decide
from orchestrator.decision.request import Wishes
from orchestrator.decision.resources import ResourceClass
from tests.support.placing import LARGE as ROWS
from tests.support.placing import host, request, shares, snapshot

SMALL = {**shares(ROWS, dict.fromkeys(ROWS, 0.1)), ResourceClass.SLOTS: 1}
HOSTS = tuple(host(name) for name in ("db1", "db2", "db3"))
WANTED = request("b1", SMALL)


def test_after_a_failure_another_host_is_taken_as_long_as_there_is_one() -> None:
    decision = decide(snapshot(*HOSTS), WANTED)
    assert decision.host == "db1"
    assert elsewhere(WANTED, decision, set()) == WANTED
    assert elsewhere(WANTED, decision, {"db2"}) == WANTED
    assert elsewhere(WANTED, decision, {"db1"}).wishes.host == "db2"
    assert elsewhere(WANTED, decision, {"db1", "db2"}).wishes.host == "db3"
    assert elsewhere(WANTED, decision, {"db1", "db2", "db3"}) == WANTED, "then the best again"


def test_another_host_must_fit() -> None:
    wanted = replace(WANTED, wishes=Wishes(zone="north"))
    here = (host("db1", zone="north"), host("db2"))
    assert elsewhere(wanted, decide(snapshot(*here), wanted), {"db1"}) == wanted


def test_a_refusal_says_each_reason_once_with_its_hosts_and_keeps_all() -> None:
    wanted = replace(WANTED, wishes=Wishes(zone="north"))
    hosts = [host(f"db{number}", zone="south") for number in range(5)]
    found = refusal_of(decide(snapshot(*hosts), wanted))
    assert list(found.against) == [item.name for item in hosts]
    assert all([code for code, _ in said] == ["host.zone"] for said in found.against.values())
    assert found.why.count("south") == 1
    assert found.why.endswith("(db0, db1, db2 and 2 more)")
