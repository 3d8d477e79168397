import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts.alertmanager import alertmanager_file
from alerts.docs import alerts_page
from alerts.generated import ALERTMANAGER_FILE, RULE_FILE, alert_files
from alerts.rules import RULES
from alerts.settings import DEFAULT_WEBHOOK_URL, AlertingSettings, with_webhook
from collector.errors import ConfigError, VdbmonError
from vdbmon.commands.alerts import app
from vdbmon.generated_files import differences, write_files

ROOT = Path(__file__).parents[2]
DELIVERED = with_webhook(AlertingSettings(), DEFAULT_WEBHOOK_URL)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["build", *arguments])
    return result.exit_code, result.output


def test_committed_files_are_what_the_generator_makes() -> None:
    assert differences(ROOT / "deploy", alert_files(DELIVERED)) == []


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import sys; from alerts.generated import alert_files as f; from alerts.settings import AlertingSettings as S; "
        "sys.stdout.buffer.writelines(f(S()).values())"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]


def test_build_writes_files_that_check_accepts(tmp_path: Path) -> None:
    code, output = run("-o", str(tmp_path))
    assert (code, output.split()) == (0, [str(tmp_path / RULE_FILE), str(tmp_path / ALERTMANAGER_FILE)])
    assert run("-o", str(tmp_path), "--check") == (0, "")
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted([RULE_FILE, ALERTMANAGER_FILE])


def test_check_names_each_differing_file_and_writes_nothing(tmp_path: Path) -> None:
    run("-o", str(tmp_path))
    (tmp_path / RULE_FILE).write_text("groups: []\n")
    (tmp_path / ALERTMANAGER_FILE).unlink()
    code, output = run("-o", str(tmp_path), "--check")
    assert code == 1
    assert [line.partition(";")[0] for line in output.splitlines()] == [
        f"{tmp_path / RULE_FILE} differs",
        f"{tmp_path / ALERTMANAGER_FILE} is missing",
    ]
    assert (tmp_path / RULE_FILE).read_text() == "groups: []\n"
    assert not (tmp_path / ALERTMANAGER_FILE).exists()


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "prometheus").write_text("in the way")
    with pytest.raises(VdbmonError, match=r"can't write .*vdbmon\.yml: .*; check the path"):
        write_files(tmp_path, {RULE_FILE: b""})


def test_the_page_of_all_alerts_is_the_generated_one() -> None:
    assert (ROOT / "docs/alerts.md").read_text() == alerts_page(), "vdbmon alerts docs > docs/alerts.md"
    assert all(f"| `{rule.name}` |" in alerts_page() for rule in RULES)


def test_the_webhook_url_reaches_everybody_who_is_told() -> None:
    document = yaml.safe_load(alertmanager_file(with_webhook(AlertingSettings(), "https://pager.example/hook")))
    urls = {item["name"]: hook["url"] for item in document["receivers"] for hook in item.get("webhook_configs", ())}
    assert urls == dict.fromkeys(("critical", "warning", "heartbeat"), "https://pager.example/hook")


@pytest.mark.parametrize(
    "url", ["pager", "ftp://pager/x", "http://", "file:///etc/passwd", "http://[::1", "http://h:99999/"]
)
def test_a_url_that_can_not_be_posted_to_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="can't be posted to") as caught:
        with_webhook(AlertingSettings(), url)
    assert caught.value.code == "alerts.webhook_url"


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="carries a password") as caught:
        with_webhook(AlertingSettings(), "https://user:hunter2@pager.example/hook")
    assert "hunter2" not in str(caught.value)


def test_the_heartbeat_is_repeated_as_often_as_its_group_is_looked_at() -> None:
    # repeat_interval below group_interval has no effect: Alertmanager looks at a group once per group_interval.
    route = yaml.safe_load(alertmanager_file(DELIVERED))["route"]
    heartbeat = next(child for child in route["routes"] if child["receiver"] == "heartbeat")
    seconds = {name: int(heartbeat[name].removesuffix("s")) for name in ("group_interval", "repeat_interval")}
    assert seconds["group_interval"] < seconds["repeat_interval"] < 2 * seconds["group_interval"] <= 60


def test_inhibitions_name_alerts_that_exist() -> None:
    names = {rule.name for rule in RULES}
    assert len(yaml.safe_load(alertmanager_file(DELIVERED))["inhibit_rules"]) > 1
    for inhibition in yaml.safe_load(alertmanager_file(DELIVERED))["inhibit_rules"]:
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            key, _, value = matcher.partition("=")
            if key == "alertname":
                assert set(value.removeprefix("~").strip('"').split("|")) <= names
