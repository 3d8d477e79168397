"""A real Prometheus scrapes the real server."""

from pathlib import Path

from collector.metrics import gauge
from collector.outputs.prometheus import PrometheusServer
from collector.projections.prometheus import Exposition
from tests.support.servers import prometheus, query
from tests.support.wait import wait_until

TEMPERATURE = gauge("room_temperature", "How warm it is.", "room")
HOSTILE = ('quote"d', "back\\slash", "new\nline", "ünïcode ☃", '{a="b"} 1', "trailing\\")


def test_prometheus_stores_every_label_as_it_was(tmp_path: Path) -> None:
    exposition = Exposition("host-1")
    samples = [TEMPERATURE.sample(number + 0.5, room) for number, room in enumerate(HOSTILE)]
    server = PrometheusServer("127.0.0.1:0", lambda text_format: exposition.render(samples, None, text_format))
    server.start()
    config = (
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        "- job_name: vdbmon\n"
        "  honor_labels: true\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{server.port}'], labels: {{host: host-1}}}}]\n"
    )
    try:
        with prometheus(tmp_path, config) as store:
            found = wait_until(lambda: query(store, "room_temperature"), deadline=30, what="the series")
            assert {row["metric"]["room"]: float(row["value"][1]) for row in found} == {
                room: number + 0.5 for number, room in enumerate(HOSTILE)
            }
            assert {row["metric"]["host"] for row in found} == {"host-1"}
            assert [row["value"][1] for row in query(store, 'up{job="vdbmon"}')] == ["1"]
    finally:
        server.close()
