from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from collector.cgroup.hierarchy import Hierarchy
from collector.containers import ContainerIndex
from collector.docker_api import connect
from collector.docker_events import EventFollower
from collector.oom import OomKills
from tests.support.false_engine import VERSION, false_engine
from tests.support.wait import wait_until

DB = ("db", "image:1")


def follower(kills: OomKills) -> EventFollower:
    def never() -> docker.APIClient:
        raise docker.errors.DockerException

    return EventFollower(
        never, ContainerIndex(Hierarchy(Path("/"), {}), lambda _: None), kills, lambda: 100.5, lambda _: None
    )


def oom(moment: int) -> dict[str, Any]:
    actor = {"ID": "a" * 64, "Attributes": {"name": "db", "image": "image:1"}}
    return {"Type": "container", "Action": "oom", "Actor": actor, "timeNano": moment}


def test_an_event_that_is_sent_again_counts_once() -> None:
    kills = OomKills()
    events = follower(kills)
    for moment in (101_000_000_000, 101_000_000_000, 102_000_000_000):
        events.handle(oom(moment))
    assert dict(kills.totals(set())) == {DB: 2}


def test_events_of_before_the_start_do_not_count() -> None:
    kills = OomKills()
    follower(kills).handle(oom(100_200_000_000))
    assert dict(kills.totals(set())) == {}


def test_events_go_on_when_the_clock_is_set_back() -> None:
    kills = OomKills()
    events = follower(kills)
    for moment in (200_000_000_000, 50_000_000_000, 51_000_000_000, 51_000_000_000):
        events.handle(oom(moment))
    assert dict(kills.totals(set())) == {DB: 3}


def test_events_of_another_shape_are_ignored() -> None:
    kills = OomKills()
    events = follower(kills)
    attributes: list[object] = [None, [], {"name": 5, "image": "image:1"}]
    actors: list[object] = [None, [], {}, {"ID": 7}, *({"ID": "a" * 64, "Attributes": odd} for odd in attributes)]
    shapes: list[object] = [None, [], {}, {"Type": "container"}, {"Type": "network", "Action": "oom"}]
    late = oom(101_000_000_000)
    for event in (*shapes, {**late, "timeNano": "x"}, *({**late, "Actor": actor} for actor in actors)):
        events.handle(event)
    assert dict(kills.totals(set())) == {}


@pytest.mark.parametrize("info", [None, [], {}, {"DockerRootDir": 7}])
def test_what_answers_and_is_no_docker_is_asked_again(info: object) -> None:
    with false_engine(version=VERSION, info=info) as engine:
        events = EventFollower(
            lambda: connect(engine.address, 5),
            *(ContainerIndex(Hierarchy(Path("/"), {}), lambda _: None), OomKills(), lambda: 100.5, lambda _: None),
        )
        events.start()
        wait_until(lambda: engine.asked.count("info") > 1, deadline=10, what="it is asked again")
        events.stop()
