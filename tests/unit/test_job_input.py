import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import labels
from collector.cgroup.hierarchy import Hierarchy
from collector.child import ChildPool
from collector.containers import ContainerIndex, ContainerMount, Metadata
from collector.inputs import job
from collector.inputs.job import JobInput, parse_job_text
from collector.kernelfile import SkippedLines
from collector.metrics import Metric
from collector.statvfs import FILESYSTEM_CHILD
from collector.volume_labels import labels_file, write_volume_labels
from tests.support.wait import wait_until

Values = dict[tuple[Metric, tuple[str, ...]], float]

SUCCESS = "vdbmon_backup_last_success_timestamp_seconds"


def state_lines(state: str) -> str:
    return "".join(
        f'vdbmon_backup_state{{state="{name}"}} {int(name == state)}\n' for name in ("started", "done", "failed")
    )


class Host:
    """Jobs with volumes, some of them running."""

    def __init__(self, folder: Path) -> None:
        self.volumes = folder / "volumes"
        self.volumes.mkdir()
        self.cgroups = folder / "cgroup"
        self.cgroups.mkdir()
        self.procfs = folder / "proc"
        self.metadata: dict[str, Metadata] = {}
        self.index = ContainerIndex(Hierarchy(self.cgroups, {}), self.metadata.get)
        self.children = ChildPool(FILESYSTEM_CHILD, deadline=5.0, limit=2)
        self.input = self.new_input()

    def new_input(self) -> JobInput:
        return JobInput(
            self.index,
            procfs=self.procfs,
            volumes_dir=self.volumes,
            children=self.children,
            skipped=SkippedLines(),
            clock=lambda: 1000.0,
        )

    def volume(self, name: str, text: str, *, owner: str | None = None, modified: float = 500.0) -> Path:
        path = self.volumes / name / "metrics" / "backup.prom"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (modified, modified))
        if owner is not None:
            given = {labels.NAME: owner, labels.IMAGE: "backup:1", labels.SOURCE: "demo", labels.JOB: "backup"}
            write_volume_labels(self.volumes, name, given)
        return path

    def container(self, name: str, volume: str, *, managed: str = "true") -> None:
        given = {labels.MANAGED: managed, labels.SOURCE: "demo", labels.JOB: "backup"}
        mount = ContainerMount("bind", "", str(self.volumes / volume), "/backup", writable=True)
        self.start(Metadata(name, "backup:1", given, mounts=(mount,)), "/backup")

    def start(self, metadata: Metadata | None, mount_point: str) -> None:
        """A container of pid 7, known by its metadata or not at all."""
        key = f"{len(list(self.cgroups.glob('docker/*'))):064x}"
        if metadata is not None:
            self.metadata[key] = metadata
        (self.procfs / "7").mkdir(parents=True, exist_ok=True)
        (self.procfs / "7" / "mountinfo").write_text(f"1 1 7:0 / {mount_point} rw - ext4 /dev/loop0 rw\n")
        (self.cgroups / "docker" / key).mkdir(parents=True)
        (self.cgroups / "docker" / key / "cgroup.procs").write_text("7\n")
        self.index.refresh()

    def gather(self) -> Values:
        """What a round that begins now finds."""
        self.input = self.new_input()
        samples = wait_until(self.input.gather, deadline=10, what="the first round")
        return {(sample.metric, sample.labels): sample.value for sample in samples}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.children.close()


def owner(name: str) -> tuple[str, ...]:
    return (name, "backup:1", "demo", "backup")


def test_a_job_gives_values_and_the_agent_gives_names(host: Host) -> None:
    host.volume("b1", 'vdbmon_backup_progress_bytes{kind="raw"} 5e9\n' + state_lines("started"))
    host.container("nightly", "b1")
    values = host.gather()
    assert values[job.PROGRESS, (*owner("nightly"), "raw")] == 5e9
    assert values[job.STATE, (*owner("nightly"), "started")] == 1
    assert values[job.STATE, (*owner("nightly"), "done")] == 0
    assert values[job.LAST_READ, ()] == 1000.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('vdbmon_backup_lag_seconds{name="other"} 1', "label"),
        ('vdbmon_backup_lag_seconds{source="other"} 1', "label"),
        ('vdbmon_backup_lag_seconds{host="other"} 1', "label"),
        ('vdbmon_backup_bytes{kind="raw",backup_job="x"} 1', "label"),
        ('vdbmon_backup_bytes{kind="both"} 1', "label"),
        ("vdbmon_backup_bytes 1", "label"),
        ("container_memory_usage_bytes 1", "undeclared"),
        ("vdbmon_backup_secret 1", "undeclared"),
        ("vdbmon_job_file_refused 1", "undeclared"),
        ("vdbmon_backup_lag_seconds NaN", "malformed"),
        ("vdbmon_backup_lag_seconds +Inf", "malformed"),
        ("vdbmon_backup_lag_seconds 1e999", "malformed"),
        ("vdbmon_backup_lag_seconds", "malformed"),
        ("vdbmon_backup_lag_seconds one", "malformed"),
        ('vdbmon_backup_bytes{kind="raw" 1', "malformed"),
        ("vdbmon_backup_lag_seconds 8", "duplicate"),
        ('vdbmon_backup_bytes{kind="raw"} -1', "malformed"),
        ("\x00\x1b[2J", "malformed"),
    ],
)
def test_a_line_that_says_too_much_is_refused_by_its_reason(line: str, reason: str) -> None:
    found = parse_job_text(f"vdbmon_backup_lag_seconds 7\n{line}\n")
    assert (found.values, found.refused) == ({(job.LAG, ()): 7.0}, {reason: 1})


def test_comments_times_and_blank_lines_are_no_error() -> None:
    text = f"# HELP x y\n# TYPE {SUCCESS} gauge\n\n  {SUCCESS}  1.5e9 1700000000000\n"
    found = parse_job_text(text)
    assert (found.values, found.refused) == ({(job.LAST_SUCCESS, ()): 1.5e9}, {})


def test_a_last_line_without_its_end_is_torn() -> None:
    assert parse_job_text(f"{SUCCESS} 170000").refused == {"malformed": 1}


@pytest.mark.parametrize("missing", ["started", "done"])
def test_a_state_is_known_by_the_one_that_is_1_or_not_at_all(missing: str) -> None:
    lines = [line for line in state_lines("started").splitlines(keepends=True) if f'"{missing}"' not in line]
    found = parse_job_text("".join(lines))
    assert (len(found.values), found.refused) == ((0, {"state": 2}) if missing == "started" else (2, {}))


@pytest.mark.parametrize("value", ["0.5", "2"])
def test_a_state_is_1_or_0(value: str) -> None:
    found = parse_job_text(f'vdbmon_backup_state{{state="done"}} 1\nvdbmon_backup_state{{state="failed"}} {value}\n')
    assert (found.values, found.refused) == ({}, {"state": 2})


def test_lines_beyond_the_limit_are_not_read() -> None:
    found = parse_job_text("other 1\n" * (job.MAX_LINES + 5))
    assert found.refused == {"undeclared": job.MAX_LINES, "too_many": 5}


_ODD = st.text(st.sampled_from('vdbmon_backup_bytes{kind="raw"} \\\n#,=1e.-+Infa\t\x00ä'), max_size=200)


@given(st.one_of(st.text(max_size=300), _ODD))
def test_any_text_gives_nothing_but_what_is_offered(text: str) -> None:
    for (metric, given_labels), value in parse_job_text(text).values.items():
        assert metric.name in text
        assert len(given_labels) == len(metric.labels) - 4
        assert value == value and abs(value) != float("inf")  # noqa: PLR0124, PT018


def test_a_backup_keeps_its_age_when_its_container_is_gone(host: Host) -> None:
    host.volume("b1", f"{SUCCESS} 400\n{state_lines('done')}", owner="nightly")
    values = host.gather()
    assert values[job.LAST_SUCCESS, owner("nightly")] == 400
    assert values[job.STATE, (*owner("nightly"), "done")] == 1


def test_a_new_attempt_takes_nothing_from_the_last_good_backup(host: Host) -> None:
    host.volume("b1", f"{SUCCESS} 400\nvdbmon_backup_duration_seconds 9\n{state_lines('done')}", owner="nightly")
    host.volume("b2", state_lines("started"), owner="nightly", modified=600.0)
    host.container("nightly", "b2")
    values = host.gather()
    assert values[job.LAST_SUCCESS, owner("nightly")] == 400
    assert values[job.DURATION, owner("nightly")] == 9
    states = {labels[-1]: value for (metric, labels), value in values.items() if metric is job.STATE}
    assert states == {"started": 1, "done": 0, "failed": 0}


def test_what_two_files_say_of_one_metric_is_not_mixed(host: Host) -> None:
    sizes = 'vdbmon_backup_bytes{kind="raw"} 9\nvdbmon_backup_bytes{kind="stored"} 3\n'
    host.volume("b1", sizes + state_lines("done"), owner="nightly")
    newer = 'vdbmon_backup_bytes{kind="raw"} 5\nvdbmon_backup_state{state="failed"} 1\n'
    host.volume("b2", newer, owner="nightly", modified=600.0)
    found = {labels[-1]: value for (metric, labels), value in host.gather().items() if metric in (job.BYTES, job.STATE)}
    assert found == {"raw": 5, "failed": 1}


def test_what_was_under_way_when_its_container_went_has_failed(host: Host) -> None:
    text = state_lines("started") + 'vdbmon_backup_progress_bytes{kind="raw"} 5\n'
    host.volume("b1", text, owner="nightly")
    values = host.gather()
    states = {labels[-1]: value for (metric, labels), value in values.items() if metric is job.STATE}
    assert states == {"started": 0, "done": 0, "failed": 1}
    assert (job.PROGRESS, (*owner("nightly"), "raw")) not in values


@pytest.mark.parametrize(("mount_point", "started"), [("/backup", 1), ("/data", 0)])
def test_a_job_is_not_given_up_while_a_container_that_may_be_its_own_has_no_name(
    host: Host, mount_point: str, started: int
) -> None:
    host.volume("b1", state_lines("started"), owner="nightly")
    host.start(None, mount_point)
    assert host.gather()[job.STATE, (*owner("nightly"), "started")] == started


def test_jobs_do_not_meet_and_a_stranger_is_not_read(host: Host) -> None:
    host.volume("b1", "vdbmon_backup_lag_seconds 1\n")
    host.volume("b2", "vdbmon_backup_lag_seconds 2\n")
    host.volume("b3", "vdbmon_backup_lag_seconds 3\n")
    host.container("one", "b1")
    host.container("two", "b2")
    host.container("stranger", "b3", managed="")
    lags = {labels: value for (metric, labels), value in host.gather().items() if metric is job.LAG}
    assert lags == {owner("one"): 1, owner("two"): 2}


def test_refusals_are_counted_by_container_and_reason(host: Host) -> None:
    path = host.volume("b1", "vdbmon_backup_lag_seconds 1\nother 1\nother 2\n")
    os.mkfifo(path.with_name("pipe.prom"))
    path.with_name("link.prom").symlink_to("/etc/shadow")
    path.with_name("loop.prom").symlink_to("loop.prom")
    host.container("one", "b1")
    values = host.gather()
    assert values[job.FILE_REFUSED, ("one", "backup:1", "fifo")] == 1
    assert values[job.FILE_REFUSED, ("one", "backup:1", "link")] == 2
    assert values[job.LINES_REFUSED, ("one", "backup:1", "undeclared")] == 2


@pytest.mark.parametrize(
    "content", ["", "[]", '{"io.vdbmon.name": 1}', '{"io.vdbmon.source": "nameless"}', "{", "[" * 60_000]
)
def test_a_volume_whose_labels_say_nothing_is_nobodys(host: Host, content: str) -> None:
    host.volume("b1", "vdbmon_backup_lag_seconds 1\n")
    labels_file(host.volumes, "b1").write_text(content)
    assert [metric for metric, _ in host.gather()] == [job.LAST_READ]


def test_a_file_that_changes_is_read_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "READ_EVERY", 0.0)
    host.volume("b1", f"{SUCCESS} 400\n")
    host.container("one", "b1")
    host.gather()
    host.volume("b1", f"{SUCCESS} 500\n", modified=501.0)
    wait_until(
        lambda: any(sample.metric is job.LAST_SUCCESS and sample.value == 500 for sample in host.input.gather()),
        deadline=10,
        what="the new value",
    )
