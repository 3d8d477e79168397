"""Puts the dashboards into a running Grafana over its HTTP API.

Source: Grafana 12, "Folder HTTP API" and "Dashboard HTTP API" (`/api/folders`, `/api/dashboards/db`); deprecated since
12.0 in favour of `/apis`, and served on. The token is a service account's with the role Editor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from collector.errors import VdbmonError
from dashboards.addresses import FOLDER_UID

_TIMEOUT = 15.0  # seconds, for one answer
_TITLE = "vdbmon"
_REMEDIES = {
    HTTPStatus.UNAUTHORIZED: "check the token; it must be a service account's of that Grafana",
    HTTPStatus.FORBIDDEN: "give the service account the role Editor",
    HTTPStatus.NOT_FOUND: "check the URL; with a sub-path it must be part of it",
}


class GrafanaError(VdbmonError):
    """Grafana can't be reached, or doesn't take what it was sent."""


@dataclass(frozen=True, slots=True)
class Grafana:
    """Where it is, and what lets us in; the token never shows in a text made of this."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Grafana({self.url!r})"


def push(grafana: Grafana, files: Mapping[str, bytes]) -> Iterator[str]:
    """Save each dashboard in the folder `vdbmon`, over what is there; gives the address of each as it is saved.

    Raises:
        GrafanaError: not reachable, not let in, or a dashboard was not taken.
    """
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {grafana.token}"
        _ensure_folder(session, grafana.url)
        for name, content in files.items():
            saved = _save(session, grafana.url, name, json.loads(content))
            yield f"{grafana.url.rstrip('/')}{saved['url']}"


def _ensure_folder(session: requests.Session, url: str) -> None:
    known = _call(session, "GET", f"{url}/api/folders/{FOLDER_UID}", None)
    if known.status_code == HTTPStatus.OK:
        return
    if known.status_code != HTTPStatus.NOT_FOUND:
        raise _refused("folder", known)
    made = _call(session, "POST", f"{url}/api/folders", {"uid": FOLDER_UID, "title": _TITLE})
    # Made by somebody else in between.
    if made.status_code not in (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        raise _refused("folder", made)


def _save(session: requests.Session, url: str, name: str, dashboard: dict[str, Any]) -> dict[str, Any]:
    document = {
        "dashboard": dashboard,
        "folderUid": FOLDER_UID,
        "overwrite": True,
        "message": "vdbmon dashboards push",
    }
    answer = _call(session, "POST", f"{url}/api/dashboards/db", document)
    if answer.status_code != HTTPStatus.OK:
        raise _refused(name, answer)
    try:
        saved: dict[str, Any] = answer.json()
        return {"url": str(saved["url"])}
    except (ValueError, KeyError, TypeError) as error:
        message = f"{url} answers as no Grafana does"
        raise GrafanaError("grafana.answer", message, _REMEDIES[HTTPStatus.NOT_FOUND]) from error


def _call(session: requests.Session, method: str, url: str, document: dict[str, Any] | None) -> requests.Response:
    """One request; a redirect is not followed, since it might carry the token elsewhere."""
    try:
        return session.request(method, url, json=document, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        reason = type(error).__name__
        raise GrafanaError("grafana.unreachable", f"can't ask {url}: {reason}", "check URL and network") from error


def _refused(what: str, answer: requests.Response) -> GrafanaError:
    status = HTTPStatus(answer.status_code)
    said = _message_of(answer)
    if answer.is_redirect:
        return GrafanaError("grafana.redirect", f"Grafana sends {what} to {said}", "use that address")
    message = f"Grafana refuses {what}: {status.value} {said or status.phrase}"
    return GrafanaError("grafana.refused", message, _REMEDIES.get(status, ""))


def _message_of(answer: requests.Response) -> str:
    """Grafana's own words, or where it redirects to; one line."""
    if answer.is_redirect:
        return answer.headers["Location"]
    try:
        return " ".join(str(answer.json()["message"]).split())
    except (ValueError, KeyError, TypeError):
        return ""
