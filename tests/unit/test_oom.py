from hypothesis import given
from hypothesis import strategies as st

from collector.oom import OomKills

DB = ("db", "image:1")


def test_a_container_that_died_of_it_keeps_its_count() -> None:
    kills = OomKills()
    kills.kernel_count("a", DB, 0)
    kills.event("a", DB)
    assert dict(kills.totals(running=set())) == {DB: 1}


def test_what_both_witnesses_saw_counts_once() -> None:
    kills = OomKills()
    kills.event("a", DB)
    kills.kernel_count("a", DB, 1)
    assert dict(kills.totals({DB})) == {DB: 1}


def test_a_container_started_again_adds_to_its_name() -> None:
    kills = OomKills()
    kills.kernel_count("a", DB, 2)
    kills.kernel_count("a", DB, 0)
    kills.kernel_count("a", DB, 1)
    kills.kernel_count("b", DB, 4)
    assert dict(kills.totals({DB})) == {DB: 7}


def test_a_name_without_kills_ends_with_its_container() -> None:
    kills = OomKills()
    kills.kernel_count("a", DB, 0)
    assert dict(kills.totals({DB})) == {DB: 0}
    assert dict(kills.totals(set())) == {}


def test_names_that_never_come_again_do_not_pile_up() -> None:
    kills = OomKills()
    for number in range(1000):
        kills.kernel_count(str(number), (f"job-{number}", "image:1"), 1)
        kills.kernel_count("db", DB, 1)
    told = dict(kills.totals({DB}))
    assert told.pop(DB) == 1, "one that runs is always told"
    assert list(told) == [(f"job-{number}", "image:1") for number in range(900, 1000)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 5)))))
def test_the_count_never_falls(steps: list[tuple[str, int | None]]) -> None:
    kills, before = OomKills(), 0
    for container_id, count in steps:
        if count is None:
            kills.event(container_id, DB)
        else:
            kills.kernel_count(container_id, DB, count)
        now = dict(kills.totals({DB})).get(DB, 0)
        assert now >= before
        before = now
