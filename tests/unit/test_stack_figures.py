from collections.abc import Sequence
from pathlib import Path

from orchestrator.decision.decide import Decision, Verdict
from orchestrator.decision.reasons import Code, Reason
from orchestrator.ledger import LaunchRecord, LaunchState
from vdbmon.stack.demonstration import AMOUNTS, reasons_against
from vdbmon.stack.figures import backup_lines

RESULT = {
    "kind": "full",
    "seconds": 8.0,
    "bytes_raw": 400_000_000,
    "bytes_stored": 160_000_000,
    "files": [{"name": "backup.xb.zst", "bytes": 160_000_000, "sha256": "ab" * 32}],
    "from_lsn": 0,
    "to_lsn": 277670488,
    "binlog_file": "binlog.000002",
    "binlog_position": 339,
    "gtid": "0-1-4",
}


def make_record(**result: object) -> LaunchRecord:
    return LaunchRecord(
        request_id="f" * 32,
        name="demo-backup",
        host="dr-host-01",
        source="demo",
        job="backup",
        state=LaunchState.DONE,
        spec={},
        spec_hash="0",
        volume="demo-backup-1",
        created_at=0.0,
        updated_at=0.0,
        outcome={"exit_code": 0, "record": RESULT | result},
    )


def test_the_figures_say_size_rate_limit_checksum_and_position() -> None:
    lines = list(backup_lines(make_record(), AMOUNTS, Path("/v/demo-backup-1")))
    text = "\n".join(lines)
    for part in (
        "400.0 MB, 50.0 MB/s; disk read limit 50.0 MB/s, cached pages are free",
        "160.0 MB, 20.0 MB/s; write limit 50.0 MB/s",
        "ab" * 32,
        "0 to 277670488",
        "binlog.000002:339, GTID 0-1-4",
        "/v/demo-backup-1",
        "8.0 s",
    ):
        assert part in text


def test_a_server_without_a_binary_log_has_no_position() -> None:
    lines = backup_lines(make_record(binlog_file=None, binlog_position=None), AMOUNTS, Path("/v"))
    assert not any("position" in line for line in lines)


def test_only_reasons_against_the_host_itself_are_waited_out() -> None:
    here, there = (Reason(code=code, text="x") for code in (Code.TELEMETRY_STALE, Code.SOURCE_NOT_LOCAL))
    verdicts: Sequence[Verdict] = [
        Verdict(host="dr-host-01", fits=False, reasons=(here,), free={}),
        Verdict(host="dr-host-02", fits=False, reasons=(there,), free={}),
    ]
    decision = Decision(request_id="1", name="x", taken_at=0.0, host=None, why="", needed={}, verdicts=tuple(verdicts))
    assert reasons_against(decision, "dr-host-01") == (here,)
    assert reasons_against(decision, "dr-host-03") == ()
