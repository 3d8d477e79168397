"""The lease against time, pauses and lost answers: never two that may act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.ledger import LeaseLostError, LeaseRow, LedgerError
from orchestrator.serve.lease import LEASE_SECONDS, LeaseKeeper

NAMES = ("a", "b", "c")
RATES = {"a": 1.0, "b": 0.9, "c": 1.1}
"""Clocks run differently, and begin anywhere."""


@dataclass
class Store:
    """A ledger that does before and after each answer what the test wants."""

    row: LeaseRow = field(default_factory=lambda: LeaseRow(token=0, renewals=0, holder=None, seconds=0.0))
    around: Callable[[], None] = lambda: None

    def read(self) -> LeaseRow:
        self.around()
        row = self.row
        self.around()
        return row

    def swap(self, seen: LeaseRow, wanted: LeaseRow) -> bool:
        self.around()
        fits = (self.row.token, self.row.renewals) == (seen.token, seen.renewals)
        if fits:
            self.row = wanted
        self.around()
        return fits


@dataclass(frozen=True)
class Action:
    """Time that goes by, or a keeper's step.

    Attributes:
        inside: what happens in the middle of it: before and after reading, before and after writing.
        fails: at which of these points the ledger doesn't answer.
    """

    kind: str
    keeper: str = "a"
    seconds: float = 0.0
    inside: tuple[tuple[Action, ...], ...] = ()
    fails: int | None = None


class World:
    """Three keepers, one ledger, one time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = Store()
        self.keepers = {name: LeaseKeeper(self.store, name, clock=partial(self.clock, name)) for name in NAMES}
        self.tokens = [0]

    def clock(self, name: str) -> float:
        return 7.0 * ord(name) + RATES[name] * self.now

    def do(self, action: Action) -> None:
        if action.kind == "wait":
            self.now += action.seconds
        else:
            self.step(self.keepers[action.keeper], action)
        self.check()

    def step(self, keeper: LeaseKeeper, action: Action) -> None:
        points = count()

        def around() -> None:
            point = next(points)
            for other in action.inside[point : point + 1]:
                self.store.around = nothing
                for one in other:
                    if one.keeper != keeper.holder or one.kind == "wait":
                        self.do(one)
                self.store.around = around
            if point == action.fails:
                raise LedgerError("ledger.unavailable", "away")

        self.store.around = around
        try:
            keeper.step() if action.kind == "step" else keeper.give_back()
        except LedgerError:
            pass
        finally:
            self.store.around = nothing

    def check(self) -> None:
        holding = [name for name, keeper in self.keepers.items() if keeper.grant() is not None]
        assert len(holding) <= 1, holding
        for name in holding:
            grant = self.keepers[name].grant()
            assert grant is not None
            assert (self.store.row.holder, self.store.row.token) == (name, grant.token), "the ledger would refuse it"
        if self.store.row.token != self.tokens[-1]:
            assert self.store.row.token == self.tokens[-1] + 1, "a token is never used twice"
            self.tokens.append(self.store.row.token)


def nothing() -> None:
    """Nothing happens in between."""


KEEPERS = st.sampled_from(NAMES)
WAITS = st.builds(Action, kind=st.just("wait"), seconds=st.sampled_from([1.0, 3.0, 6.0, 9.0, 11.0, 14.0, 17.0]))
SIMPLE = st.one_of(WAITS, st.builds(Action, kind=st.just("step"), keeper=KEEPERS))
INTERRUPTED = st.builds(
    Action,
    kind=st.sampled_from(["step", "step", "step", "give_back"]),
    keeper=KEEPERS,
    inside=st.lists(st.lists(SIMPLE, max_size=3).map(tuple), max_size=4).map(tuple),
    fails=st.one_of(st.none(), st.integers(0, 3)),
)


def step(keeper: str, *inside: tuple[Action, ...]) -> Action:
    return Action("step", keeper, inside=inside)


def wait(seconds: float) -> Action:
    return Action("wait", seconds=seconds)


SLOW_TO_HEAR = [step("a", (), (), (), (step("c"), wait(9.0))), wait(6.0), step("c")]
"""Its renewal is seen by another one long before it hears itself that it was written."""
SLOW_TO_READ = [step("a"), step("c", (wait(9.0), step("a"))), wait(6.0), step("c")]
"""What it reads is younger than its question."""


@settings(max_examples=2000, deadline=None)
@example(SLOW_TO_HEAR)
@example(SLOW_TO_READ)
@given(st.lists(st.one_of(SIMPLE, SIMPLE, INTERRUPTED), min_size=5, max_size=40))
def test_never_two_hold_it_and_never_one_that_the_ledger_would_refuse(program: list[Action]) -> None:
    world = World()
    for action in program:
        world.do(action)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def pair() -> tuple[Store, Clock, LeaseKeeper, LeaseKeeper]:
    store, clock = Store(), Clock()
    return store, clock, LeaseKeeper(store, "a", clock=clock), LeaseKeeper(store, "b", clock=clock)


def test_the_first_one_has_it_and_the_second_waits() -> None:
    _, _, first, second = pair()
    first.step()
    second.step()
    assert first.grant() is not None
    assert second.grant() is None
    assert second.seen is not None
    assert second.seen.holder == "a"


def test_one_that_renews_keeps_it_and_its_token() -> None:
    _, clock, first, second = pair()
    for _ in range(20):
        first.step()
        second.step()
        clock.now += 3
    grant = first.grant()
    assert grant is not None
    assert grant.token == 1
    assert second.grant() is None


def test_a_silent_holder_is_taken_over_after_its_time_and_has_stopped_before() -> None:
    _, clock, first, second = pair()
    first.step()
    second.step()
    clock.now += LEASE_SECONDS * 2 / 3
    assert first.grant() is None
    second.step()
    assert second.grant() is None
    clock.now += LEASE_SECONDS / 3
    second.step()
    grant = second.grant()
    assert grant is not None
    assert grant.token == 2
    with pytest.raises(LeaseLostError):
        first.require(1)
    first.step()
    assert first.grant() is None


def test_one_that_nobody_took_over_goes_on_under_its_token() -> None:
    _, clock, first, _ = pair()
    first.step()
    clock.now += 1000
    assert first.grant() is None
    first.step()
    first.require(1)


def test_given_back_it_is_the_next_ones_at_once() -> None:
    _, _, first, second = pair()
    first.step()
    second.step()
    first.give_back()
    assert first.grant() is None
    second.step()
    second.require(2)
    first.give_back()
    second.step()
    second.require(2)


def test_the_time_that_counts_is_the_one_its_holder_promised() -> None:
    store, clock, first, _ = pair()
    hasty = LeaseKeeper(store, "b", clock=clock, seconds=1.0)
    first.step()
    hasty.step()
    clock.now += 5
    hasty.step()
    assert hasty.grant() is None
    first.require(1)
