"""Vector packing: which items go into which bins so that few bins are used, or as many items as possible fit.

Bin by bin, as the greedy dot-product heuristics of Panigrahy et al. (2011, "Heuristics for vector bin packing"), but
with a beam search in place of the greedy step: the fills that are kept are those whose rest is most even, weighted by
the demand of what is still to be packed, because an uneven rest is one that nothing fits into. Then a repair: items
that found no place get one by moving another out of the way, and bins that hold little are emptied into the others.

Amounts are whole numbers and compared exactly; floats only rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul, sub
from typing import NamedTuple

Vector = tuple[int, ...]

WIDEST = 100
WORK = 1_200_000
"""Fills that are kept side by side: WORK / items**2, at most WIDEST. 500 items are packed in about 2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something to pack.

    Attributes:
        needs: per dimension.
        bins: where it may go.
        group: items of a group exclude each other from a bin if one of them is `apart`; None excludes nothing.
    """

    needs: Vector
    bins: frozenset[int]
    group: str | None = None
    apart: bool = False


class _Fill(NamedTuple):
    rest: Vector
    chosen: tuple[int, ...]
    value: float
    candidates: tuple[int, ...]


class Packing:
    """Items in bins; `free` of each bin, and the bin of each item (None: not packed)."""

    def __init__(self, items: Sequence[Item], free: Sequence[Vector]) -> None:
        self.items = tuple(items)
        self.free = list(free)
        self.bin_of: list[int | None] = [None] * len(items)
        self._dimensions = range(len(free[0]) if free else 0)
        self._unit = [1 / max(sum(column) / len(free), 1) for column in zip(*free, strict=True)]

    def fits(self, item: int, target: int) -> bool:
        """Whether an item may go into a bin, and has room there."""
        wanted = self.items[item]
        return (
            target in wanted.bins
            and all(map(int.__le__, wanted.needs, self.free[target]))
            and not any(_exclude(wanted, self.items[other]) for other in self.inside(target))
        )

    def inside(self, target: int) -> list[int]:
        """The items of a bin."""
        return [item for item, where in enumerate(self.bin_of) if where == target]

    def put(self, item: int, target: int) -> None:
        """Into a bin."""
        self.bin_of[item] = target
        self.free[target] = tuple(map(sub, self.free[target], self.items[item].needs))

    def take(self, item: int) -> None:
        """Out of its bin."""
        target = self.bin_of[item]
        if target is not None:
            self.free[target] = tuple(map(int.__add__, self.free[target], self.items[item].needs))
        self.bin_of[item] = None

    def size(self, item: int) -> float:
        """How large an item is: its largest share of an average bin."""
        return max(map(mul, self.items[item].needs, self._unit), default=0.0)

    def unpacked(self) -> list[int]:
        """Items without a bin, largest first."""
        return sorted(
            (item for item, where in enumerate(self.bin_of) if where is None), key=lambda item: -self.size(item)
        )

    def fill(self, target: int, left: Sequence[int], width: int) -> None:
        """Pack into one bin what fills it best, of the items that are left."""
        weights = self._weights(left)
        value = {item: sum(map(mul, self.items[item].needs, weights)) for item in left}
        order = sorted((item for item in left if self.fits(item, target)), key=lambda item: (-value[item], item))
        unit = [1 / max(amount, 1) for amount in self.free[target]]
        best: tuple[int, ...] = ()
        most = 0.0
        fills = [_Fill(self.free[target], (), 0.0, tuple(order))]
        while fills:
            grown = [one for fill in fills for one in self._grown(fill, value)]
            for one in grown:
                if one.value > most:
                    best, most = one.chosen, one.value
            grown.sort(key=lambda one: sum(map(mul, one.rest, weights)) - min(map(mul, one.rest, unit)))
            fills = [self._narrowed(one) for one in grown[:width]]
        for item in best:
            self.put(item, target)

    def _weights(self, left: Sequence[int]) -> list[float]:
        """What an amount of each dimension counts: scarcer dimensions more; all of an average bin counts 1."""
        demand = [
            sum(self.items[item].needs[dimension] for item in left) * self._unit[dimension]
            for dimension in self._dimensions
        ]
        total = sum(demand) or 1.0
        return [amount / total * unit for amount, unit in zip(demand, self._unit, strict=True)]

    def _grown(self, fill: _Fill, value: dict[int, float]) -> list[_Fill]:
        """The fill with one item more, in every way. Largest first, so that each set comes up once."""
        first = not fill.chosen
        found = []
        for position, item in enumerate(fill.candidates):
            rest = tuple(map(sub, fill.rest, self.items[item].needs))
            after = fill.candidates[position + 1 :]
            found.append(_Fill(rest, (*fill.chosen, item), fill.value + value[item], after))
            if first:
                break  # the largest goes in: it won't get easier
        return found

    def _narrowed(self, fill: _Fill) -> _Fill:
        """Only the candidates that still fit."""
        rest, newest = fill.rest, self.items[fill.chosen[-1]]
        candidates = [item for item in fill.candidates if all(map(int.__le__, self.items[item].needs, rest))]
        if newest.group is not None:
            candidates = [item for item in candidates if not _exclude(newest, self.items[item])]
        return fill._replace(candidates=tuple(candidates))


def pack(items: Sequence[Item], free: Sequence[Vector], order: Sequence[int]) -> Packing:
    """Fill the bins one after the other, in that order; then repair."""
    packing = Packing(items, free)
    width = max(1, min(WIDEST, WORK // max(len(items), 1) ** 2))
    for target in order:
        left = packing.unpacked()
        if not left:
            break
        packing.fill(target, left, width)
    repair(packing)
    return packing


def repair(packing: Packing) -> None:
    """Place what is left by moving one other item, then empty the bins that hold least into the others."""
    for item in packing.unpacked():
        _place(packing, item)
    for target in sorted(_used(packing), key=lambda target: (len(packing.inside(target)), target)):
        _empty(packing, target)


def _place(packing: Packing, item: int) -> bool:
    """Into a bin with room, else into one where another item can leave for a third."""
    bins = sorted(packing.items[item].bins)
    for target in bins:
        if packing.fits(item, target):
            packing.put(item, target)
            return True
    return any(_exchange(packing, item, target) for target in bins)


def _exchange(packing: Packing, item: int, target: int) -> bool:
    for other in packing.inside(target):
        packing.take(other)
        if packing.fits(item, target):
            packing.put(item, target)
            elsewhere = next((one for one in sorted(packing.items[other].bins) if packing.fits(other, one)), None)
            if elsewhere is not None:
                packing.put(other, elsewhere)
                return True
            packing.take(item)
        packing.put(other, target)
    return False


def _used(packing: Packing) -> set[int]:
    return {target for target in packing.bin_of if target is not None}


def _empty(packing: Packing, target: int) -> None:
    """Move all items of a bin into others that are used already, or leave everything as it is."""
    before, free = list(packing.bin_of), list(packing.free)
    others = _used(packing) - {target}
    for item in packing.inside(target):
        packing.take(item)
        goal = next((one for one in sorted(others & packing.items[item].bins) if packing.fits(item, one)), None)
        if goal is None:
            packing.bin_of, packing.free = before, free
            return
        packing.put(item, goal)


def _exclude(one: Item, other: Item) -> bool:
    return one.group is not None and one.group == other.group and (one.apart or other.apart)
