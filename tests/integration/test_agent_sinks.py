"""The agent's way to Graphite and OpenTSDB: VictoriaMetrics takes both, and shows whether they got the same."""

from pathlib import Path

from tests.support.agent import VDBMON
from tests.support.servers import exported, free_port, process, victoria_metrics
from tests.support.wait import wait_until

PATIENCE = 30.0


def test_one_collection_goes_to_several_far_ends(tmp_path: Path) -> None:
    graphite, opentsdb = free_port(), free_port()
    config = tmp_path / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "dr-01"\n[agent]\nlisten = "127.0.0.1:{free_port()}"\ninterval = "1s"\n'
        f'flush_interval = "100ms"\nbuffer_directory = "{tmp_path / "spool"}"\n'
        f'[[outputs.graphite]]\nservers = ["127.0.0.1:{graphite}"]\ngraphite_tag_support = true\n'
        f'graphite_tag_sanitize_mode = "compatible"\n'
        f'[[outputs.opentsdb]]\nhost = "http://127.0.0.1"\nport = {opentsdb}\nhttp_batch_size = 500\n'
    )
    more = f"-graphiteListenAddr=127.0.0.1:{graphite}", f"-opentsdbHTTPListenAddr=127.0.0.1:{opentsdb}"
    with (
        victoria_metrics(tmp_path, None, *more) as server,
        process([VDBMON, "agent", "run", "--config", str(config)], tmp_path / "agent.log"),
    ):

        def found() -> dict[str, set[tuple[int, float]]]:
            return {
                name: {
                    point
                    for _, values, times in exported(server.url, name)
                    for point in zip(times, values, strict=True)
                }
                for name in ("mem.total", "mem_total")
            }

        wait_until(lambda: all(len(points) >= 2 for points in found().values()), deadline=PATIENCE, what="both series")
        series = found()
        assert series["mem.total"] & series["mem_total"]
        disks = [labels["path"] for labels, _, _ in exported(server.url, "disk.total")]
    assert "/" in disks
