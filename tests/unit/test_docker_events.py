from pathlib import Path
from typing import Any

import docker
import docker.errors

from collector.cgroup.hierarchy import Hierarchy
from collector.containers import ContainerIndex
from collector.docker_events import EventFollower
from collector.oom import OomKills

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
    for event in ({}, {"Type": "container"}, {"Type": "network", "Action": "oom"}, {**oom(1), "timeNano": "x"}):
        events.handle(event)
    assert dict(kills.totals(set())) == {}
