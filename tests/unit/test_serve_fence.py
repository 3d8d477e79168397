"""Nothing is asked of an engine in the name of a lease that is lost."""

from dataclasses import dataclass, field

import pytest

from orchestrator.ledger import LeaseLostError, LeaseRow
from orchestrator.serve.fence import fenced
from orchestrator.serve.lease import LEASE_SECONDS, LeaseKeeper


@dataclass
class Engine:
    """Remembers what it was asked."""

    address: str = "unix:///run/engine.sock"
    asked: list[str] = field(default_factory=list)

    def remove(self, container: str, *, force: bool = False) -> str:
        self.asked.append(container)
        return f"{container} {force}"


@dataclass
class Store:
    row: LeaseRow = field(default_factory=lambda: LeaseRow(token=3, renewals=9, holder=None, seconds=15.0))

    def read(self) -> LeaseRow:
        return self.row

    def swap(self, seen: LeaseRow, wanted: LeaseRow) -> bool:
        fits, self.row = self.row == seen, wanted
        return fits


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_calls_pass_as_long_as_the_lease_is_held_under_that_token() -> None:
    engine, clock = Engine(), Clock()
    keeper = LeaseKeeper(Store(), "a", clock=clock)
    keeper.step()
    behind = fenced(engine, lambda: keeper.require(4))
    assert behind.remove("b1", force=True) == "b1 True"
    assert behind.address == engine.address
    clock.now += LEASE_SECONDS
    with pytest.raises(LeaseLostError):
        behind.remove("b2")
    assert behind.address == engine.address, "what asks nobody is no act"
    keeper.step()
    assert behind.remove("b3") == "b3 False", "nobody had it meanwhile"
    assert engine.asked == ["b1", "b3"]


def test_a_later_time_of_holding_it_lets_an_earlier_one_do_nothing() -> None:
    engine, clock = Engine(), Clock()
    store = Store()
    first, second = (LeaseKeeper(store, name, clock=clock) for name in ("a", "b"))
    first.step()
    early = fenced(engine, lambda: first.require(4))
    first.give_back()
    second.step()
    second.give_back()
    first.step()
    assert first.grant() is not None
    with pytest.raises(LeaseLostError):
        early.remove("b1")
    assert engine.asked == []
