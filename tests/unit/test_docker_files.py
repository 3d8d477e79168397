import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.docker_files import ContainerFiles, ContainerState, Status, parse_state
from collector.kernelfile import SkippedLines

STATE: dict[str, Any] = {
    "Running": False,
    "Paused": False,
    "Restarting": False,
    "OOMKilled": True,
    "ExitCode": 137,
    "FinishedAt": "2026-11-23T05:55:16.089543271Z",
    "Health": None,
}
CONFIG: dict[str, Any] = {
    "Name": "/demo-backup",
    "Config": {"Image": "vdbmon/backup:0.1.0"},
    "RestartCount": 2,
    "State": STATE,
}


def test_a_state_is_read_as_docker_writes_it() -> None:
    assert parse_state(CONFIG) == ContainerState(
        name="demo-backup",
        image="vdbmon/backup:0.1.0",
        status=Status.STOPPED,
        restarts=2,
        exit_code=137,
        oom_killed=True,
        health="",
        finished_at=1795413316.089543,
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Running": True}, Status.RUNNING),
        ({"Running": True, "Paused": True}, Status.PAUSED),
        ({"Running": True, "Restarting": True}, Status.STOPPED),
        ({"Running": False, "Dead": True}, Status.STOPPED),
    ],
)
def test_states_are_counted_as_docker_counts_them(changes: dict[str, bool], status: Status) -> None:
    assert parse_state({**CONFIG, "State": {**STATE, **changes}}).status is status


def write_config(root: Path, container_id: str, config: object) -> None:
    folder = root / "containers" / container_id
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "part"
    part.write_text(config if isinstance(config, str) else json.dumps(config))
    part.replace(folder / "config.v2.json")


def test_files_are_read_again_only_when_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        read.append(path)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    files = ContainerFiles(lambda: tmp_path, SkippedLines())
    write_config(tmp_path, "a", CONFIG)
    write_config(tmp_path, "b", {**CONFIG, "Name": "/other"})
    assert {state.name for state in files.scan()} == {"demo-backup", "other"}
    write_config(tmp_path, "b", {**CONFIG, "Name": "/renamed"})
    assert {state.name for state in files.scan()} == {"demo-backup", "renamed"}
    assert len(read) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Name": 1}', '{"State": []}', "9" * 5000, "[" * 100_000, "\0"])
def test_a_file_that_is_not_understood_costs_its_container_and_is_counted(tmp_path: Path, content: str) -> None:
    skipped = SkippedLines()
    write_config(tmp_path, "a", CONFIG)
    write_config(tmp_path, "bad", content)
    (tmp_path / "containers" / "empty").mkdir()
    assert [state.name for state in ContainerFiles(lambda: tmp_path, skipped).scan()] == ["demo-backup"]
    assert skipped.count == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["Name", "State", "Config", "Image", "Running", "FinishedAt", "Health", "ExitCode", "OOMKilled"]
                ),
                inner,
            )
        ),
    )
)
def test_no_json_escapes_the_ways_to_fail(value: Any) -> None:
    try:
        parse_state(value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return


def test_a_root_that_cannot_be_read_is_an_error_and_not_a_host_without_containers(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ContainerFiles(lambda: tmp_path, SkippedLines()).scan()


def test_the_failing_streak_is_read_from_the_daemons_file() -> None:
    state = {**CONFIG["State"], "Health": {"Status": "unhealthy", "FailingStreak": 7}}
    assert parse_state({**CONFIG, "State": state}).failing_streak == 7
