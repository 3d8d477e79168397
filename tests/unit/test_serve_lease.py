"""The lease against time, pauses and lost answers: never two that may act."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
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


class World:
    """Three keepers, one ledger, one time; a program of actions, taken one by one."""

    def __init__(self, program: list[tuple[str, int]]) -> None:
        self.now = 0.0
        self.store = Store(around=self.interrupt)
        self.keepers = {
            name: LeaseKeeper(self.store, name, clock=lambda name=name: 7.0 * ord(name) + RATES[name] * self.now)  # type: ignore[misc]
            for name in NAMES
        }
        self.busy: set[str] = set()
        self.program: Iterator[tuple[str, int]] = iter(program)
        self.tokens = [0]

    def interrupt(self) -> None:
        """Other things happen in the middle of a keeper's step: as many actions as the program says."""
        action, number = next(self.program, ("", 0))
        if action == "fail":
            raise LedgerError("ledger.unavailable", "away")
        if action == "interrupt":
            for _ in range(number % 4):
                self.act()

    def act(self) -> bool:
        """One action; False at the end of the program."""
        action, number = next(self.program, ("", 0))
        keeper = self.keepers[NAMES[number % len(NAMES)]]
        if action == "wait":
            self.now += number / 4
        elif action in {"step", "give_back"} and keeper.holder not in self.busy:
            self.busy.add(keeper.holder)
            try:
                keeper.step() if action == "step" else keeper.give_back()
            except LedgerError:
                pass
            finally:
                self.busy.discard(keeper.holder)
        self.check()
        return action != ""

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


ACTIONS = st.tuples(
    st.sampled_from(["step", "step", "step", "wait", "wait", "interrupt", "fail", "give_back"]), st.integers(0, 80)
)


@settings(max_examples=3000, deadline=None)
@given(st.lists(ACTIONS, max_size=120))
def test_never_two_hold_it_and_never_one_that_the_ledger_would_refuse(program: list[tuple[str, int]]) -> None:
    world = World(program)
    while world.act():
        pass


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
