"""The JSON schemas of docs/, which name each other by their files."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_DOCS = Path(__file__).parents[2] / "docs"
_SUFFIX = ".schema.json"


def schema(name: str) -> Draft202012Validator:
    """What validates documents of docs/NAME.schema.json."""
    found = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in _DOCS.glob(f"*{_SUFFIX}")}
    registry = Registry().with_resources((file, Resource.from_contents(content)) for file, content in found.items())
    return Draft202012Validator(found[f"{name}{_SUFFIX}"], registry=registry)
