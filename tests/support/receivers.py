"""Who is told: an SMTP server, and stand-ins for PagerDuty and WeChat Work that take only what their APIs publish.

Sources: PagerDuty "Events API v2" (`/v2/enqueue`); WeChat Work "gettoken" and "message/send" (text message of an
application). A request that the real one would refuse is answered as the real one would, and is kept in `refused`.
"""

from __future__ import annotations

import contextlib
import email.policy
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.servers import free_port

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
CORP_ID, AGENT_ID, CORP_SECRET = "ww0123456789abcdef", "1000002", "wechat-secret"
TOKEN = "token-of-wechat"  # noqa: S105 - of the stand-in
SMTP_USER, SMTP_PASSWORD = "vdbmon", "smtp-secret"

EVENT = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": {"const": ROUTING_KEY},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
        "images": {"type": "array"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "additionalProperties": False,
}
LARGEST_EVENT = 512 * 1024
MESSAGE = {
    "type": "object",
    "required": ["msgtype", "agentid", "text"],
    "anyOf": [{"required": ["touser"]}, {"required": ["toparty"]}, {"required": ["totag"]}],
    "properties": {
        "touser": {"type": "string"},
        "toparty": {"type": "string"},
        "totag": {"type": "string"},
        "msgtype": {"const": "text"},
        "agentid": {"enum": [AGENT_ID, int(AGENT_ID)]},
        "text": {"type": "object", "required": ["content"], "properties": {"content": {"type": "string"}}},
        "safe": {"enum": ["0", "1", 0, 1]},
    },
}
LONGEST_MESSAGE = 2048  # bytes of a text's content


@dataclass(frozen=True, slots=True)
class Received:
    """One message that was taken. `firing` is false for the message that all is well again."""

    way: str
    at: float
    firing: bool
    text: str
    raw: Any


@dataclass(slots=True)
class Inbox:
    """All that was received, and what was refused and why. `at` of a message is time.monotonic()."""

    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take(self, way: str, *, firing: bool, text: str, raw: Any) -> None:
        """Keep a message."""
        self.received.append(Received(way, time.monotonic(), firing, text, raw))

    def about(self, words: str, way: str, *, firing: bool) -> list[Received]:
        """The messages that came this way and hold these words."""
        return [one for one in self.received if one.way == way and one.firing is firing and words in one.text]


@dataclass(frozen=True, slots=True)
class Receivers:
    """Where they listen; `trusted` is the authority of the SMTP server's certificate."""

    inbox: Inbox
    trusted: Path
    pagerduty: str
    wechat: str
    webhook: str
    smarthost: str


@contextlib.contextmanager
def receivers(folder: Path) -> Iterator[Receivers]:
    """All of them, on loopback; `folder` takes a certificate."""
    inbox = Inbox()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = _Web(inbox)
    smtp = Controller(
        _Mail(inbox),
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=_authenticate,
        auth_required=True,
        auth_exclude_mechanism=["LOGIN"],  # aiosmtpd asks for "User Name", which Alertmanager doesn't understand
        tls_context=context,
        require_starttls=True,
    )
    smtp.start()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Receivers(
            inbox,
            folder / "authority.pem",
            f"{base}/v2/enqueue",
            f"{base}/cgi-bin/",
            f"{base}/webhook",
            f"127.0.0.1:{smtp.port}",
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        smtp.stop()


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Web

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path != "/cgi-bin/gettoken":
            self._refuse(404, {}, f"GET {url.path}")
        elif query == {"corpid": CORP_ID, "corpsecret": CORP_SECRET}:
            self._answer(200, {"errcode": 0, "errmsg": "ok", "access_token": TOKEN, "expires_in": 7200})
        else:
            self._refuse(200, {"errcode": 40001, "errmsg": "invalid credential"}, "gettoken: wrong credential")

    def do_POST(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        document = json.loads(body)
        match url.path:
            case "/v2/enqueue":
                self._pagerduty(document, len(body))
            case "/cgi-bin/message/send":
                self._wechat(document, dict(urllib.parse.parse_qsl(url.query)))
            case "/webhook":
                for alert in document["alerts"]:
                    text = f"{alert['labels']['alertname']} {alert['annotations'].get('summary', '')}"
                    self.server.inbox.take("webhook", firing=alert["status"] == "firing", text=text, raw=document)
                self._answer(200, {})
            case _:
                self._refuse(404, {}, f"POST {url.path}")

    def _pagerduty(self, event: dict[str, Any], size: int) -> None:
        if self.headers.get_content_type() != "application/json" or size > LARGEST_EVENT:
            self._refuse(400, {"status": "invalid event"}, f"{self.headers['Content-Type']}, {size} bytes")
        elif error := _first_error(event, EVENT):
            self._refuse(400, {"status": "invalid event", "errors": [error]}, f"pagerduty: {error}")
        else:
            firing = event["event_action"] == "trigger"
            details = event.get("payload", {}).get("custom_details", {})
            text = f"{event.get('payload', {}).get('summary', '')}\n{details.get('text', '')}"
            self.server.inbox.take("pagerduty", firing=firing, text=text, raw=event)
            self._answer(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})

    def _wechat(self, message: dict[str, Any], query: dict[str, str]) -> None:
        if query.get("access_token") != TOKEN:
            self._refuse(200, {"errcode": 40014, "errmsg": "invalid access_token"}, "wechat: wrong token")
        elif error := _first_error(message, MESSAGE):
            self._refuse(200, {"errcode": 40008, "errmsg": error}, f"wechat: {error}")
        elif (size := len(message["text"]["content"].encode())) > LONGEST_MESSAGE:
            self._refuse(200, {"errcode": 45002, "errmsg": "content size out of limit"}, f"wechat: {size} bytes")
        else:
            text = message["text"]["content"]
            self.server.inbox.take("wechat", firing="RESOLVED" not in text, text=text, raw=message)
            self._answer(200, {"errcode": 0, "errmsg": "ok"})

    def _refuse(self, status: int, body: dict[str, Any], why: str) -> None:
        self.server.inbox.refused.append(why)
        self._answer(status, body)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


def _first_error(document: object, schema: dict[str, Any]) -> str | None:
    error = next(iter(jsonschema.Draft7Validator(schema).iter_errors(document)), None)
    return None if error is None else error.message


class _Mail:
    """Takes mail, and reads it as a mail program would."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        content = envelope.content
        assert isinstance(content, bytes)
        parser = BytesParser(EmailMessage, policy=email.policy.default)
        message = parser.parsebytes(content)
        body = message.get_body(("plain",))
        text = f"{message['Subject']}\n{body.get_content() if body else ''}"
        self._inbox.take("email", firing="[RESOLVED]" not in text, text=text, raw=message)
        return "250 OK"


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (
        SMTP_USER.encode(),
        SMTP_PASSWORD.encode(),
    )
    return AuthResult(success=good)
