"""A thin reader of Prometheus's HTTP API v1."""

from __future__ import annotations

from typing import Any

import requests

from collector.errors import VdbmonError

_Point = tuple[float, float]
_SHOWN = 40
"""Characters of a question and of an odd answer."""


class PrometheusError(VdbmonError):
    """Prometheus didn't answer, or not as documented."""


class PrometheusClient:
    """Asks one Prometheus. `timeout` (seconds) holds for each silence; the caller has the deadline for the whole."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._base = f"{url.rstrip('/')}/api/v1/"
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the internet is none for the fleet's own Prometheus

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer.

        Raises:
            PrometheusError: no answer, or one that is not `status: success`.
        """
        url = self._base + path
        try:
            answer = self._session.get(url, params=parameters, timeout=self._timeout)
            document = answer.json()
        except requests.JSONDecodeError as error:
            raise PrometheusError("prometheus.odd_answer", f"{url} answered something else than JSON") from error
        except requests.RequestException as error:
            raise PrometheusError("prometheus.unreachable", f"{url} doesn't answer: {_cause(error)}") from error
        if not isinstance(document, dict) or document.get("status") != "success" or "data" not in document:
            detail = document.get("error", document) if isinstance(document, dict) else document
            raise PrometheusError("prometheus.odd_answer", f"{url} answered {answer.status_code}: {str(detail)[:200]}")
        return document["data"]

    def now(self) -> float:
        """Prometheus's clock, seconds since the epoch."""
        data = self.get("query", query="time()")
        try:
            return float(data["result"][1])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise PrometheusError("prometheus.odd_answer", f"time() gave {data!r}") from error

    def by_label(self, query: str, label: str) -> dict[str, float]:
        """The values of an instant vector, by one label; series without it are left out."""
        return {labels[label]: value for labels, value in self.vector(query) if label in labels}

    def vector(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of an instant vector."""
        data = self.get("query", query=query)
        try:
            return [(dict(series["metric"]), float(series["value"][1])) for series in data["result"]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._odd(query, data) from error

    def _odd(self, query: str, data: Any) -> PrometheusError:
        shown = f"{query[:_SHOWN]!r} gave {str(data)[:_SHOWN]!r}"
        return PrometheusError("prometheus.odd_answer", f"{self._base} answered something else than series: {shown}")

    def range(self, query: str, *, start: float, end: float, step: float) -> list[tuple[dict[str, str], list[_Point]]]:
        """Labels and points (seconds since the epoch, value) of a range query; times and step in seconds."""
        data = self.get("query_range", query=query, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{step:g}")
        try:
            return [
                (dict(series["metric"]), [(float(at), float(value)) for at, value in series["values"]])
                for series in data["result"]
            ]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._odd(query, data) from error


def _cause(error: requests.RequestException) -> str:
    match error:
        case requests.Timeout():
            return "timed out"
        case requests.ConnectionError():
            return "connection refused or lost"
        case _:
            return type(error).__name__
