import logging
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.catalogue import METRICS
from collector.errors import ConfigError
from collector.foreign import ForeignMetrics
from collector.inputs import exec as exec_input
from collector.inputs.exec import MAX_VALUES, Command, ExecInput, commands_of, parse_output
from collector.metrics import Kind, Sample, Stability
from collector.projections.prometheus import Exposition
from collector.projections.telegraf import TelegrafProjection
from collector.settings import DataFormat, ExecSettings
from tests.support.wait import wait_until

PATIENCE = 15.0
INFLUX = DataFormat.INFLUX
PROMETHEUS = DataFormat.PROMETHEUS


def command(script: str, data_format: DataFormat = PROMETHEUS, **changes: object) -> Command:
    values = {"name": "test", "timeout": 5.0, "interval": 60.0, **changes}
    return Command(arguments=("sh", "-c", script), data_format=data_format, **values)  # type: ignore[arg-type]


def run(*commands: Command) -> list[Sample]:
    """The samples once each command has run."""
    source = ExecInput(commands, ForeignMetrics(METRICS), lambda: 1000.0)

    def ended() -> list[Sample]:
        samples = source.gather()
        return samples if sum(sample.metric is exec_input.UP for sample in samples) == len(commands) else []

    return wait_until(ended, deadline=PATIENCE, what="the commands end")


def foreign(samples: Sequence[Sample]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.metric.name, frozenset(zip(sample.metric.labels, sample.labels, strict=True))): sample.value
        for sample in samples
        if sample.metric.name not in METRICS
    }


def own(samples: Sequence[Sample]) -> dict[tuple[str, ...], float]:
    return {(sample.metric.name, *sample.labels): sample.value for sample in samples if sample.metric.name in METRICS}


def test_prometheus_text_becomes_samples() -> None:
    samples = run(command("""echo '# TYPE jobs_total counter'; echo 'jobs_total{queue="a b"} 5'; printf 'load 0.5'"""))
    assert foreign(samples) == {("jobs_total", frozenset({("queue", "a b")})): 5.0, ("load", frozenset()): 0.5}
    kinds = {sample.metric.name: (sample.metric.kind, sample.metric.stability) for sample in samples}
    assert kinds["jobs_total"] == (Kind.COUNTER, Stability.ALPHA)
    assert kinds["load"] == (Kind.GAUGE, Stability.ALPHA)
    values = own(samples)
    assert values["vdbmon_exec_up", "test"] == 1
    assert values["vdbmon_exec_last_success_timestamp_seconds", "test"] == 1000
    assert 0 < values["vdbmon_exec_duration_seconds", "test"] < PATIENCE


def test_line_protocol_becomes_samples_and_goes_back_to_influxdb_as_it_came() -> None:
    samples = run(command("echo 'smart,device-name=/dev/sda temp=31i,ok=t,model=\"x\",value=2.5 17'", INFLUX))
    labels = frozenset({("device_name", "/dev/sda")})
    assert foreign(samples) == {("smart_temp", labels): 31, ("smart_ok", labels): 1, ("smart", labels): 2.5}
    assert own(samples)["vdbmon_exec_values_refused", "test", "not_a_number"] == 1
    points = TelegrafProjection("h").project(samples, 5)
    (smart,) = [point for point in points if point.measurement == "smart"]
    assert smart.tags == (("device_name", "/dev/sda"), ("host", "h"))
    assert smart.fields == {"temp": 31, "ok": 1.0, "value": 2.5}
    assert isinstance(smart.fields["temp"], int)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("node_load1 99", "reserved_name"),
        ("container_memory_usage_bytes 1", "reserved_name"),
        ("vdbmon_anything 1", "reserved_name"),
        ("up 0", "reserved_name"),
        ("scrape_samples_scraped 0", "reserved_name"),
        ('a{host="other"} 1', "reserved_label"),
        ('a{job="x"} 1', "reserved_label"),
        ('a{__name__="node_load1"} 1', "malformed"),
        ('a{__x="1"} 1', "malformed"),
        ('{"node_load1"} 1', "malformed"),
        ("a NaN", "not_finite"),
        ("in inf", "not_finite"),
        ("inf", "malformed"),
        ("a b c", "malformed"),
        ('a{b="c" 1', "malformed"),
        ("a 1 # {} 1", "malformed"),
        ("a" * 5000 + " 1", "malformed"),
        ("a 1" + "0" * 400, "malformed"),
        ("# TYPE a counter\na -1", "negative_counter"),
    ],
)
def test_what_may_not_pass_is_refused_by_its_reason_and_the_rest_stays(line: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text(f"good 1\n{line}\n")
    samples = run(command(f"cat {tmp_path}/out"))
    assert foreign(samples) == {("good", frozenset()): 1.0}
    assert own(samples)["vdbmon_exec_values_refused", "test", reason] == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo a 1; echo no luck >&2; exit 2", "exit status 2: no luck"),
        ("echo a 1; sleep 60", "sh did not end in time"),
        ("echo a 1; kill -9 $$", "exit status -9: no message"),
        ("(trap '' TERM; sleep 60) & echo a 1; wait", "sh did not end in time"),
        ("yes 'a 1'", "sh wrote more than 1048576 bytes"),
    ],
)
def test_a_run_that_fails_has_no_samples_and_says_why(script: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        samples = run(command(script, timeout=1.0))
    assert foreign(samples) == {}
    assert own(samples)["vdbmon_exec_up", "test"] == 0
    assert ("vdbmon_exec_last_success_timestamp_seconds", "test") not in own(samples)
    assert f"exec test: {said}" in caplog.text


def test_a_command_that_is_slow_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    slow = command(f"cat {tmp_path}/gate", name="slow", timeout=60.0)
    source = ExecInput([slow, command("echo quick 1", name="quick")], ForeignMetrics(METRICS), lambda: 1000.0)
    seen = wait_until(lambda: foreign(source.gather()), deadline=PATIENCE, what="the quick one")
    assert seen == {("quick", frozenset()): 1.0}
    (tmp_path / "gate").write_text("slow 2\n")
    wait_until(lambda: len(foreign(source.gather())) == 2, deadline=PATIENCE, what="the slow one")


def test_a_command_that_the_kernel_does_not_let_go_is_down_and_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping the agent's thread isn't possible; a deadline that can't be kept stands for it."""
    monkeypatch.setattr(exec_input, "_GRACE", -59.5)
    hanging = command(f"echo run >>{tmp_path}/runs; echo $$ >{tmp_path}/pid; sleep 60", timeout=60.0, interval=0.01)
    source = ExecInput([hanging], ForeignMetrics(METRICS), lambda: 1000.0)
    wait_until(
        lambda: own(source.gather()).get(("vdbmon_exec_up", "test")) == 0, deadline=PATIENCE, what="it counts as down"
    )
    assert (tmp_path / "runs").read_text() == "run\n"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_two_commands_never_give_one_series_twice_and_their_labels_may_differ() -> None:
    samples = run(
        command("""echo 'temp{disk="a"} 1'; echo 'temp{disk="a"} 2'; echo 'temp 3'""", name="one"),
        command("""echo 'temp{fan="b"} 4'; echo 'temp{disk="a"} 5'""", name="two"),
    )
    text = Exposition("h").render(samples).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = {frozenset(sample.labels.items()): sample.value for sample in families["temp"].samples}
    host = ("host", "h")
    assert found == {frozenset({host, ("disk", "a")}): 1, frozenset({host}): 3, frozenset({host, ("fan", "b")}): 4}
    assert text.count("# TYPE temp ") == 1
    assert own(samples)["vdbmon_exec_clashes",] == 2


def test_names_that_meet_when_they_are_made_plain_are_not_mixed() -> None:
    samples = run(command("echo 'a_b c=1'; echo 'a b_c=2'; echo 'a-b c=3'", INFLUX))
    assert foreign(samples) == {("a_b_c", frozenset()): 1.0}
    assert own(samples)["vdbmon_exec_clashes",] == 2


def test_labels_that_the_projection_uses_itself_come_back_as_they_were() -> None:
    samples = run(command("""echo 'temp{device_name="x",cpu_tag="y",image_name="{z}",total_="0"} 1'"""))
    (point,) = [point for point in TelegrafProjection("h").project(samples, 5) if "temp" in point.fields]
    tags = {"device_name": "x", "cpu_tag": "y", "image_name": "{z}", "total_": "0", "host": "h"}
    assert dict(point.tags) == tags


def test_a_prefix_lets_a_name_of_ours_pass_as_another() -> None:
    samples = run(command("echo node_load1 7", name_prefix="site_"))
    assert foreign(samples) == {("site_node_load1", frozenset()): 7.0}
    assert own(run(command("echo a 7", name_prefix="9-")))["vdbmon_exec_values_refused", "test", "bad_name"] == 1


def test_a_tag_that_prometheus_keeps_to_itself_is_refused() -> None:
    samples = run(command("echo a,__x=1 b=1; echo a,instance=1 b=1; echo a,x-y=1,x.y=2 b=1,c=2", INFLUX))
    assert foreign(samples) == {}
    assert own(samples)["vdbmon_exec_values_refused", "test", "reserved_label"] == 2
    assert own(samples)["vdbmon_exec_values_refused", "test", "not_a_number"] == 2


def test_values_beyond_the_limit_are_left_out() -> None:
    values, refused = parse_output("".join(f"a{number} 1\n" for number in range(MAX_VALUES + 3)), PROMETHEUS)
    assert (len(values), refused) == (MAX_VALUES, {"too_many": 3})


def test_metrics_are_the_same_objects_from_run_to_run_and_forgotten_when_gone() -> None:
    made = ForeignMetrics(METRICS)
    values, _ = parse_output("a 1\nb 1\n", PROMETHEUS)
    first = [sample.metric for sample in made.samples(values)[0]]
    assert [sample.metric for sample in made.samples(values)[0]] == first
    made.samples(values[:1])
    again = [sample.metric for sample in made.samples(values)[0]]
    assert again[0] is first[0]
    assert again[1] is not first[1]


_HOSTILE = st.one_of(
    st.text(max_size=200),
    st.text(st.sampled_from('abinf_{}="\\,# \n\t.1e+-i\x00\x85\u2028ä\ud800'), max_size=200),
)


@given(_HOSTILE, st.sampled_from(DataFormat))
def test_any_output_gives_text_that_prometheus_reads(text: str, data_format: DataFormat) -> None:
    made = ForeignMetrics(METRICS)
    values, _ = parse_output(text, data_format)
    samples, _ = made.samples([value for value in values if made.refusal(value) is None])
    rendered = Exposition("h").render(samples).decode()
    names = {sample.name for family in text_string_to_metric_families(rendered) for sample in family.samples}
    assert names == {sample.metric.name for sample in samples}
    assert not names & METRICS.keys()
    TelegrafProjection("h").project(samples, 5)


def test_commands_are_split_as_a_shell_would_and_have_names_of_their_own() -> None:
    settings = [
        ExecSettings(commands=("/opt/a.sh --name 'x y'", ("/opt/a.sh", "x y"))),
        ExecSettings(commands=("/opt/b.sh",), alias="bee", data_format=PROMETHEUS, timeout=1.0, interval=2.0),
    ]
    made = commands_of(settings)
    assert [(item.name, item.arguments) for item in made] == [
        ("a.sh", ("/opt/a.sh", "--name", "x y")),
        ("a.sh:2", ("/opt/a.sh", "x y")),
        ("bee", ("/opt/b.sh",)),
    ]
    assert (made[2].data_format, made[2].timeout, made[2].interval) == (PROMETHEUS, 1.0, 2.0)


@pytest.mark.parametrize("given_command", ["", "  ", "echo 'a", (), ("",)])
def test_a_command_that_is_none_is_a_configuration_error(given_command: str | tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"inputs\.exec"):
        commands_of([ExecSettings(commands=(given_command,))])


def test_a_section_s_tags_and_filters_are_those_of_its_commands() -> None:
    script = "printf 'raid,disk=sda,rack=own state=1,age=2\\nfan speed=3\\n'"
    section = ExecSettings(commands=(("sh", "-c", script),), tags={"rack": "r7", "site": "fra"}, fieldexclude=("age",))
    assert foreign(run(*commands_of([section]))) == {
        ("raid_state", frozenset({("disk", "sda"), ("rack", "own"), ("site", "fra")})): 1,
        ("fan_speed", frozenset({("rack", "r7"), ("site", "fra")})): 3,
    }
    by_name = ExecSettings(commands=(("sh", "-c", script),), namepass=("raid",), tagdrop={"disk": ("sdb",)})
    assert {name for name, _ in foreign(run(*commands_of([by_name])))} == {"raid_state", "raid_age"}


def test_without_commands_the_input_is_silent() -> None:
    gather: Callable[[], list[Sample]] = ExecInput([], ForeignMetrics(METRICS), lambda: 0.0).gather
    assert gather() == []
