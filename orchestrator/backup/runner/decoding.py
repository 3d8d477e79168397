"""Build dataclasses from parsed JSON, strictly: no key too many or too few, no value of another type."""

from __future__ import annotations

from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(cls: type[T], raw: Any, what: str) -> T:
    """An instance of a dataclass; `what` names it in complaints.

    Raises:
        ValueError: missing or unknown keys, values of a wrong type; says which.
    """
    hints = get_type_hints(cls)
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is a JSON object")  # noqa: TRY004 - malformed text, not a wrong argument
    if odd := sorted(hints.keys() ^ raw.keys()):
        raise ValueError(f"{what} has missing or unknown keys: {', '.join(odd)}")
    return cls(**{name: _value(hint, raw[name], f"{what}: {name}") for name, hint in hints.items()})


def _value(hint: Any, raw: Any, what: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        if raw is None and NoneType in inner:
            return None
        (only,) = (part for part in inner if part is not NoneType)
        return _value(only, raw, what)
    if origin is tuple and isinstance(raw, list):
        return tuple(_value(inner[0], item, what) for item in raw)
    if origin is dict and isinstance(raw, dict):
        return {str(key): _value(inner[1], item, what) for key, item in raw.items()}
    if hasattr(hint, "__dataclass_fields__"):
        return decode(hint, raw, what)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(raw)
    if hint is float and type(raw) is int:
        return float(raw)
    if origin is None and type(raw) is hint:
        return raw
    raise ValueError(f"{what} is of a wrong type")
