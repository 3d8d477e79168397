"""`vdbmon dashboards push` against a stand-in for Grafana's API, since no Grafana can be had on Debian.

The stand-in checks each request against the published API: method, path, token, media type, body, and the dashboard
against Grafana's schema. Its answers are those of the documentation.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dashboards.generated import dashboard_files
from tests.support.grafana_schema import schema_errors

TOKEN = "glsa_secret-of-the-test"  # noqa: S105 - of the stand-in


class Grafana(ThreadingHTTPServer):
    """What it was sent, and how it answers; `problems` are requests that a real one would not understand."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folders: dict[str, str] = {}
        self.saved: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def save(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST /api/dashboards/db."""
        if self.refusal:
            return self.refusal
        known = {"dashboard", "folderUid", "message", "overwrite"}
        self.problems += [f"unknown key {key}" for key in body.keys() - known]
        dashboard = body["dashboard"]
        self.problems += schema_errors(dashboard)
        if dashboard.get("id") is not None:
            self.problems.append("an id of another Grafana")
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        uid = dashboard["uid"]
        if uid in self.saved and not body["overwrite"]:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        self.saved[uid] = dashboard
        return 200, {"id": len(self.saved), "uid": uid, "url": f"/d/{uid}/x", "status": "success", "version": 1}


class Handler(BaseHTTPRequestHandler):
    server: Grafana

    def do_GET(self) -> None:
        if self._let_in():
            uid = self.path.removeprefix("/api/folders/")
            known = self.server.folders.get(uid)
            found = (200, {"uid": uid, "title": known}) if known else (404, {"message": "folder not found"})
            self._answer(*found)

    def do_POST(self) -> None:
        if not self._let_in():
            return
        if self.headers["Content-Type"] != "application/json":
            self.server.problems.append(f"media type {self.headers['Content-Type']}")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/folders":
            self.server.folders[body["uid"]] = body["title"]
            self._answer(200, body)
        elif self.path == "/api/dashboards/db":
            self._answer(*self.server.save(body))
        else:
            self._answer(404, {"message": "Not found"})

    def _let_in(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._answer(401, {"message": "Invalid API key"})
        return False

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://elsewhere.example/login")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(f"{TOKEN}\n")
    return path


def push(url: str, token_file: Path) -> subprocess.CompletedProcess[str]:
    code = "from vdbmon.cli import main; main()"
    words = ["dashboards", "push", "--url", url, "--token-file", str(token_file)]
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)


def test_all_dashboards_are_saved_in_a_folder_of_their_own(grafana: Grafana, token_file: Path) -> None:
    result = push(f"{grafana.url}/", token_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert grafana.problems == []
    assert grafana.folders == {"vdbmon": "vdbmon"}
    assert {f"{uid}.json": dashboard for uid, dashboard in grafana.saved.items()} == {
        name: json.loads(content) for name, content in dashboard_files().items()
    }
    assert result.stdout.splitlines()[0] == f"{grafana.url}/d/vdbmon-fleet/x"


def test_a_second_push_goes_over_the_first(grafana: Grafana, token_file: Path) -> None:
    grafana.folders["vdbmon"] = "renamed by its users"
    assert push(grafana.url, token_file).returncode == 0
    assert push(grafana.url, token_file).returncode == 0
    assert grafana.folders == {"vdbmon": "renamed by its users"}


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (403, {"message": "Access denied"}, "Grafana refuses vdbmon-fleet.json: 403 Access denied; give the service"),
        (400, {"message": "Cannot save provisioned dashboard"}, "400 Cannot save provisioned dashboard"),
        (500, {}, "500 Internal Server Error"),
        (302, {}, "Grafana sends vdbmon-fleet.json to https://elsewhere.example/login; use that address"),
        (200, {"unexpected": 1}, "answers as no Grafana does"),
    ],
)
def test_what_grafana_refuses_is_one_line(
    grafana: Grafana, token_file: Path, status: int, words: dict[str, Any], expected: str
) -> None:
    grafana.refusal = (status, words)
    result = push(grafana.url, token_file)
    assert result.returncode == 1
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert TOKEN not in result.stderr


def test_a_wrong_token_is_refused_without_being_shown(grafana: Grafana, token_file: Path) -> None:
    token_file.write_text("glsa_wrong")
    result = push(grafana.url, token_file)
    assert result.returncode == 1
    assert "401 Invalid API key; check the token" in result.stderr
    assert "glsa_wrong" not in result.stderr


def test_a_token_that_others_can_read_is_not_used(grafana: Grafana, token_file: Path) -> None:
    token_file.chmod(0o644)
    result = push(grafana.url, token_file)
    assert result.returncode == 2
    assert f"--token-file {token_file} has mode 0644; chmod 600" in result.stderr
    assert grafana.saved == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not a url"])
def test_where_nobody_listens_is_one_line(url: str, token_file: Path) -> None:
    result = push(url, token_file)
    assert result.returncode == 1
    assert result.stderr.startswith("vdbmon: can't ask ")
    assert len(result.stderr.splitlines()) == 1
