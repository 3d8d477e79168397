"""What acts in the name of the lease, and stops acting when it is lost.

The ledger checks the lease within each transaction that writes. Engines and volumes know nothing of it, so each call to
them is made only while the lease is held; one that was under way when it ran out is covered by the time between the
holder's own end of it and the earliest takeover.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from orchestrator.ledger import Ledger, fence
from orchestrator.placement.scheduler import Scheduler
from orchestrator.serve.lease import LeaseKeeper

OPERATOR = "vdbmon serve"

Target = TypeVar("Target")


class _Fenced:
    """Stands before an object: each of its methods is called only if `check` lets it."""

    def __init__(self, target: Any, check: Callable[[], None]) -> None:
        self._target = target
        self._check = check

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def checked(*arguments: Any, **options: Any) -> Any:
            self._check()
            return found(*arguments, **options)

        return checked


def fenced(target: Target, check: Callable[[], None]) -> Target:
    """The same, but every call raises what `check` raises."""
    return cast("Target", _Fenced(target, check))


def fenced_scheduler(scheduler: Scheduler, keeper: LeaseKeeper, token: int) -> Scheduler:
    """A scheduler on a fenced ledger that acts only under that token of the lease."""
    check = functools.partial(keeper.require, token)
    return replace(
        scheduler,
        engines={name: fenced(engine, check) for name, engine in scheduler.engines.items()},
        volumes=fenced(scheduler.volumes, check),
        remote={host: replace(parts, volumes=fenced(parts.volumes, check)) for host, parts in scheduler.remote.items()},
        addresses=None if scheduler.addresses is None else fenced(scheduler.addresses, check),
        networks=None if scheduler.networks is None else fenced(scheduler.networks, check),
        operator=OPERATOR,
    )


def fenced_ledger(ledger: Ledger, keeper: LeaseKeeper, token: int) -> Ledger:
    """A ledger that is written only under that token of the lease."""
    return ledger.fenced(fence(keeper.holder, token))
