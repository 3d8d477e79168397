"""Pages that every process of vdbmon has: its metrics, and that it lives."""

from __future__ import annotations

from collections.abc import Callable

from collector.projections.prometheus import TextFormat
from collector.web.negotiation import choose_format
from collector.web.server import Answer, Page, Request

Scrape = Callable[[TextFormat], bytes]


def metrics_page(scrape: Scrape) -> Page:
    """The exposition in the format that the client wants most; `scrape` renders it."""

    def page(request: Request) -> Answer:
        text_format = choose_format(request.accept)
        return Answer(scrape(text_format), text_format)

    return page


def text_page(text: str) -> Page:
    """A line for people."""
    body = f"{text}\n".encode()
    return lambda _request: Answer(body)
