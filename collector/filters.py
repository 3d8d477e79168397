"""Which points pass: telegraf's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """Shell wildcards on names; empty means that the filter is not used.

    Attributes:
        namepass: measurements that pass.
        namedrop: measurements that do not, of those that passed.
    """

    namepass: tuple[str, ...] = ()
    namedrop: tuple[str, ...] = ()
