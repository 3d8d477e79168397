"""Every step of a launch that fails, hangs, is interrupted or can't be undone: a host in memory, a real ledger."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector import labels
from collector.errors import VdbmonError
from orchestrator.decision.request import Override
from orchestrator.decision.snapshot import Cordon
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.launch import STEP_SECONDS, Launch, LaunchFailedError, LaunchUnknownError, Tools, Verifier
from orchestrator.launch.closures import check_cordons
from orchestrator.launch.deadlines import STEP_THREAD
from orchestrator.launch.spec import LaunchSpec
from orchestrator.ledger import LaunchState, Ledger, LedgerError
from tests.support.decisions import NOW, request
from tests.support.ledger import NEEDED, allocate, record
from tests.support.memory_host import DISK, MemoryEngine, MemoryHost, MemoryNet, MemoryVolumes
from tests.support.wait import wait_until

SPEC = LaunchSpec(
    name="b1",
    image="x",
    command=("sleep", "600"),
    mounts=(),
    volume="b1-r1",
    volume_size=1 << 24,
    cpu=500,
    memory=1 << 26,
    read_bps=100,
    write_bps=50,
    read_from=(Path("/srv"),),
    pool="backup",
)
RECORD = replace(record(), volume="b1-r1")
CALLS = dict(
    zip(STEP_SECONDS, ("take address", "make volume", "make network", "create", "start", "inspect"), strict=True)
)
"""What each step asks of the host."""

UNDO = {
    "address": ["give address back"],
    "volume": ["remove volume", "give address back"],
    "network": ["remove volume", "give address back"],
    "create": ["inspect", "remove volume", "give address back"],
    "start": ["inspect", "remove", "remove volume", "give address back"],
    "verify": ["inspect", "remove", "remove volume", "give address back"],
}
"""What is called after a step failed before it did anything, backwards through the steps."""


@pytest.fixture
def host() -> MemoryHost:
    return MemoryHost()


def launch(host: MemoryHost, ledger: Any, **changes: Any) -> Launch:
    engine: Any = MemoryEngine(host)
    volumes: Any = MemoryVolumes(host)
    net: Any = MemoryNet(host)
    verifier = Verifier(
        host="db1",
        engine=engine,
        read_limits=host.limits,
        sampled=lambda _host, _name: True,
        sleep=lambda _seconds: None,
    )
    tools = Tools(
        engine=engine,
        volumes=volumes,
        addresses=net,
        networks=net,
        disk_of=lambda _path: DISK,
        ledger=ledger,
        verifier=verifier,
        check_gate=lambda: None,
        check_cordons=lambda: None,
        clock=lambda: 5.0,
    )
    own = {labels.REQUEST_ID: RECORD.request_id}
    return Launch(RECORD, SPEC, container_labels=own, tools=replace(tools, **changes))


def cordoned(ledger: Ledger, **changes: Any) -> Callable[[], None]:
    """Asks the ledger as a launch does."""
    wanted = replace(request(), **changes)
    return lambda: check_cordons(ledger.cordons(), "db1", wanted, now=NOW)


def state(ledger: Ledger) -> tuple[LaunchState, str | None]:
    found = ledger.launch("r1")
    assert found is not None
    return found.state, found.step


def fails() -> None:
    raise VdbmonError("some.code", "some cause")


def is_silent() -> None:
    raise EngineUnreachableError("memory", "no answer in time")


def test_a_launch_runs_step_after_step(host: MemoryHost, ledger: Ledger) -> None:
    allocate(ledger, RECORD)
    launched = launch(host, ledger).run()
    assert launched.limits is not None
    assert host.calls == list(CALLS.values())
    assert state(ledger) == (LaunchState.RUNNING, None)
    container = host.containers["b1"]
    assert (container.network, container.address) == ("vdbmon-backup", "10.0.0.2")
    assert ledger.held("r1") == NEEDED


@pytest.mark.parametrize("step", CALLS)
def test_a_step_that_fails_is_undone_with_all_before_it(host: MemoryHost, ledger: Ledger, step: str) -> None:
    allocate(ledger, RECORD)

    def fails_once() -> None:
        del host.trouble[CALLS[step]]
        fails()

    host.trouble[CALLS[step]] = fails_once
    with pytest.raises(LaunchFailedError) as caught:
        launch(host, ledger).run()
    assert (caught.value.code, str(caught.value)) == ("some.code", "b1 was not launched: some cause")
    assert host.is_empty
    assert host.calls[list(CALLS).index(step) + 1 :] == UNDO[step]
    assert state(ledger) == (LaunchState.REMOVED, None)
    assert ledger.held("r1") == {}
    assert f"failed.{step}" in [event.kind for event in ledger.events("r1")]


URGENT = Override(codes=("host.cordoned",), who="bob", why="it is urgent")
CLOSED = {
    "db1": ("host.cordoned", "cordoned by ann"),
    None: ("fleet.frozen", "the fleet is frozen by ann"),
}


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("moment", "step"), [("make volume", "create"), ("make network", "create"), ("create", "start")]
)
def test_a_host_that_is_closed_after_the_allocation_gets_no_container(
    host: MemoryHost, ledger: Ledger, moment: str, step: str, closed: str | None
) -> None:
    code, said = CLOSED[closed]
    allocate(ledger, RECORD)
    host.trouble[moment] = lambda: ledger.cordon(Cordon(closed, "ann", "new disks", None, NOW), hosts=["db1"])
    with pytest.raises(LaunchFailedError) as caught:
        launch(host, ledger, check_cordons=cordoned(ledger)).run()
    expected = f"b1 was not launched: db1 was closed after the decision: {said}, with no end set: new disks"
    assert (caught.value.code, str(caught.value)) == (code, expected)
    assert "start" not in host.calls
    assert host.is_empty
    assert state(ledger) == (LaunchState.REMOVED, None)
    assert ledger.held("r1") == {}
    assert f"failed.{step}" in [event.kind for event in ledger.events("r1")]


@pytest.mark.parametrize(
    ("cordon", "override"),
    [
        (Cordon("db2", "ann", "new disks", None, NOW), None),
        (Cordon("db1", "ann", "new disks", NOW - 1, NOW - 9), None),
        (Cordon("db1", "ann", "new disks", None, NOW), URGENT),
    ],
)
def test_cordons_of_others_and_those_that_are_over_or_overridden_stop_no_launch(
    host: MemoryHost, ledger: Ledger, cordon: Cordon, override: Override | None
) -> None:
    allocate(ledger, RECORD)
    host.trouble["make volume"] = lambda: ledger.cordon(cordon, hosts=["db1"])
    launch(host, ledger, check_cordons=cordoned(ledger, override=override)).run()
    assert state(ledger) == (LaunchState.RUNNING, None)


@pytest.mark.parametrize("step", ["network", "create", "start", "verify"])
def test_an_engine_that_does_not_answer_leaves_everything_as_it_is(host: MemoryHost, ledger: Ledger, step: str) -> None:
    allocate(ledger, RECORD)
    host.trouble[CALLS[step]] = is_silent
    with pytest.raises(LaunchUnknownError, match=f"stopped at step {step}: engine memory doesn't answer"):
        launch(host, ledger).run()
    assert host.calls[-1] == CALLS[step]
    assert ledger.held("r1") == NEEDED
    assert state(ledger)[1] == step
    assert host.volumes == {"b1-r1"}


@pytest.mark.parametrize("step", CALLS)
def test_a_step_that_does_not_end_is_left_alone_after_its_deadline(host: MemoryHost, ledger: Ledger, step: str) -> None:
    allocate(ledger, RECORD)
    go_on = threading.Event()

    def hangs() -> None:
        go_on.wait(60.0)

    host.trouble[CALLS[step]] = hangs
    with pytest.raises(LaunchUnknownError, match=f"stopped at step {step}: it didn't end within 0.3 s"):
        launch(host, ledger, seconds={**STEP_SECONDS, step: 0.3}).run()
    assert ledger.held("r1") == NEEDED
    assert state(ledger)[1] == step
    go_on.set()
    wait_until(no_step_runs, deadline=20.0, what="what was left behind has ended")


def no_step_runs() -> bool:
    return not any(thread.name == STEP_THREAD for thread in threading.enumerate())


def test_an_undo_that_fails_keeps_the_allocation_and_says_where(host: MemoryHost, ledger: Ledger) -> None:
    allocate(ledger, RECORD)
    host.trouble |= {"start": fails, "remove volume": fails}
    with pytest.raises(LaunchUnknownError, match="stopped at step volume: some cause"):
        launch(host, ledger).run()
    assert host.containers == {}
    assert ledger.held("r1") == NEEDED
    assert state(ledger) == (LaunchState.CREATED, "volume")
    assert "not_undone.volume" in [event.kind for event in ledger.events("r1")]


def test_an_interrupt_lets_the_step_end_and_undoes_it(host: MemoryHost, ledger: Ledger) -> None:
    allocate(ledger, RECORD)
    host.trouble["start"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        launch(host, ledger).run()
    assert host.is_empty
    assert state(ledger) == (LaunchState.REMOVED, None)


class LostLedger:
    """A ledger that goes away at one call, and stays away."""

    def __init__(self, ledger: Ledger, lost_at: Callable[[str, tuple[Any, ...]], bool]) -> None:
        self._ledger, self._lost_at, self._lost = ledger, lost_at, False

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._lost = self._lost or self._lost_at(name, arguments)
            if self._lost:
                raise LedgerError("ledger.unavailable", "the ledger is away")
            return getattr(self._ledger, name)(*arguments, **options)

        return call


def test_a_ledger_that_goes_away_at_the_commit_leaves_the_container_running(host: MemoryHost, ledger: Ledger) -> None:
    allocate(ledger, RECORD)
    away = LostLedger(ledger, lambda _name, arguments: LaunchState.RUNNING in arguments)
    with pytest.raises(LaunchUnknownError, match="stopped at step commit: the ledger is away"):
        launch(host, away).run()
    assert host.running == {"b1"}
    assert state(ledger) == (LaunchState.CREATED, "verify")


def test_a_ledger_that_goes_away_before_keeps_nothing_from_being_undone(host: MemoryHost, ledger: Ledger) -> None:
    allocate(ledger, RECORD)
    away = LostLedger(ledger, lambda name, arguments: name == "begin_step" and arguments[1] == "start")
    with pytest.raises(LaunchUnknownError, match="stopped at step commit"):
        launch(host, away).run()
    assert host.is_empty
    assert ledger.held("r1") == NEEDED, "reconcile gives it back when the ledger is there again"


@pytest.fixture
def taken_over(host: MemoryHost, ledger: Ledger) -> Iterator[Callable[[], None]]:
    """Somebody else moves the turn."""
    allocate(ledger, RECORD)

    def take_over() -> None:
        found = ledger.launch("r1")
        assert found is not None
        ledger.take_over(found, "reconcile", at=6.0)

    yield take_over
    assert "b1" not in host.running or state(ledger)[0] is LaunchState.RUNNING


def test_a_launch_that_somebody_else_is_mending_is_left_to_him(
    host: MemoryHost, ledger: Ledger, taken_over: Callable[[], None]
) -> None:
    host.trouble["make network"] = taken_over
    with pytest.raises(LaunchUnknownError, match="stopped at step create: b1 was taken over"):
        launch(host, ledger).run()
    assert host.volumes == {"b1-r1"}
    assert state(ledger) == (LaunchState.INTENT, "reconcile")


def test_a_launch_that_somebody_else_finished_is_launched(
    host: MemoryHost, ledger: Ledger, taken_over: Callable[[], None]
) -> None:
    def finish() -> None:
        taken_over()
        ledger.advance("r1", LaunchState.RUNNING, at=7.0, turn=1, container_id="b1", step=None)

    host.trouble["inspect"] = finish
    assert launch(host, ledger).run().container_id == "b1"
    assert host.running == {"b1"}
