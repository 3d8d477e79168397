import io
from dataclasses import replace

import pytest
from rich.console import Console

from orchestrator.decision.decide import Decision, Verdict
from orchestrator.decision.reasons import Reason, capacity_reason
from orchestrator.decision.resources import ResourceClass
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.placement.outcomes import LaunchStatus
from vdbmon.tables import decision_table, launch_table

EVERYWHERE = Reason(code="watchdog.silent", text="alert Watchdog, which always fires, doesn't")


def refusal(*hosts: str) -> Decision:
    verdicts = [
        Verdict(
            host=host,
            fits=False,
            reasons=(EVERYWHERE, capacity_reason(ResourceClass.DISK, needed=2**40, free=number)),
            free={},
        )
        for number, host in enumerate(hosts)
    ]
    return Decision(
        request_id="r", name="b1", taken_at=0.0, host=None, why="none can", needed={}, verdicts=tuple(verdicts)
    )


def printed(renderable: object, width: int = 80) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(renderable)
    return output.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_reason_is_shown_whatever_the_width(width: int) -> None:
    text = printed(decision_table(refusal("db1", "a-host-with-a-name-" + "x" * 40)), width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert words.count("watchdog.silent") == 1
    assert words.count("capacity.disk") == 2


def test_reasons_of_an_only_host_are_its_own() -> None:
    assert "every host" not in printed(decision_table(refusal("db1")))


def test_hosts_with_the_same_reasons_share_a_row() -> None:
    apart = Reason(code="source.not_local", text="the data directory is on db1, not here")
    verdicts = [Verdict(host=f"db{number}", fits=False, reasons=(apart,), free={}) for number in range(2, 5)]
    chosen = Verdict(host="db1", fits=True, reasons=(), free={})
    text = printed(decision_table(replace(refusal(), host="db1", verdicts=(chosen, *verdicts))))
    assert text.count("source.not_local") == 1
    (line,) = [line for line in text.splitlines() if "source.not_local" in line]
    assert line.split("refused")[0].strip() == "db2, db3, db4"


def test_names_are_no_markup() -> None:
    assert "[red]db1" in printed(decision_table(refusal("[red]db1")))


def status(state: LaunchState, *, known: bool = True, outcome: dict[str, object] | None = None) -> LaunchStatus:
    record = LaunchRecord(
        request_id="r",
        name="b1",
        host="db1",
        source="demo",
        job="backup",
        state=state,
        spec={},
        spec_hash="",
        volume="b1-r",
        outcome=outcome,
        created_at=0.0,
        updated_at=0.0,
    )
    return LaunchStatus(record=record, known=known, held={ResourceClass.DISK: 2**30})


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (status(LaunchState.RUNNING), "running"),
        (status(LaunchState.RUNNING, known=False), "unknown"),
        (status(LaunchState.INTENT), "half done at intent: vdbmon reconcile"),
        (status(LaunchState.FAILED, outcome={"message": "exit code 1: no space"}), "failed: exit code 1: no space"),
        (status(LaunchState.REMOVED), "kept"),
        (status(LaunchState.DONE, outcome={"record": {"state": "done", "bytes_stored": 2**20}}), "1 MiB"),
    ],
)
def test_state_is_told_in_words(shown: LaunchStatus, words: str) -> None:
    text = printed(launch_table([shown], now=90.0), 200)
    assert words in text
    assert "2m" in text
    assert "1 GiB" in text
