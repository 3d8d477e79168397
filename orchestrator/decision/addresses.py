"""Addresses of pools: which one is given away next. Pure; the ledger keeps who has which.

An address that was given back rests for the pool's quarantine before it is given away again, and those that were never
used go first, then those that rest longest: neighbours' caches, firewalls and logs still know its last holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import combinations

from orchestrator.settings import AddressRange, HostSettings, PoolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An address that somebody has, or had.

    Attributes:
        released_at: when it was given back, seconds since the epoch; None while it is held.
    """

    address: IPv4Address
    released_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """How many addresses of a pool are where.

    Attributes:
        total: that can be given away at all.
        held: by launches.
        resting: given back, in quarantine.
        planned: that a plan gives to others.
    """

    pool: PoolSettings
    total: int
    held: int
    resting: int
    planned: int = 0

    @property
    def free(self) -> int:
        """That can be given away now."""
        return max(self.total - self.held - self.resting - self.planned, 0)

    @property
    def full_text(self) -> str:
        """Why nothing can be given away, for people."""
        planned = f", {self.planned} are for others of this plan" if self.planned else ""
        resting = f", {self.resting} rest {self.pool.quarantine:g} s after their last use" if self.resting else ""
        where = f"address pool {self.pool.name} ({self.pool.range}) is full"
        return f"{where}: {self.held} of {self.total} are held{planned}{resting}"


def choose(pool: PoolSettings, holdings: Iterable[Holding], *, now: float) -> IPv4Address | None:
    """The address to give away next; None if the pool is full."""
    known = {holding.address: holding for holding in holdings}
    blocks = giveable(pool)
    for block in blocks:
        for number in range(int(block.first), int(block.last) + 1):
            address = IPv4Address(number)
            if address not in known:
                return address
    rested = [
        (holding.released_at, holding.address)
        for holding in known.values()
        if holding.released_at is not None and not _rests(pool, holding.released_at, now) and _is_in(blocks, holding)
    ]
    return min(rested)[1] if rested else None


def use_of(pool: PoolSettings, holdings: Iterable[Holding], *, now: float) -> PoolUse:
    """How full the pool is; what is held of addresses that are none of the pool any more doesn't count."""
    blocks = giveable(pool)
    own = [holding for holding in holdings if _is_in(blocks, holding)]
    return PoolUse(
        pool=pool,
        total=sum(int(block.last) - int(block.first) + 1 for block in blocks),
        held=sum(holding.released_at is None for holding in own),
        resting=sum(holding.released_at is not None and _rests(pool, holding.released_at, now) for holding in own),
    )


def giveable(pool: PoolSettings) -> Sequence[AddressRange]:
    """What the pool can give away, in order: all but network, broadcast, gateway and what is excluded."""
    first, last = int(pool.range[0]) + 1, int(pool.range[-1]) - 1
    taken = sorted((int(block.first), int(block.last)) for block in (*pool.exclude, _only(pool.gateway)))
    blocks = []
    for begin, end in taken:
        if first < begin:
            blocks.append((first, min(begin - 1, last)))
        first = max(first, end + 1)
    blocks.append((first, last))
    return [AddressRange(IPv4Address(begin), IPv4Address(end)) for begin, end in blocks if begin <= end]


def pool_faults(pools: Sequence[PoolSettings], hosts: Iterable[HostSettings]) -> Iterator[str]:
    """A sentence for everything that is wrong with the pools of a configuration, and for pools that hosts lack."""
    for pool in pools:
        if pool.gateway not in pool.range or pool.gateway in {pool.range[0], pool.range[-1]}:
            yield f"pools {pool.name}: gateway {pool.gateway} is no host's address in {pool.range}"
        elif not giveable(pool):
            yield f"pools {pool.name}: {pool.range} has no address to give away"
    for one, other in combinations(pools, 2):
        if one.range.overlaps(other.range):
            yield f"pools {one.name} and {other.name} overlap: {one.range}, {other.range}"
    known: Mapping[str, PoolSettings] = {pool.name: pool for pool in pools}
    for host in hosts:
        for name in host.pools:
            if name not in known:
                have = f"known: {', '.join(sorted(known))}" if known else "describe it in [[pools]]"
                yield f"hosts {host.name}: no pool {name!r}; {have}"


def _rests(pool: PoolSettings, released_at: float, now: float) -> bool:
    return now - released_at < pool.quarantine


def _is_in(blocks: Sequence[AddressRange], holding: Holding) -> bool:
    return any(block.first <= holding.address <= block.last for block in blocks)


def _only(address: IPv4Address) -> AddressRange:
    return AddressRange(address, address)
