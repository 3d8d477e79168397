"""Addresses of pools for launches: chosen by `orchestrator.decision.addresses`, kept in the ledger; see `Addresses`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import stamina

from collector.errors import ConfigError, VdbmonError
from orchestrator.decision.addresses import choose, use_of
from orchestrator.decision.reasons import Code
from orchestrator.launch.protocols import Address
from orchestrator.ledger import ConcurrentUpdateError, HeldAddress, Ledger
from orchestrator.placement.allocation import FIRST_WAIT_SECONDS, JITTER_SECONDS, LONGEST_WAIT_SECONDS
from orchestrator.settings import PoolSettings

_SECONDS = 10.0
"""Below the deadline of the step that takes an address."""


class FixedAddresses:
    """The fleet's pools. Of two launches that want an address at once the second one chooses again."""

    def __init__(self, ledger: Ledger, pools: Mapping[str, PoolSettings], clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._pools = pools
        self._clock = clock

    def take(self, request_id: str, host: str, pool: str) -> Address:
        """See `Addresses`.

        Raises:
            ConcurrentUpdateError: others were faster every time.
            VdbmonError: `request.pool`, there is none of that name; `pool.full`; `launch.removed`.
        """
        settings = self._pools.get(pool)
        if settings is None:
            raise ConfigError("request.pool", f"no pool {pool!r}", "describe it in [[pools]]")
        now = self._clock()
        for attempt in stamina.retry_context(
            on=ConcurrentUpdateError,
            attempts=None,
            timeout=_SECONDS,
            wait_initial=FIRST_WAIT_SECONDS,
            wait_max=LONGEST_WAIT_SECONDS,
            wait_jitter=JITTER_SECONDS,
        ):
            with attempt:
                taken = self._ledger.pools.take(
                    request_id, host=host, pool=pool, choose=partial(choose, settings, now=now), at=now
                )
                if taken is not None:
                    return _address(taken)
                use = use_of(settings, self._ledger.view().holdings.get(pool, ()), now=now)
                raise VdbmonError(Code.POOL_FULL, use.full_text, "widen it, or remove what holds them")
        raise AssertionError("a retry context returns or raises")

    def give_back(self, request_id: str) -> None:
        """See `Addresses`."""
        self._ledger.pools.give_back(request_id, at=self._clock())

    def taken(self) -> tuple[Address, ...]:
        """See `Addresses`."""
        return tuple(map(_address, self._ledger.pools.held()))


def _address(held: HeldAddress) -> Address:
    return Address(request_id=held.request_id, host=held.host, pool=held.pool, ip=str(held.ip))
