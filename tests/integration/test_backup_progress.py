"""How far jobs are, as a real Prometheus has it and `vdbmon ps` shows it."""

from pathlib import Path

import pytest

from orchestrator.backup.progress import Progress, read_progress
from orchestrator.backup.runner.record import State
from orchestrator.survey.prometheus import PrometheusClient
from tests.support.fleet import exporter, gate_prometheus
from tests.support.wait import wait_until
from vdbmon.tables import progress_text

MIB = 2**20
LABELS = 'name="b1",image="i",source="demo",backup_job="backup"'


def test_prometheus_tells_bytes_rate_and_what_is_expected(tmp_path: Path) -> None:
    with exporter() as metrics, gate_prometheus(tmp_path, metrics) as server:
        client = PrometheusClient(server.url, timeout=5.0)
        done = f'vdbmon_backup_progress_bytes{{{LABELS},kind="raw"}}'
        metrics.extra = {done: 100 * MIB, f'vdbmon_backup_expected_bytes{{{LABELS},kind="raw"}}': 400 * MIB}

        def grown() -> Progress | None:
            metrics.extra[done] += 10 * MIB
            found = read_progress(client).get("b1")
            return found if found is not None and found.rate else None

        found = wait_until(grown, deadline=30, what="a rate", every=1.0)
        assert found.expected == 400 * MIB
        assert found.done
        assert found.done > 100 * MIB
        assert found.rate is not None
        assert found.rate > 0
        assert (found.stored, found.state) == (0, None), "an older runner says neither"

        metrics.extra |= {
            f'vdbmon_backup_progress_bytes{{{LABELS},kind="stored"}}': 30 * MIB,
            f'vdbmon_backup_state{{{LABELS},state="started"}}': 0,
            f'vdbmon_backup_state{{{LABELS},state="copied"}}': 1,
            f'vdbmon_backup_state{{{LABELS.replace("b1", "b2")},state="of a newer one"}}': 1,
        }

        def told() -> Progress | None:
            found = read_progress(client).get("b1")
            return found if found is not None and found.state is not None else None

        copied = wait_until(told, deadline=30, what="a state", every=1.0)
        assert copied is not None
        assert (copied.stored, copied.state) == (30 * MIB, State.COPIED)

        metrics.extra |= {
            f'vdbmon_backup_state{{{LABELS},state="copied"}}': 0,
            f'vdbmon_backup_state{{{LABELS},state="done"}}': 1,
            f"vdbmon_backup_lag_seconds{{{LABELS.replace('b1', 's1')}}}": 4,
        }
        wait_until(lambda: "b1" not in read_progress(client), deadline=30, what="it is over", every=0.5)
        assert read_progress(client)["s1"] == Progress(lag=4.0)
    assert read_progress(client) == {}, "nobody answers any more"


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(done=MIB), "1 MiB"),
        (Progress(done=MIB, expected=3 * MIB), "1 MiB of 3 MiB"),
        (Progress(done=MIB, expected=3 * MIB, rate=MIB / 30), "1 MiB of 3 MiB, 34.1 KiB/s, 1m left"),
        (Progress(done=4 * MIB, expected=3 * MIB, rate=1.0), "4 MiB of 3 MiB, 1 B/s, 0s left"),
        (Progress(done=MIB, rate=0.0), "1 MiB"),
        (Progress(done=MIB, lag=3.0), "1 MiB, 3s behind"),
        (Progress(lag=90.0), "2m behind"),
    ],
    ids=["bytes", "expected", "rate", "beyond", "stuck", "logs", "standby"],
)
def test_progress_in_a_line(progress: Progress, text: str) -> None:
    assert progress_text(progress) == text
