"""Whatever schedulers, operators and hosts do: nothing is oversold, refusals are explained, nothing stays half done."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.decision.scoring import Strategy
from orchestrator.ledger import LaunchState
from orchestrator.reconcile import GRACE_SECONDS, SILENT_AFTER
from tests.support.fleet_model import STEPS, FleetModel
from tests.support.fleet_reconcile import Reconciles

LONG = SILENT_AFTER + GRACE_SECONDS + 1.0

ACTIONS: dict[str, Callable[[FleetModel, int], None]] = {
    "look": lambda fleet, number: fleet.look(number, Strategy.SPREAD, None),
    "pack": lambda fleet, number: fleet.look(number, Strategy.PACK, None),
    "readers": lambda fleet, number: fleet.look(number, Strategy.SPREAD, 1),
    "plan": lambda fleet, number: fleet.plan(number, list(Strategy)[number % 2]),
    "take": lambda fleet, _: fleet.take(),
    "wake": lambda fleet, _: fleet.wake(),
    "remove": lambda fleet, number: fleet.remove(number),
    "dies over a removal": lambda fleet, number: fleet.remove(number, dies=True),
    "end": FleetModel.end,
    "restart": lambda fleet, _: fleet.restart(),
    "wait": lambda fleet, number: fleet.wait((1.0, SILENT_AFTER + 1.0, LONG)[number]),
    "lose": lambda fleet, number: fleet.lose(number, crashed=False),
    "crash": lambda fleet, number: fleet.lose(number, crashed=True),
    "return": lambda fleet, _: fleet.return_all(),
    "scrape": lambda fleet, _: fleet.scrape(),
    "foreign": lambda fleet, number: fleet.foreign(number, number),
    "alert": FleetModel.toggle_alert,
    "cordon": FleetModel.toggle_cordon,
    "freeze": lambda fleet, number: fleet.freeze(frozen=number == 0),
}
for step in STEPS:
    ACTIONS[f"dies before {step}"] = lambda fleet, _, step=step: fleet.take(dies_before=step)  # type: ignore[misc]
    ACTIONS[f"sleeps before {step}"] = lambda fleet, _, step=step: fleet.take(sleeps_before=step)  # type: ignore[misc]
RECONCILE = "reconcile"
OFTEN = ("look", "look", "look", "take", "take", "take", "wake", RECONCILE, RECONCILE)
actions = st.tuples(st.sampled_from((*ACTIONS, *OFTEN)), st.integers(0, 2))


def check(fleet: FleetModel) -> None:
    for host in fleet.hosts.values():
        given_away = fleet.allocated(host.name)
        assert all(amount <= host.rows[key].sellable for key, amount in given_away.items()), (host.name, given_away)
        doubles = [name for name in host.running if name in host.created]
        assert not doubles
    for taken, decision in fleet.decisions:
        assert {verdict.host for verdict in decision.verdicts} == set(fleet.hosts)
        for verdict in decision.verdicts:
            assert (verdict.host == decision.host) == (not verdict.reasons)
            assert all(reason.code and reason.sentence for reason in verdict.reasons)
        if decision.host is not None:
            chosen = taken.host(decision.host)
            assert all(amount <= chosen.free[key] for key, amount in decision.needed.items())
    fleet.decisions.clear()
    assert not fleet.slipped, "a container was made or started on a host that was closed"


def check_end(fleet: FleetModel, reconcile: Reconciles) -> None:
    """With all hosts back and reconciled every accepted launch runs, has ended or is undone, and nothing leaks."""
    fleet.return_all()
    while fleet.wake_next():
        continue
    for _ in range(3):
        fleet.wait(LONG)
        reconcile.run()
    states = {LaunchState.RUNNING, LaunchState.DONE, LaunchState.REMOVED}
    for launch in fleet.ledger.values():
        assert launch.state in states
        assert launch.step is None
        assert (launch.holds == {}) == (launch.state is LaunchState.REMOVED)
    live = {key for key, launch in fleet.ledger.items() if launch.live}
    for host in fleet.hosts.values():
        ours = {key for key in live if fleet.ledger[key].host == host.name}
        assert host.volumes == ours
        assert set(host.owners.values()) == ours
        assert host.addresses == ours
        running = {fleet.ledger[key].job.name for key in ours if fleet.ledger[key].state is LaunchState.RUNNING}
        assert {name for name in host.running if name in host.owners} == running
        assert reconcile.leaks(host) == ()


@settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(actions, max_size=28))
def test_nothing_is_ever_oversold_and_every_refusal_has_its_reasons(sequence: list[tuple[str, int]]) -> None:
    fleet = FleetModel()
    reconcile = Reconciles(fleet)
    for action, number in sequence:
        if action == RECONCILE:
            reconcile.run()
        else:
            ACTIONS[action](fleet, number)
        check(fleet)
    check_end(fleet, reconcile)
