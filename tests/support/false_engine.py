"""Something on a Docker engine's address that answers, and is no Docker engine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.support.web import send, serving

VERSION = {"ApiVersion": "1.41"}


@dataclass(frozen=True)
class FalseEngine:
    """Where it answers, and the last words of the paths that it was asked for."""

    address: str
    asked: list[str]


@contextlib.contextmanager
def false_engine(**answers: object) -> Iterator[FalseEngine]:
    """An engine that gives these answers as JSON, by the last word of the path, and null for all else."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        word = handler.path.partition("?")[0].rpartition("/")[2]
        asked.append(word)
        send(handler, json.dumps(answers.get(word)).encode())

    with serving(answer) as port:
        yield FalseEngine(f"tcp://127.0.0.1:{port}", asked)
