import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import typer

from alerts import foreign
from alerts.rule import AlertRule, Closes, RecordingRule, Severity, duration, label, selector
from alerts.rules import RECORDED, RULES, rule_groups
from alerts.thresholds import GATE_FOR, GATE_GROUP, KEEP_FIRING_FOR, WATCHDOG
from collector.catalogue import FLEET_METRICS, host
from collector.catalogue import METRICS as AGENT_METRICS
from vdbmon.cli import COMMANDS

ROOT = Path(__file__).parents[2]
METRICS = AGENT_METRICS | FLEET_METRICS
every_recording = pytest.mark.parametrize("recording", RECORDED, ids=[rule.name for rule in RECORDED])
every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
# Labels that Prometheus adds at the scrape, and those that every series of the agent carries.
TARGET_LABELS = {"job", "instance", "host"}
FOREIGN_LABELS = {"rule_group", "integration"}
_SELECTORS = re.compile(r"(?<![:\w])(?P<name>[a-z_]+)\{(?P<matchers>[^}]*)\}")


def metric_names(expression: object) -> Iterator[str]:
    """Names of all metrics that a parsed expression selects."""
    if isinstance(expression, promql_parser.VectorSelector) and expression.name:
        yield expression.name
    for attribute in ("lhs", "rhs", "expr", "vector_selector", "vs", "param"):
        yield from metric_names(child) if (child := getattr(expression, attribute, None)) else ()
    for argument in getattr(expression, "args", None) or ():
        yield from metric_names(argument)


def test_names_are_unique() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(set(names)) == sorted(names)


@every_rule
def test_expression_uses_only_metrics_that_exist(rule: AlertRule) -> None:
    names = set(metric_names(promql_parser.parse(rule.expr)))
    assert names or rule.name == WATCHDOG
    assert names <= METRICS.keys() | foreign.NAMES | {recorded.name for recorded in RECORDED}
    if rule.closes:
        assert names <= METRICS.keys() | foreign.NAMES, "a gate depends on nothing but its metrics"


@every_recording
def test_a_recording_rule_says_its_level_and_reads_what_exists(recording: RecordingRule) -> None:
    level, metric, operation = recording.name.split(":")
    assert metric
    assert operation
    names = set(metric_names(promql_parser.parse(recording.expr)))
    before = {rule.name for rule in RECORDED[: RECORDED.index(recording) + 1]}
    assert names
    assert names <= METRICS.keys() | foreign.NAMES | before
    by = re.findall(r"by \(([^)]*)\)", recording.expr)
    assert level in {"_".join(labels.split(", ")) for labels in by}


@every_rule
def test_expression_matches_only_labels_that_exist(rule: AlertRule) -> None:
    for found in _SELECTORS.finditer(rule.expr):
        metric = METRICS.get(found["name"])
        known = TARGET_LABELS | (set(metric.labels) if metric else FOREIGN_LABELS)
        assert set(re.findall(r"(\w+)[=!]", found["matchers"])) <= known


@every_rule
def test_texts_say_what_is_wrong_and_what_to_do(rule: AlertRule) -> None:
    assert rule.summary
    assert not rule.summary.endswith(".")
    assert rule.description.endswith((".", ". "))
    assert "$value" not in rule.description
    shown = set(re.findall(r"\$labels\.(\w+)", rule.summary + rule.description))
    read = rule.expr + "".join(recorded.expr for recorded in RECORDED if recorded.name in rule.expr)
    assert all(re.search(rf"\b{name}\b", read) for name in shown)


@every_rule
def test_a_gate_closes_fast_and_says_what_it_closes(rule: AlertRule) -> None:
    if rule.closes is None:
        assert "gate" not in rule.labels
        return
    assert rule.for_ <= GATE_FOR
    assert rule.keep_firing_for == KEEP_FIRING_FOR
    assert rule.labels["gate"] == "place"
    assert ("scope" in rule.labels) is (rule.closes is Closes.FLEET)
    if rule.closes is Closes.HOST:
        assert "by (host" in rule.expr
        assert "$labels.host" in rule.summary


def test_gates_and_watchdog_stand_in_the_fast_group_and_every_rule_in_one() -> None:
    first, *others = rule_groups()
    assert first.name == GATE_GROUP
    assert {rule.name for rule in first.rules} == {rule.name for rule in RULES if rule.closes} | {WATCHDOG}
    everywhere = [rule.name for group in (first, *others) for rule in group.rules]
    assert sorted(everywhere) == sorted([*(rule.name for rule in RULES), *(rule.name for rule in RECORDED)])
    for group in others:
        kinds = [isinstance(rule, RecordingRule) for rule in group.rules]
        assert kinds == sorted(kinds, reverse=True), "what is recorded stands before what reads it"
    assert first.interval < GATE_FOR


def test_only_the_heartbeat_has_no_severity() -> None:
    assert [rule.name for rule in RULES if rule.severity is Severity.NONE] == [WATCHDOG]


@every_rule
def test_runbook_exists_and_answers_the_four_questions(rule: AlertRule) -> None:
    text = (ROOT / rule.runbook).read_text(encoding="utf-8")
    assert re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE) == [rule.name, "Meaning", "Impact", "Check", "Mend"]


def test_no_runbook_is_without_an_alert() -> None:
    assert {path.stem for path in (ROOT / "alerts/runbooks").iterdir()} == {rule.name for rule in RULES}


@every_rule
def test_commands_of_vdbmon_that_it_names_exist(rule: AlertRule) -> None:
    text = (ROOT / rule.runbook).read_text(encoding="utf-8") + rule.description
    for words in re.findall(r"(?:^|`)vdbmon ([^`|\n]*)", text, flags=re.MULTILINE):
        assert is_command(words.split()), words


def is_command(words: list[str]) -> bool:
    """Whether `vdbmon` has this command, and a group of commands this one of them."""
    first, *rest = words
    if first not in COMMANDS:
        return False
    command = typer.main.get_command(importlib.import_module(f"vdbmon.commands.{first}").app)
    within = getattr(command, "commands", None)
    return within is None or (bool(rest) and rest[0] in within)


@every_rule
def test_what_it_compares_with_is_in_its_expression(rule: AlertRule) -> None:
    for limit in rule.limits:
        numbers = {f"{limit.value:g}", f"{limit.value:.0f}"} | {
            str(rule.for_) for _ in (0,) if rule.for_ == limit.value
        }
        assert any(
            re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", f"{rule.expr} {rule.for_}") for number in numbers
        )


@every_rule
def test_percentages_of_a_runbook_are_those_of_the_rule(rule: AlertRule) -> None:
    text = (ROOT / rule.runbook).read_text(encoding="utf-8")
    for percentage in re.findall(r"(\d+) %", text):
        assert re.search(rf"[<>] {int(percentage) / 100:g}(?!\d)", rule.expr), f"{percentage} % is not in the rule"


def test_a_slow_gate_or_one_that_flaps_is_refused() -> None:
    for for_, keep in ((GATE_FOR + 1, KEEP_FIRING_FOR), (GATE_FOR, 0)):
        with pytest.raises(ValueError, match="Slow: a gate closes within"):
            AlertRule(
                name="Slow",
                expr="vector(1)",
                severity=Severity.INFO,
                summary="s",
                description="d",
                for_=for_,
                keep_firing_for=keep,
                closes=Closes.HOST,
            )


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (60, "1m"), (90, "90s"), (900, "15m"), (7200, "2h"), (86400, "1d")]
)
def test_durations_are_written_in_the_largest_whole_unit(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_selectors_and_templates() -> None:
    assert selector(host.FS_AVAIL) == "node_filesystem_avail_bytes"
    assert selector("up", 'job="a"', 'host="b"') == 'up{job="a",host="b"}'
    assert label("host") == "{{ $labels.host }}"
