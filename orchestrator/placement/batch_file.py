"""Batch files: many containers that are to be placed at once.

TOML with a table `[[containers]]` each, or JSON lines with an object each. Keys: `name`, `source`, `job`, the sizes of
`orchestrator.decision.sizes`, the wishes (`host`, `zone`, `device_class`, `pool`, `labels`, `apart`) and the window
(`not_before`, `deadline`, `duration`). `[defaults]` of a TOML file holds for what a container doesn't say itself.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from collector.errors import ConfigError
from orchestrator.decision.request import Wishes
from orchestrator.decision.sizes import KEYS, parse_amounts
from orchestrator.decision.windows import parse_window
from orchestrator.placement.requests import Wanted

DURATION = "1h"
"""What a job with a window is taken to last where nothing is said."""

_WISHES = tuple(item.name for item in fields(Wishes))
_WINDOW = ("not_before", "deadline", "duration")
KNOWN = ("name", "source", "job", *KEYS, *_WISHES, *_WINDOW)
"""Keys of a container."""


def read_batch(path: Path, now: datetime) -> tuple[Wanted, ...]:
    """The containers of a file.

    Raises:
        ConfigError: `batch.*`: unreadable, no such format, two of one name; or what is wrong with a container.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = list(_toml(text) if path.suffix == ".toml" else _json_lines(text))
    except OSError as error:
        raise ConfigError("batch.unreadable", f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "batch.syntax", f"{path}: {error}", "write TOML (*.toml) or one JSON object a line"
        ) from error
    if not entries:
        raise ConfigError("batch.empty", f"{path}: no containers", "describe them in [[containers]]")
    wanted = tuple(_wanted(f"{path}: {where}", entry, now) for where, entry in entries)
    twice = [name for name, count in Counter(item.name for item in wanted).items() if count > 1]
    if twice:
        raise ConfigError("batch.double", f"{path}: two containers are called {twice[0]!r}", "rename one")
    return wanted


def _toml(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    document = tomllib.loads(text)
    unknown = sorted(document.keys() - {"containers", "defaults"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]}; known here: containers, defaults")
    containers, defaults = document.get("containers", []), document.get("defaults", {})
    if not isinstance(containers, list) or not all(isinstance(entry, dict) for entry in containers):
        raise ValueError("containers are tables: begin each with [[containers]]")
    if not isinstance(defaults, dict):
        raise ValueError("defaults is a table: begin it with [defaults]")  # noqa: TRY004
    for number, entry in enumerate(containers):
        yield f"containers[{number}]", {**defaults, **entry}


def _json_lines(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError(f"line {number} is no object")  # noqa: TRY004 - a syntax error of the file
        yield f"line {number}", entry


def _wanted(where: str, entry: Mapping[str, Any], now: datetime) -> Wanted:
    unknown = sorted(entry.keys() - set(KNOWN))
    if unknown:
        raise ConfigError("batch.key", f"{where}: unknown key {unknown[0]}", f"known here: {', '.join(KNOWN)}")
    for key in ("name", "source"):
        if not isinstance(entry.get(key), str):
            raise ConfigError("batch.key", f"{where}: {key} is missing")
    try:
        return Wanted(
            name=entry["name"],
            source=entry["source"],
            job=str(entry.get("job", "backup")),
            amounts=parse_amounts({key: entry[key] for key in KEYS if key in entry}),
            wishes=_to_wishes().validate_python({key: entry[key] for key in _WISHES if key in entry}),
            window=parse_window(
                not_before=_text(entry.get("not_before")),
                deadline=_text(entry.get("deadline")),
                duration=str(entry.get("duration", DURATION)),
                now=now,
            ),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError("batch.key", f"{where}: {first['loc'][0]}: {first['msg']}") from error
    except ConfigError as error:
        raise ConfigError(error.code, f"{where}: {error.message}", error.remedy) from error


@cache
def _to_wishes() -> TypeAdapter[Wishes]:
    """Made when it is needed: no other command reads a batch."""
    return TypeAdapter(Wishes)


def _text(value: object) -> str | None:
    """A time as text; TOML has times of its own."""
    return None if value is None else str(value)
