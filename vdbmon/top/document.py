"""What `vdbmon top --json` prints: the rows as one JSON document.

`hosts` is a list; each has `name`, `url`, `problem` (null while its agent answers), `age` (seconds since the last
answer, null before the first), `warnings`, the figures `cpu` (cores), `memory` (bytes), `read`, `write`, `received` and
`sent` (bytes per second), each `{"used": ..., "limit": ...}` with null for what is not known or not limited, and
`containers`. Of those each has `name`, `image`, the same figures, `throttled` (share of CPU periods, 0..1) and `groups`
of processes with `name`, `processes` and `cpu` (cores).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vdbmon.top.fleet import HostView
from vdbmon.top.rows import ContainerRow, Figures


def json_document(views: Sequence[HostView]) -> str:
    """The document, indented, without a newline at its end."""
    return json.dumps({"hosts": [_host(view) for view in views]}, indent=2)


def _host(view: HostView) -> dict[str, Any]:
    figures = asdict(view.row.figures if view.row else Figures())
    del figures["throttled"]  # that is of containers
    return {
        "name": view.name,
        "url": view.url,
        "problem": view.problem or None,
        "age": view.age,
        "warnings": list(view.row.warnings) if view.row else [],
        **figures,
        "containers": [_container(container) for container in view.row.containers] if view.row else [],
    }


def _container(row: ContainerRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "image": row.image,
        **asdict(row.figures),
        "groups": [asdict(group) for group in row.groups],
    }
