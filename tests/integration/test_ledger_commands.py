"""The commands that read and write the ledger alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from collector.errors import VdbmonError
from orchestrator.decision.decide import decide
from orchestrator.decision.documents import decision_document
from orchestrator.decision.request import Override
from orchestrator.decision.snapshot import Snapshot
from orchestrator.ledger import Event, LaunchState, Ledger, schema
from tests.support.ledger import allocate, record
from tests.support.ledger_load import request, well_fleet
from vdbmon.cli import app

CONFIG = """
[host]
name = "db1"
[ledger]
url = "{url}"
[[hosts]]
name = "db1"
inventory = {{ cpus = 8, memory = "32GiB", disk = "1TiB", read_bps = "200MB", write_bps = "200MB" }}
[[hosts]]
name = "db2"
inventory = {{ cpus = 8, memory = "32GiB", disk = "1TiB", read_bps = "200MB", write_bps = "200MB" }}
"""


class Commands:
    """`vdbmon` with a configuration whose ledger is the test's."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(
            app, [*words, "--config", str(self._config)], env={"SUDO_USER": "ann", "COLUMNS": "200"}
        )

    def said(self, *words: str) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refusal(self, *words: str) -> str:
        result = self.run(*words)
        assert isinstance(result.exception, VdbmonError)
        return result.exception.code


@pytest.fixture
def commands(ledger_url: str, tmp_path: Path) -> Commands:
    config = tmp_path / "vdbmon.toml"
    config.write_text(CONFIG.format(url=ledger_url))
    return Commands(config)


def test_a_host_is_cordoned_with_who_why_and_until_when(commands: Commands, ledger: Ledger) -> None:
    assert commands.said("cordon", "db1", "--why", "new kernel", "--until", "2h").startswith("db1 is cordoned, until ")
    (cordon,) = ledger.view().cordons
    assert (cordon.host, cordon.who, cordon.why) == ("db1", "ann", "new kernel")
    assert cordon.until == pytest.approx(cordon.since + 7200)
    assert ledger.view().generations == {"db1": 1}
    assert commands.said("uncordon", "db1") == "db1 takes containers again\n"
    assert commands.said("uncordon", "db1") == "db1 was not cordoned\n"
    assert ledger.view().cordons == ()


def test_a_freeze_closes_every_host_of_the_configuration(commands: Commands, ledger: Ledger) -> None:
    assert commands.said("freeze", "--why", "the network is moved") == "the fleet is frozen\n"
    (cordon,) = ledger.view().cordons
    assert (cordon.host, cordon.until) == (None, None)
    assert ledger.view().generations == {"db1": 1, "db2": 1}
    assert commands.said("thaw") == "the fleet takes containers again\n"
    assert commands.said("thaw") == "the fleet was not frozen\n"


def test_wrong_words_are_refused_and_change_nothing(commands: Commands, ledger: Ledger) -> None:
    assert commands.refusal("cordon", "db9", "--why", "x") == "request.host"
    assert commands.refusal("cordon", "db1", "--why", " ") == "request.why"
    assert commands.refusal("freeze", "--why", "x", "--until", "yesterday") == "request.until"
    assert commands.run("cordon", "db1").exit_code == 2, "a reason must be given"
    assert ledger.view().cordons == ()


def decided(ledger: Ledger, snapshot: Snapshot, request_id: str, *, at: float) -> None:
    wanted = replace(request("demo"), name="b1", request_id=request_id)
    document = decision_document(decide(snapshot, wanted))
    ledger.record(Event(at=at, kind="decision", request_id=request_id, name="b1", who="ann", detail=document))


def test_a_refusal_is_explained_again_later(commands: Commands, ledger: Ledger) -> None:
    taken = replace(well_fleet(), names={"b1": "db02"})
    decided(ledger, taken, "a1", at=10.0)
    decided(ledger, well_fleet(), "a2", at=20.0)
    ledger.record(Event(at=21.0, kind="failed.create", request_id="a2", name="b1", detail="no such image"))
    newest = commands.said("explain", "b1")
    assert "b1: accepted: db00 keeps" in newest
    assert "by ann, request a2" in newest
    assert "failed.create: no such image" in newest
    assert "1 earlier: vdbmon explain b1 --request a1" in newest
    older = commands.said("explain", "b1", "--request", "a1")
    assert "name.taken: b1 is placed already, on db02" in older
    document = json.loads(commands.said("explain", "b1", "--json"))
    assert document["decision"]["host"] == "db00"
    assert document["earlier"] == ["a1"]


def test_an_override_shows_in_the_explanation(commands: Commands, ledger: Ledger) -> None:
    wanted = replace(request("demo"), name="b1")
    document = decision_document(decide(well_fleet(), wanted))
    override = Override(codes=("alert.firing",), who="ann", why="the disk is being replaced")
    allocate(ledger, record(), override=override, decision=document)
    assert "override by ann: alert.firing: the disk is being replaced" in commands.said("explain", "b1")


def test_what_the_record_does_not_have_is_said(commands: Commands, ledger: Ledger) -> None:
    assert commands.refusal("explain", "b1") == "decision.not_found"
    ledger.record(Event(at=1.0, kind="decision", request_id="a1", name="b1", detail={"verdict": "of another age"}))
    assert commands.refusal("explain", "b1") == "decision.unreadable"
    assert "of another age" in commands.said("explain", "b1", "--json")


def test_the_export_is_json_lines(commands: Commands, ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.CREATED, at=2.0, container_id="c1")
    head, *rows = [json.loads(line) for line in commands.said("ledger", "export").splitlines()]
    assert (head["table"], head["format"], head["schema"]) == (None, 1, schema.HEAD)
    (launch,) = [row for row in rows if row["table"] == "launch"]
    assert (launch["name"], launch["state"], launch["container_id"]) == ("b1", "created", "c1")


def test_nothing_is_rebuilt_over_a_ledger_that_is_not_empty(commands: Commands, ledger: Ledger) -> None:
    allocate(ledger, record())
    assert commands.refusal("ledger", "rebuild") == "ledger.not_empty"
    assert commands.refusal("ledger", "rebuild", "--host", "db9") == "request.host"
