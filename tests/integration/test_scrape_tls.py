"""A real Prometheus scrapes the server over TLS with a password, and asks for OpenMetrics."""

import base64
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest
import trustme

from collector.catalogue import cgroup, host, internal
from collector.outputs.prometheus import PrometheusServer
from collector.projections.prometheus import Exposition, TextFormat
from collector.web.web_config import WebConfig
from tests.support.agent import VDBMON
from tests.support.servers import free_port, http_json, process, prometheus, query
from tests.support.wait import wait_until
from tests.support.web_site import TLS, USERS, write_certificate, write_web_config

CONTAINER = ("backup-1", "mariadb:10.11")
SAMPLES = (
    host.LOAD1.sample(0.5),
    host.VMSTAT["pgfault"].sample(7),
    cgroup.MEMORY_FAILCNT.sample(3, *CONTAINER),
    cgroup.CPU_USAGE.sample(12.5, *CONTAINER, "total"),
    internal.BUILD_INFO.sample(1, "1.2.3"),
)


def protect(folder: Path, name: str = "agent.test") -> trustme.CA:
    """What a server of this name needs for TLS and a password; the authority that its clients are to trust."""
    write_web_config(folder, TLS + USERS)
    return write_certificate(folder, name)


def protected_server(folder: Path, asked: list[TextFormat]) -> PrometheusServer:
    protect(folder)
    exposition = Exposition("host-1")

    def scrape(text_format: TextFormat) -> bytes:
        asked.append(text_format)
        return exposition.render(SAMPLES, None, text_format)

    return PrometheusServer("127.0.0.1:0", scrape, web_config=WebConfig(folder / "web.yml"))


def scrape_config(folder: Path, port: int, password: str) -> str:
    (folder / "password").write_text(password)
    return (
        "global: {scrape_interval: 2s, scrape_timeout: 2s}\n"  # a password check takes its time
        "scrape_configs:\n"
        "- job_name: vdbmon\n"
        "  honor_labels: true\n"
        "  scheme: https\n"
        "  tls_config: {ca_file: ca.pem, server_name: agent.test}\n"
        "  basic_auth: {username: prometheus, password_file: password}\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )


def test_prometheus_reads_openmetrics_over_tls_with_a_password(tmp_path: Path) -> None:
    asked: list[TextFormat] = []
    server = protected_server(tmp_path, asked)
    server.start()
    try:
        with prometheus(tmp_path, scrape_config(tmp_path, server.port, "secret")) as store:
            wait_until(lambda: query(store, "node_load1"), deadline=30, what="a scrape")
            stored = {
                sample.metric.name: [float(row["value"][1]) for row in query(store, sample.metric.name)]
                for sample in SAMPLES
            }
            metadata = http_json(f"{store.url}/api/v1/metadata")["data"]
    finally:
        server.close()
    assert set(asked) == {TextFormat.OPENMETRICS}
    assert stored == {sample.metric.name: [sample.value] for sample in SAMPLES}
    assert metadata["container_cpu_usage_seconds"][0]["type"] == "counter"
    assert metadata["container_cpu_usage_seconds"][0]["unit"] == "seconds"
    assert metadata["container_memory_failcnt"][0]["type"] == "unknown"


@pytest.mark.parametrize(("password", "error"), [("wrong", "401"), ("", "401")])
def test_a_wrong_password_is_an_error_that_prometheus_names(tmp_path: Path, password: str, error: str) -> None:
    server = protected_server(tmp_path, [])
    server.start()
    try:
        with prometheus(tmp_path, scrape_config(tmp_path, server.port, password)) as store:
            wait_until(
                lambda: any(
                    error in target["lastError"]
                    for target in http_json(f"{store.url}/api/v1/targets")["data"]["activeTargets"]
                ),
                deadline=30,
                what=f"an error with {error}",
            )
            assert query(store, "node_load1") == []
    finally:
        server.close()


def agent_config(folder: Path, port: int) -> Path:
    path = folder / "vdbmon.toml"
    path.write_text(
        f'[host]\nname = "testhost"\n[agent]\nlisten = "localhost:{port}"\nweb_config_file = "{folder / "web.yml"}"\n'
    )
    return path


def test_the_agent_serves_its_metrics_by_the_file(tmp_path: Path) -> None:
    authority = protect(tmp_path)
    port, log = free_port(), tmp_path / "agent.log"
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.check_hostname = False  # the certificate is agent.test's
    credentials = base64.b64encode(b"prometheus:secret").decode()
    request = urllib.request.Request(
        f"https://localhost:{port}/metrics",
        headers={"Authorization": f"Basic {credentials}", "Accept": "application/openmetrics-text"},
    )

    def scrape() -> str | None:
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    with process([VDBMON, "agent", "run", "--config", str(agent_config(tmp_path, port))], log):
        text = wait_until(scrape, deadline=30, what="the agent answers")
    assert text.endswith("# EOF\n")
    assert 'vdbmon_build_info{version="' in text
    assert f"vdbmon agent of testhost: https://localhost:{port}/metrics" in log.read_text()


def test_a_key_that_others_may_read_keeps_the_agent_from_starting(tmp_path: Path) -> None:
    protect(tmp_path)
    (tmp_path / "key.pem").chmod(0o644)
    answer = subprocess.run(
        [VDBMON, "agent", "run", "--config", str(agent_config(tmp_path, free_port()))],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.endswith(f"{tmp_path / 'key.pem'} has mode 0644; chmod 600 {tmp_path / 'key.pem'}")


def test_top_reads_an_agent_behind_tls_and_a_password(tmp_path: Path) -> None:
    protect(tmp_path, "localhost")
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    port = free_port()
    path = agent_config(tmp_path, port)

    def top(*options: str) -> tuple[int, str]:
        command = [VDBMON, "top", "--once", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    with process([VDBMON, "agent", "run", "--config", str(path)], tmp_path / "agent.log"):
        wait_until(lambda: "vdbmon agent of" in (tmp_path / "agent.log").read_text(), deadline=30, what="the agent")
        code, text = top("--agent", f"https://localhost:{port}")
        assert (code, "certificate verify failed" in text) == (1, True), text
        access = f'[top]\ntls_ca = "{tmp_path / "ca.pem"}"\n'
        path.write_text(path.read_text() + access)
        code, text = top("--config", str(path))
        assert (code, "401" in text) == (1, True), text
        path.write_text(path.read_text() + f'username = "prometheus"\npassword_file = "{tmp_path / "password"}"\n')
        for options in ((), ("--agent", f"https://localhost:{port}")):
            code, text = top("--config", str(path), *options)
            assert (code, "testhost" in text) == (0, True), text
        (tmp_path / "password").chmod(0o644)
        code, text = top("--config", str(path))
        assert (code, text.count("\n"), "has mode 0644" in text) == (2, 1, True), text
