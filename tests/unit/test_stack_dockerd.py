import itertools
import os
import socket
from pathlib import Path

import pytest

from collector.errors import VdbmonError
from vdbmon.config import Config, HostIdentity
from vdbmon.stack.dockerd import (
    Action,
    Survey,
    answers,
    daemon_of_pid_file,
    decide,
    is_listening,
    remove_stale_pid_file,
    survey_engine,
    wait_for_engine,
)

ADDRESS = "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("setting", "listening", "pid"),
    list(itertools.product((None, "DOCKER_HOST"), (False, True), (None, 4711))),
)
def test_a_daemon_is_started_only_where_nothing_hints_at_one(
    *, setting: str | None, listening: bool, pid: int | None
) -> None:
    silent = Survey(address=ADDRESS, setting=setting, answers=False, listening=listening, pid=pid)
    nothing = setting is None and not listening and pid is None
    assert decide(silent) is (Action.START if nothing else Action.WAIT)
    answering = Survey(address=ADDRESS, setting=setting, answers=True, listening=listening, pid=pid)
    assert decide(answering) is Action.USE


def test_a_socket_without_a_listener_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert not is_listening(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not is_listening(path)
        server.listen()
        assert is_listening(path)
    assert path.is_socket()
    assert not is_listening(path)


def test_a_listener_with_a_full_backlog_still_listens(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(path))
        server.listen(0)
        first.connect(str(path))
        assert is_listening(path)
        assert is_listening(path)


def test_a_listener_that_says_nothing_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert not answers(f"unix://{path}", seconds=1)


@pytest.mark.parametrize(
    "content", ["", "no number", "999999999", pytest.param(str(os.getpid()), id="another program")]
)
def test_a_pid_file_that_names_no_dockerd_is_stale(tmp_path: Path, content: str) -> None:
    file = tmp_path / "docker.pid"
    file.write_text(content)
    assert daemon_of_pid_file(file) is None
    remove_stale_pid_file(file)
    assert not file.exists()


def test_docker_host_is_taken_as_it_is(tmp_path: Path) -> None:
    config = Config(host=HostIdentity(name="dr-host-01"))
    address = f"unix://{tmp_path}/nobody.sock"
    survey = survey_engine(config, {"DOCKER_HOST": address})
    assert (survey.address, survey.setting, survey.answers) == (address, "DOCKER_HOST", False)
    assert decide(survey) is Action.WAIT


def test_an_engine_that_never_answers_ends_in_an_error_that_says_who_chose_it(tmp_path: Path) -> None:
    survey = Survey(address=f"unix://{tmp_path}/nobody.sock", setting="DOCKER_HOST", answers=False)
    told: list[str] = []
    with pytest.raises(VdbmonError, match="DOCKER_HOST") as caught:
        wait_for_engine(survey, told.append, seconds=0)
    assert caught.value.code == "docker.not_answering"
    assert len(told) == 1
