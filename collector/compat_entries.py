"""What `docs/compat.md` says of one name of another program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """One metric of another program.

    Attributes:
        missing: why the agent doesn't emit it; empty where it does.
        note: what a reader must know of an emitted one.
    """

    name: str
    missing: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A program whose names are ours too. `introduction` says what differs in labels and meanings."""

    title: str
    introduction: str
    names: tuple[Name, ...]


def emitted(prefix: str, *names: str, note: str = "") -> tuple[Name, ...]:
    """Names that begin alike and are emitted."""
    return tuple(Name(prefix + name, note=note) for name in names)


def missing(prefix: str, *names: str, why: str) -> tuple[Name, ...]:
    """Names that begin alike and are missing for one reason."""
    return tuple(Name(prefix + name, missing=why) for name in names)
