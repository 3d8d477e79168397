"""Whatever schedulers, operators and hosts do: nothing is oversold, refusals are explained, nothing stays half done."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.scoring import Strategy
from tests.support.fleet_model import FleetModel, Stage

ACTIONS: dict[str, Callable[[FleetModel, int], None]] = {
    "look": lambda fleet, number: fleet.look(number, Strategy.SPREAD, None),
    "pack": lambda fleet, number: fleet.look(number, Strategy.PACK, None),
    "readers": lambda fleet, number: fleet.look(number, Strategy.SPREAD, 1),
    "plan": lambda fleet, number: fleet.plan(number, list(Strategy)[number % 2]),
    "take": lambda fleet, _: fleet.take(dies_after=0),
    "dies after the intent": lambda fleet, _: fleet.take(dies_after=1),
    "dies after the start": lambda fleet, _: fleet.take(dies_after=2),
    "remove": FleetModel.remove,
    "end": FleetModel.end,
    "restart": lambda fleet, _: fleet.restart(),
    "lose": lambda fleet, number: fleet.lose(number, crashed=False),
    "crash": lambda fleet, number: fleet.lose(number, crashed=True),
    "return": lambda fleet, _: fleet.return_all(),
    "scrape": lambda fleet, _: fleet.scrape(),
    "foreign": lambda fleet, number: fleet.foreign(number, number),
    "alert": FleetModel.toggle_alert,
    "cordon": FleetModel.toggle_cordon,
    "freeze": lambda fleet, number: fleet.freeze(frozen=number == 0),
}
OFTEN = ("look", "look", "take", "take", "take")
steps = st.tuples(st.sampled_from((*ACTIONS, *OFTEN)), st.integers(0, 2))


def check(fleet: FleetModel) -> None:
    for host in fleet.hosts.values():
        given_away = fleet.allocated(host.name)
        assert all(amount <= host.rows[key].sellable for key, amount in given_away.items()), (host.name, given_away)
    for taken, decision in fleet.decisions:
        assert {verdict.host for verdict in decision.verdicts} == set(fleet.hosts)
        for verdict in decision.verdicts:
            assert (verdict.host == decision.host) == (not verdict.reasons)
            assert all(reason.code and reason.sentence for reason in verdict.reasons)
        if decision.host is not None:
            chosen = taken.host(decision.host)
            assert all(amount <= chosen.free[key] for key, amount in decision.needed.items())
    fleet.decisions.clear()


def check_end(fleet: FleetModel) -> None:
    """With all hosts back and reconciled every launch runs, has ended or is undone, and nothing else is ours."""
    fleet.return_all()
    fleet.restart()
    assert not [launch for launch in fleet.ledger.values() if launch.stage is Stage.INTENT]
    for host in fleet.hosts.values():
        ours = {name for name in host.running if not name.startswith("theirs")}
        assert ours <= {launch.job.name for launch in fleet.ledger.values() if launch.host == host.name}


@settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=24))
def test_nothing_is_ever_oversold_and_every_refusal_has_its_reasons(sequence: list[tuple[str, int]]) -> None:
    fleet = FleetModel()
    for action, number in sequence:
        ACTIONS[action](fleet, number)
        check(fleet)
    check_end(fleet)
