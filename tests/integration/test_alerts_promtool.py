"""Every alert against `promtool test rules`: it is silent, fires with its text, survives a failed scrape, recovers."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.alertmanager import alertmanager_file
from alerts.generated import ALERTMANAGER_FILE, RULE_FILE
from alerts.render import rule_file
from alerts.rule import AlertRule, RuleGroup
from alerts.rules import RECORDED, RULES
from alerts.thresholds import WATCHDOG
from tests.support.maintenance import WINDOWS
from vdbmon.config import check_config

ROOT = Path(__file__).parents[2]
CASES: dict[str, dict[str, Any]] = {
    name: case
    for path in sorted((ROOT / "tests/fixtures/alerts").glob("*.yml"))
    for name, case in yaml.safe_load(path.read_text()).items()
}
BY_NAME = {rule.name: rule for rule in RULES}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def expected_alert(rule: AlertRule, case: dict[str, Any]) -> dict[str, Any]:
    labels = {**case["labels"], **rule.labels}
    shown = re.sub(r"\{\{ \$labels\.(\w+) }}", lambda match: labels[match[1]], rule.description)
    annotations = {
        "summary": case["summary"],
        "description": case.get("description", shown),
        "runbook": rule.runbook,
    }
    return {"exp_labels": labels, "exp_annotations": annotations}


def promtool_test(rule: AlertRule, case: dict[str, Any]) -> dict[str, Any]:
    firing = {"alertname": rule.name, "alertstate": "firing", **case["labels"], **rule.labels}
    sample = "ALERTS{" + ",".join(f'{key}="{value}"' for key, value in firing.items()) + "}"
    expected = {moment: [expected_alert(rule, case)] for name, moment in case["firing"].items() if name == "first"}
    expected |= {moment: [] for moment in case["quiet"].values()}
    return {
        "interval": case["interval"],
        "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
        "alert_rule_test": [
            {"eval_time": moment, "alertname": rule.name, "exp_alerts": alerts} for moment, alerts in expected.items()
        ],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}',
                "eval_time": moment,
                "exp_samples": [{"labels": sample, "value": 1}],
            }
            for moment in case["firing"].values()
        ],
    }


@pytest.mark.parametrize("name", CASES)
def test_alert_fires_when_it_must_and_only_then(name: str, tmp_path: Path) -> None:
    rule, case = BY_NAME[name.partition("/")[0]], CASES[name]
    (tmp_path / "rules.yml").write_bytes(rule_file([RuleGroup("one", 5, (*RECORDED, rule))]))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": case["interval"],
        "tests": [promtool_test(rule, case)],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    result = run("promtool", "test", "rules", str(tmp_path / "test.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_positive_negative_gap_and_recovery_cases() -> None:
    lacking = {}
    for rule in RULES:
        cases = [case for name, case in CASES.items() if name.partition("/")[0] == rule.name]
        moments = {moment for case in cases for moment in (*case["quiet"], *case["firing"])}
        needed = {"first"} if rule.name == WATCHDOG else {"before", "first", "gap", "recovered"}
        needed |= {"pending"} if rule.for_ else set()
        if needed - moments:
            lacking[rule.name] = needed - moments
    assert lacking == {}


def test_the_committed_rule_file_passes_promtool() -> None:
    result = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(ROOT / "deploy" / RULE_FILE))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"SUCCESS: {len(RULES) + len(RECORDED)} rules found" in result.stdout


def test_the_committed_alertmanager_file_passes_amtool() -> None:
    result = run("amtool", "check-config", str(ROOT / "deploy" / ALERTMANAGER_FILE))
    assert result.returncode == 0, result.stdout + result.stderr


WAYS = """
[alerting.pagerduty]
routing_key_file = "{secret}"
[alerting.email]
smarthost = "smtp.example:587"
sender = "vdbmon@example.com"
to = ["dba@example.com"]
username = "vdbmon"
password_file = "{secret}"
[alerting.wechat]
corp_id = "corp"
agent_id = "7"
secret_file = "{secret}"
to_party = "1"
[alerting.webhook]
[alerting.heartbeat]
url_file = "{secret}"
"""


@pytest.fixture(scope="module")
def with_every_way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Alertmanager configuration that tells people in all ways, and has maintenance windows."""
    folder = tmp_path_factory.mktemp("ways")
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text("https://alive.example/1")
    document = {"host": {"name": "h"}} | tomllib.loads(WAYS.format(secret=secret) + WINDOWS)
    path = folder / "alertmanager.yml"
    path.write_bytes(alertmanager_file(check_config(document, path).alerting))
    return path


def test_a_configuration_with_every_way_passes_amtool(with_every_way: Path) -> None:
    result = run("amtool", "check-config", str(with_every_way))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=HostMemoryLow", "severity=warning", "host=db1"), "warning"),
        (("alertname=AgentGone", "severity=critical", "host=db1"), "critical"),
        (("alertname=AllAgentsGone", "severity=critical", "scope=fleet"), "critical"),
        (("alertname=BackupTooOld", "severity=critical", "source=orders"), "critical"),
        (("alertname=HostMemoryLow", "severity=warning", "host=db7"), "warning"),
        (("alertname=AgentGone", "severity=critical", "host=db7"), "critical"),
        (("alertname=ContainerCPUThrottled", "severity=info", "host=db7"), "nobody"),
        (("alertname=Watchdog", "severity=none"), "heartbeat"),
        (("alertname=AnotherTeams",), "warning"),
    ],
)
@pytest.mark.parametrize("ways", ["delivered", "all"])
def test_alerts_are_routed(labels: tuple[str, ...], receiver: str, ways: str, with_every_way: Path) -> None:
    path = ROOT / "deploy" / ALERTMANAGER_FILE if ways == "delivered" else with_every_way
    config = f"--config.file={path}"
    result = run("amtool", "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels)
    assert result.returncode == 0, result.stdout + result.stderr
