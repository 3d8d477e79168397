"""The agent's way to an InfluxDB v2 endpoint: VictoriaMetrics, present, absent and back."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.servers import Server, free_port, http_get, process, query, victoria_metrics
from tests.support.wait import wait_until

VDBMON = str(Path(sys.executable).with_name("vdbmon"))
PATIENCE = 30.0


@contextlib.contextmanager
def agent(folder: Path, far_end: int) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "pushing \\"host\\""\n[agent]\nlisten = "127.0.0.1:{free_port()}"\ninterval = "1s"\n'
        f'flush_interval = "200ms"\nbuffer_directory = "{folder / "spool"}"\n'
        f'[[outputs.influxdb_v2]]\nurls = ["http://127.0.0.1:{far_end}"]\n'
    )
    with process([VDBMON, "agent", "run", "--config", str(config)], folder / "agent.log") as started:
        yield started


def seen(server: Server, expression: str) -> list[dict[str, Any]]:
    http_get(f"{server.url}/internal/force_flush")
    return query(server, expression)


def test_collections_arrive_under_telegrafs_names(tmp_path: Path) -> None:
    with victoria_metrics(tmp_path) as server, agent(tmp_path, server.port):
        rows = wait_until(
            lambda: seen(server, 'mem_total{host="pushing \\"host\\""}'), deadline=PATIENCE, what="memory of the host"
        )
    assert len(rows) == 1


def test_what_was_collected_while_the_far_end_was_away_arrives_with_its_own_time(tmp_path: Path) -> None:
    port = free_port()
    with agent(tmp_path, port):
        wait_until(
            lambda: "no answer" in (tmp_path / "agent.log").read_text(), deadline=PATIENCE, what="a failed write"
        )
        with victoria_metrics(tmp_path, port) as server:
            points = wait_until(
                lambda: [row for row in seen(server, "count_over_time(mem_total[1m])") if float(row["value"][1]) >= 3],
                deadline=PATIENCE,
                what="several points of different seconds",
            )
    assert len(points) == 1


def test_what_a_killed_agent_had_collected_is_delivered_by_the_next(tmp_path: Path) -> None:
    port = free_port()
    segments = tmp_path / "spool"
    with agent(tmp_path, port) as killed:
        wait_until(
            lambda: sum(path.stat().st_size for path in segments.glob("*/*.seg")) > 0,
            deadline=PATIENCE,
            what="a collection in the spool",
        )
        killed.kill()
        killed.wait()
    last = max(path.stat().st_mtime for path in segments.glob("*/*.seg"))
    with victoria_metrics(tmp_path, port) as server, agent(tmp_path, port):
        # Before that moment only the killed agent had collected anything.
        older = wait_until(
            lambda: seen(server, f"count_over_time(mem_total[1m] @ {last:.3f})"), deadline=PATIENCE, what="its points"
        )
    assert float(older[0]["value"][1]) >= 1
