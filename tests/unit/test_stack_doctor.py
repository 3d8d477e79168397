from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from collector.outputs.prometheus import PrometheusServer
from collector.web.web_config import WebConfig
from tests.support.servers import free_port
from tests.support.web import send, serving
from tests.support.web_site import TLS, USERS, write_certificate, write_web_config
from vdbmon.stack.checks import Check, Level
from vdbmon.stack.doctor import answers_http, examine


def finding(folder: Path, listen: str) -> Check:
    """What doctor says of the agent of this configuration."""
    config = folder / "vdbmon.toml"
    config.write_text(f'[host]\nname = "here"\n[agent]\nlisten = "{listen}"\nweb_config_file = "{folder}/web.yml"\n')
    (found,) = (check for check in examine(config) if check.subject == "agent")
    return found


def test_an_agent_behind_tls_and_a_password_answers(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    web = WebConfig(write_web_config(tmp_path, TLS + USERS))
    server = PrometheusServer("127.0.0.1:0", lambda _: b"", web_config=web)
    server.start()
    try:
        found = finding(tmp_path, f":{server.port}")
    finally:
        server.close()
    assert (found.level, found.detail) == (Level.OK, f"https://127.0.0.1:{server.port}")
    assert finding(tmp_path, f":{server.port}").level is Level.FAIL, "and doesn't, once it has ended"


def test_a_web_configuration_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    found = finding(tmp_path, f"127.0.0.1:{free_port()}")
    assert (found.level, found.detail) == (Level.FAIL, f"{tmp_path}/web.yml can't be read: No such file or directory")


def test_only_an_answer_is_one() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/prefix/-/ready":
            send(handler, b"ready")
        else:
            handler.send_error(500)

    with serving(answer) as port:
        assert answers_http(f"http://127.0.0.1:{port}/prefix/", "/-/ready")
        assert not answers_http(f"http://127.0.0.1:{port}", "/-/ready")


@pytest.mark.parametrize("url", ["", "127.0.0.1", "http://[::1", "http://127.0.0.1:99999"])
def test_what_is_no_address_answers_nothing(url: str) -> None:
    assert not answers_http(url, "/-/ready")
