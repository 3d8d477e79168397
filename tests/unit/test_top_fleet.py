"""What is known of agents that answer, fall silent and come back."""

from tests.support.top import container, reading
from vdbmon.top.agents import Agent
from vdbmon.top.fleet import HISTORY, Fleet, HostView

URL = "http://10.0.0.1:9273/metrics"


def fleet(name: str = "") -> Fleet:
    return Fleet([Agent(URL, name)])


def view(watched: Fleet, now: float = 0.0) -> HostView:
    (found,) = watched.views(now)
    return found


def test_an_agent_that_was_not_heard_yet_has_no_row_and_no_problem() -> None:
    assert (view(fleet()).row, view(fleet()).problem, view(fleet()).age) == (None, "", None)
    assert view(fleet()).name == "10.0.0.1:9273"


def test_the_configured_name_is_kept_and_an_unknown_one_learnt() -> None:
    for configured, shown in (("prod-1", "prod-1"), ("", "db1")):
        watched = fleet(configured)
        watched.answered(URL, reading(container(), clock=1.0))
        assert view(watched).name == shown


def test_a_silent_agent_says_why_and_for_how_long_and_comes_back() -> None:
    watched = fleet()
    watched.answered(URL, reading(container(), clock=1.0, received=100.0))
    watched.failed(URL, "no answer within 4 s")
    silent = view(watched, now=130.0)
    assert (silent.row, silent.problem, silent.age) == (None, "no answer within 4 s", 30.0)
    assert silent.name == "db1"
    watched.answered(URL, reading(container(), clock=40.0, received=131.0))
    back = view(watched, now=131.0)
    assert back.row is not None
    assert (back.problem, back.age) == ("", 0.0)


def test_a_collection_that_is_given_out_twice_keeps_the_rates() -> None:
    watched = fleet()
    for clock, cpu in ((1.0, 0.0), (3.0, 1.0), (3.0, 1.0)):
        watched.answered(URL, reading(container(cpu=cpu), clock=clock, received=clock))
    row = view(watched).row
    assert row is not None
    assert row.containers[0].figures.cpu.used == 0.5
    assert view(watched).trends["backup"].cpu == (None, 0.5)
    watched.answered(URL, reading(container(cpu=2.0), clock=5.0))
    assert view(watched).trends["backup"].cpu == (None, 0.5, 0.5)


def test_there_are_rates_when_every_agent_that_answers_has_two_readings() -> None:
    watched = Fleet([Agent(URL), Agent("http://10.0.0.2:9273/metrics")])
    assert not watched.has_rates
    watched.failed("http://10.0.0.2:9273/metrics", "connection refused")
    watched.answered(URL, reading(container(), clock=1.0))
    assert not watched.has_rates
    watched.answered(URL, reading(container(), clock=2.0))
    assert watched.has_rates


def test_trends_end_with_their_container_and_are_bounded() -> None:
    watched = fleet()
    for clock in range(HISTORY + 10):
        watched.answered(URL, reading(container("old"), clock=float(clock)))
    assert len(view(watched).trends["old"].cpu) == HISTORY
    watched.answered(URL, reading(container("new"), clock=1000.0))
    assert set(view(watched).trends) == {None, "new"}
