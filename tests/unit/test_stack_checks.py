from pathlib import Path

import pytest

from orchestrator.settings import Reach, SourceSettings
from vdbmon.stack.checks import (
    Level,
    check_cgroups,
    check_clock,
    check_credentials,
    check_engine,
    check_loop_devices,
    check_pressure,
    check_programs,
    check_root,
    check_space,
)


def make_v1(root: Path, *controllers: str) -> Path:
    for controller in controllers:
        (root / controller).mkdir()
        (root / controller / "cgroup.procs").touch()
    return root


def test_cgroup_layouts_are_told_apart(tmp_path: Path) -> None:
    v1, hybrid, v2 = (tmp_path / name for name in ("v1", "hybrid", "v2"))
    for root in (v1, hybrid, v2):
        root.mkdir()
    make_v1(v1, "cpu", "cpuacct", "memory", "blkio")
    make_v1(hybrid, "cpu", "cpuacct", "memory", "blkio", "unified")
    (v2 / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    checks = [check_cgroups(root) for root in (v1, hybrid, v2)]
    assert [check.level for check in checks] == [Level.OK] * 3
    assert [check.detail.partition(":")[0] for check in checks] == ["v1", "hybrid", "v2"]


def test_a_missing_controller_fails_by_name(tmp_path: Path) -> None:
    check = check_cgroups(make_v1(tmp_path, "cpu", "cpuacct", "blkio"))
    assert check.level is Level.FAIL
    assert "memory" in check.detail
    assert check_cgroups(tmp_path / "nothing").level is Level.FAIL


def test_pressure_is_wanted_not_needed(tmp_path: Path) -> None:
    assert check_pressure(tmp_path).level is Level.WARN
    for name in ("cpu", "memory", "io"):
        path = tmp_path / "pressure" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert check_pressure(tmp_path).level is Level.OK


def test_a_missing_program_comes_with_its_package() -> None:
    check = check_programs(lambda name: None if name == "mkfs.ext4" else f"/sbin/{name}")
    assert (check.level, check.remedy) == (Level.FAIL, "apt-get install e2fsprogs")


def test_only_root_will_do() -> None:
    assert check_root(0).level is Level.OK
    assert check_root(1000).level is Level.FAIL


def test_loop_control_is_a_device(tmp_path: Path) -> None:
    assert check_loop_devices(Path("/dev/null")).level is Level.OK
    assert check_loop_devices(tmp_path / "loop-control").level is Level.FAIL


def test_space_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    assert str(tmp_path / "not" / "yet") in check_space(tmp_path / "not" / "yet").detail


@pytest.mark.parametrize(("mode", "level"), [(0o600, Level.OK), (0o400, Level.OK), (0o640, Level.FAIL)])
def test_credentials_are_nobody_elses_to_read(tmp_path: Path, mode: int, level: Level) -> None:
    file = tmp_path / "backup.cnf"
    file.touch()
    file.chmod(mode)
    source = SourceSettings(name="db", reach=Reach.LOCAL, address="unix:///x", credentials_file=file, host="here")
    (check,) = check_credentials([source], "here")
    assert check.level is level
    assert list(check_credentials([source], "elsewhere")) == []


def test_a_missing_credentials_file_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "none.cnf"
    source = SourceSettings(name="db", reach=Reach.LOCAL, address="unix:///x", credentials_file=file, host="here")
    (check,) = check_credentials([source], "here")
    assert check.level is Level.WARN


def test_a_slow_engine_is_a_warning_a_silent_one_fails() -> None:
    moments = iter([0.0, 0.02, 10.0, 13.0])
    assert check_engine("unix:///x", lambda _: True, lambda: next(moments)).level is Level.OK
    assert check_engine("unix:///x", lambda _: True, lambda: next(moments)).level is Level.WARN
    assert check_engine("unix:///x", lambda _: False, lambda: 0.0).level is Level.FAIL


def test_clocks_may_differ_by_a_moment() -> None:
    assert check_clock(100.0, 101.0).level is Level.OK
    assert check_clock(100.0, 110.0).level is Level.WARN
    assert check_clock(None, 110.0).level is Level.WARN
