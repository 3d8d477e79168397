from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backup.chains import age_order, by_id, restorable
from orchestrator.backup.entries import PHYSICAL, Backup
from orchestrator.backup.retention import Held, judge, removable
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.settings import Retention
from tests.support.backups import DAY, HOUR, backup, increment

NOW = 100 * DAY


def held(backups: tuple[Backup, ...], policy: Retention | None, **options: frozenset[str]) -> dict[str, Held | None]:
    return {verdict.backup.id: verdict.held for verdict in judge(backups, policy, now=NOW, **options)}


def test_without_a_retention_nothing_goes() -> None:
    backups = (backup("f1", NOW - 90 * DAY), backup("f2", NOW - DAY))
    assert held(backups, None) == {"f1": Held.NO_POLICY, "f2": Held.NO_POLICY}


def test_a_retention_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="count, window or both"):
        Retention()


def test_the_last_so_many_stay() -> None:
    backups = tuple(backup(f"f{day}", NOW - day * DAY) for day in range(5))
    assert [name for name, why in held(backups, Retention(count=2)).items() if why] == ["f0", "f1"]


def test_a_window_needs_the_last_backup_before_it() -> None:
    backups = tuple(backup(f"f{day}", NOW - day * DAY - HOUR) for day in range(5))
    found = held(backups, Retention(window=2 * DAY))
    assert [name for name, why in found.items() if why] == ["f0", "f1", "f2"], "f2 leads into the window's begin"


def test_what_either_wants_is_kept() -> None:
    backups = tuple(backup(f"f{day}", NOW - day * DAY - HOUR) for day in range(5))
    found = held(backups, Retention(count=4, window=DAY))
    assert [name for name, why in found.items() if why] == ["f0", "f1", "f2", "f3"]


def test_a_parent_stays_as_long_as_a_child_does() -> None:
    full = backup("f1", NOW - 9 * DAY)
    first = increment("i1", NOW - 8 * DAY, full)
    last = increment("i2", NOW - 1 * DAY, first)
    assert held((full, first, last), Retention(count=1)) == {
        "i2": Held.LAST,
        "i1": Held.NEEDED,
        "f1": Held.NEEDED,
    }


def test_a_keep_beats_the_retention_until_it_ends() -> None:
    old, new = backup("f1", NOW - 50 * DAY, keep_why="the audit"), backup("f2", NOW - DAY)
    assert held((old, new), Retention(count=1))["f1"] is Held.KEPT
    over = replace(old, keep_until=NOW - 1)
    assert held((over, new), Retention(count=1))["f1"] is None


def test_what_a_job_uses_stays() -> None:
    old, new = backup("f1", NOW - 50 * DAY), backup("f2", NOW - DAY)
    assert held((old, new), Retention(count=1), in_use=frozenset({"f1"}))["f1"] is Held.IN_USE


def test_the_last_good_one_stays_however_old_and_a_broken_newer_one_does_not_replace_it() -> None:
    good = backup("f1", NOW - 90 * DAY)
    damaged = backup("f2", NOW - 2 * DAY, damage="a byte is flipped")
    failed = backup("f3", NOW - DAY, made=State.FAILED)
    found = held((good, damaged, failed), Retention(window=DAY))
    assert found == {"f1": Held.LAST, "f2": Held.UNREPLACED, "f3": Held.UNREPLACED}
    later = (good, damaged, failed, backup("f4", NOW))
    assert held(later, Retention(count=1)) == {"f4": Held.LAST, "f3": None, "f2": None, "f1": None}


def test_an_increment_without_its_parent_is_no_restore_point() -> None:
    full = backup("f1", NOW - 9 * DAY)
    orphan = increment("i1", NOW - DAY, replace(full, id="f0"))
    assert held((full, orphan), Retention(count=1)) == {"f1": Held.LAST, "i1": Held.UNREPLACED}


def test_logical_dumps_and_physical_backups_do_not_stand_for_each_other() -> None:
    found = held((backup("f1", NOW - 9 * DAY), backup("d1", NOW, Kind.LOGICAL)), Retention(count=1))
    assert found == {"d1": Held.LAST, "f1": Held.LAST}


def test_binary_logs_stay_while_a_backup_leads_into_them() -> None:
    backups = (
        backup("b1", NOW - 20 * DAY, Kind.BINLOG),
        backup("f1", NOW - 9 * DAY),
        backup("b2", NOW - 8 * DAY, Kind.BINLOG),
        backup("b3", NOW, Kind.BINLOG),
    )
    found = held(backups, Retention(count=1))
    assert found == {"b3": Held.LAST, "b2": Held.LOGS, "f1": Held.LAST, "b1": None}


def test_copies_and_what_was_done_with_backups_are_not_pruned() -> None:
    found = held((backup("c1", NOW - 90 * DAY, Kind.COPY), backup("v1", NOW, Kind.VERIFY)), Retention(count=1))
    assert found == {"c1": Held.ELSEWHERE}


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[Backup, ...]:
    """Chains, broken ones too: parents that failed, are gone, or never were."""
    made: list[Backup] = []
    for number in range(draw(st.integers(0, 12))):
        at = NOW - draw(st.integers(0, 30)) * DAY - number
        parents = [item for item in made if item.kind in PHYSICAL and item.finished_at < at]
        kind = draw(st.sampled_from([Kind.FULL, Kind.INCREMENTAL, Kind.LOGICAL, Kind.BINLOG]))
        name = f"b{number}"
        if kind is Kind.INCREMENTAL and parents:
            item = increment(name, at, draw(st.sampled_from(parents)))
        else:
            item = backup(name, at, Kind.FULL if kind is Kind.INCREMENTAL else kind)
        changes = draw(
            st.sampled_from(
                [{}, {}, {}, {}, {"made": State.FAILED}, {"damage": "x"}, {"removed_at": 1.0}, {"keep_why": "w"}]
            )
        )
        made.append(replace(item, **changes))  # type: ignore[arg-type]
    return tuple(made)


policies = st.builds(
    lambda count, days: Retention(count=count, window=None if days is None else days * DAY),
    st.integers(1, 5),
    st.none() | st.integers(1, 20),
) | st.builds(lambda days: Retention(window=days * DAY), st.integers(1, 20))


@given(catalogues(), policies, st.sets(st.sampled_from([f"b{number}" for number in range(12)])))
def test_no_retention_loses_what_must_stay(backups: tuple[Backup, ...], policy: Retention, used: set[str]) -> None:
    verdicts = judge(backups, policy, now=NOW, in_use=frozenset(used))
    gone = removable(verdicts)
    lost = {item.id for item in gone}
    known = by_id(backups)
    stays = [verdict.backup for verdict in verdicts if verdict.held is not None]

    assert {verdict.backup.id for verdict in verdicts} == {item.id for item in backups if item.present}
    assert not any(item.kept(NOW) or item.id in used for item in gone), "keep and use beat the retention"
    for item in stays:
        assert item.parent not in lost, "a parent stays as long as a child does"
    for kinds in (PHYSICAL, frozenset({Kind.LOGICAL})):
        points = [item for item in backups if item.kind in kinds and restorable(item, known)]
        if points:
            newest = max(points, key=age_order)
            assert newest.id not in lost, "the last good one stays"
            after = {item.id: item for item in backups if item.id not in lost}
            assert restorable(newest, after), "with all that it needs"
    positions = {item.id: place for place, item in enumerate(gone)}
    for item in gone:
        if item.parent in positions:
            assert positions[item.id] < positions[item.parent], "a child goes before its parent"


@given(catalogues(), st.integers(1, 20), st.floats(0, 1))
def test_any_moment_in_the_window_can_be_gone_back_to(backups: tuple[Backup, ...], days: int, share: float) -> None:
    moment = NOW - days * DAY * share
    gone = removable(judge(backups, Retention(window=days * DAY), now=NOW))

    def newest(items: tuple[Backup, ...]) -> Backup | None:
        known = by_id(items)
        points = (item for item in items if item.kind in PHYSICAL and item.finished_at <= moment)
        return max((item for item in points if restorable(item, known)), key=age_order, default=None)

    assert newest(tuple(item for item in backups if item not in gone)) == newest(backups)


@given(catalogues(), policies)
def test_a_second_prune_finds_nothing(backups: tuple[Backup, ...], policy: Retention) -> None:
    gone = removable(judge(backups, policy, now=NOW))
    after = tuple(replace(item, removed_at=NOW) if item in gone else item for item in backups)
    assert removable(judge(after, policy, now=NOW)) == ()
