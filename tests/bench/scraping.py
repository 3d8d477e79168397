"""Scrapes as Prometheus makes them, and what they cost while they go on."""

from __future__ import annotations

import gzip
import math
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_HEADERS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "Accept-Encoding": "gzip"}

Spent = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between scrapes, each for a measurement of its own, and how long a measurement takes."""

    intervals: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Daemon:
    """The Docker daemon and its containerd: address, CPU seconds spent, share of a core when nobody asks."""

    address: str
    spent: Spent
    idle: float


def scrape(url: str) -> bytes:
    """One scrape as Prometheus asks for it: OpenMetrics, with gzip; unpacked."""
    request = urllib.request.Request(url, headers=_HEADERS)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body


def milliseconds(url: str, times: int) -> list[float]:
    """How long scrapes take, one after the other, sorted."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        scrape(url)
        found.append((time.perf_counter() - start) * 1e3)
    return sorted(found)


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return values[math.ceil(len(values) * share) - 1]


def shares_of_a_core(spent: Sequence[Spent], url: str | None, interval: float, seconds: float) -> list[float]:
    """What each has spent per second while `url` was scraped at this interval; None scrapes nothing."""
    if url is not None:
        scrape(url)
    start, before = time.monotonic(), [each() for each in spent]
    for number in range(1, max(int(seconds / interval), 2) + 1):
        if url is not None:
            scrape(url)
        time.sleep(max(start + number * interval - time.monotonic(), 0.0))
    passed = time.monotonic() - start
    return [(each() - was) / passed for each, was in zip(spent, before, strict=True)]


def cost_at(interval: float, spent: Spent, url: str, daemon: Daemon, seconds: float) -> dict[str, float]:
    """What a program and the daemon spend while the program is scraped."""
    own, of_daemon = shares_of_a_core((spent, daemon.spent), url, interval, seconds)
    return {
        f"CPU at {interval:g} s, % of a core": own * 100,
        f"dockerd and containerd at {interval:g} s, extra ms a minute": (of_daemon - daemon.idle) * 60e3,
    }
