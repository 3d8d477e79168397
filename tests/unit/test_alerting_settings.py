"""`[alerting]`: what is refused and how it is said, and what Alertmanager is given."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerts.alertmanager import alertmanager_file
from alerts.generated import ALERTMANAGER_FILE, private_files
from alerts.inhibitions import INHIBITIONS
from alerts.rules import RULES
from alerts.settings import AlertingSettings
from collector.errors import ConfigError
from tests.support.maintenance import WINDOWS
from vdbmon.commands.alerts import app
from vdbmon.config import check_config

BY_NAME = {rule.name: rule for rule in RULES}
EVERYTHING = """
[alerting.pagerduty]
routing_key_file = "{folder}/pagerduty"
[alerting.email]
smarthost = "smtp.example:587"
sender = "vdbmon@example.com"
to = ["a@example.com", "b@example.com"]
username = "vdbmon"
password_file = "{folder}/smtp"
[alerting.wechat]
corp_id = "corp"
agent_id = "7"
secret_file = "{folder}/wechat"
to_party = "1|2"
[alerting.webhook]
url = "http://hook.example/alerts"
severities = ["warning"]
[alerting.heartbeat]
url_file = "{folder}/heartbeat"
"""


def settings(text: str) -> AlertingSettings:
    document = {"host": {"name": "h"}} | tomllib.loads(text)
    return check_config(document, Path("vdbmon.toml")).alerting


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder with a secret for everything."""
    for name in ("pagerduty", "smtp", "wechat"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(f"secret-of-{name}")
    (tmp_path / "heartbeat").touch(0o600)
    (tmp_path / "heartbeat").write_text("https://alive.example/secret-of-heartbeat\n")
    return tmp_path


def receivers(made: AlertingSettings) -> dict[str, Any]:
    return {item["name"]: item for item in yaml.safe_load(alertmanager_file(made))["receivers"]}


def test_every_way_gets_the_severities_that_it_is_for(secrets: Path) -> None:
    made = receivers(settings(EVERYTHING.format(folder=secrets)))
    assert set(made["critical"]) == {"name", "pagerduty_configs", "email_configs", "wechat_configs"}
    assert set(made["warning"]) == {"name", "email_configs", "wechat_configs", "webhook_configs"}
    assert [mail["to"] for mail in made["warning"]["email_configs"]] == ["a@example.com", "b@example.com"]
    assert made["heartbeat"]["webhook_configs"][0]["url"] == "https://alive.example/secret-of-heartbeat"
    assert set(made["nobody"]) == {"name"}
    told = [way for name in ("critical", "warning") for ways in list(made[name].values())[1:] for way in ways]
    assert all(way["send_resolved"] for way in told)


def test_without_settings_nobody_is_told() -> None:
    assert [list(item) for item in receivers(AlertingSettings()).values()] == [["name"]] * 4


def test_only_secrets_that_alertmanager_can_not_read_itself_are_in_the_file(secrets: Path) -> None:
    text = EVERYTHING.format(folder=secrets)
    old, new = (settings(f'[alerting]\nalertmanager_version = "{version}"\n{text}') for version in ("0.25", "0.31.1"))
    made = {name: alertmanager_file(each).decode() for name, each in (("old", old), ("new", new))}
    assert "secret-of-wechat" in made["old"]
    assert "secret-of-heartbeat" in made["old"]
    assert "secret-of-pagerduty" not in made["old"]
    assert "secret-of-smtp" not in made["old"]
    assert "secret-of" not in made["new"]
    assert "api_secret_file" in made["new"]
    assert private_files(old) == {ALERTMANAGER_FILE}
    assert not private_files(new)


def test_a_file_that_holds_a_secret_is_its_owners_alone(secrets: Path) -> None:
    config = secrets / "vdbmon.toml"
    config.write_text('[host]\nname = "h"\n' + EVERYTHING.format(folder=secrets))
    result = CliRunner().invoke(app, ["build", "-o", str(secrets / "out"), "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert (secrets / "out" / ALERTMANAGER_FILE).stat().st_mode & 0o777 == 0o600
    assert "secret-of" not in result.output


@pytest.mark.parametrize("name", ["pagerduty", "smtp", "wechat", "heartbeat"])
def test_a_secret_that_others_can_read_is_refused(secrets: Path, name: str) -> None:
    (secrets / name).chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640") as caught:
        alertmanager_file(settings(EVERYTHING.format(folder=secrets)))
    assert f"secret-of-{name}" not in str(caught.value)


def test_a_newline_that_an_old_alertmanager_takes_for_password_is_refused(secrets: Path) -> None:
    (secrets / "smtp").write_text("secret-of-smtp\n")
    text = EVERYTHING.format(folder=secrets)
    with pytest.raises(ConfigError, match="ends with a newline"):
        alertmanager_file(settings(text))
    assert alertmanager_file(settings(f'[alerting]\nalertmanager_version = "0.27"\n{text}'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alerting]\nalertmanager_version = "0.24"', "alerting.alertmanager_version = '0.24': is too old"),
        ('[alerting]\nalertmanager_version = "new"', "is no version"),
        ('[alerting.webhook]\nurl = "ftp://x/"', "alerting.webhook: it can't be posted to"),
        ('[alerting.webhook]\nurl = "http://u:hunter2@x/"', "alerting.webhook: the URL for x carries a password"),
        ('[alerting.pagerduty]\nrouting_key_file = "/k"\nurl = "x"', "alerting.pagerduty.url = 'x': it can't be"),
        ('[alerting.email]\nsmarthost = "x"\nsender = "a"\nto = ["b"]', "alerting.email.smarthost = 'x': is no mail"),
        ('[alerting.email]\nsmarthost = "x:25"\nsender = "a"\nto = []', "alerting.email.to"),
        ('[alerting.email]\nsmarthost = "x:25"\nsender = "a"\nto = ["b"]\nusername = "u"', "belong together"),
        ('[alerting.wechat]\ncorp_id = "c"\nagent_id = "1"\nsecret_file = "/s"', "nobody is told: set to_party"),
        ('[alerting.webhook]\nseverities = ["info"]', "alerting.webhook.severities"),
        ('[alerting.webhook]\nlink = "x"', "unknown key alerting.webhook.link"),
        ('[[alerting.maintenance]]\nname = "n"\nstart = "25:00"\nend = "04:00"', "start = '25:00': is no time of day"),
        ('[[alerting.maintenance]]\nname = "n"\nstart = "22:00"\nend = "04:00"', "split it in two at midnight"),
        (
            '[[alerting.maintenance]]\nname = "n"\nstart = "01:00"\nend = "02:00"\nlocation = "Nowhere"',
            "is no time zone",
        ),
        ('[[alerting.maintenance]]\nname = "n"\nstart = "01:00"\nend = "02:00"\n' * 2, "two maintenance windows"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_window_mutes_its_severities_of_its_hosts() -> None:
    document = yaml.safe_load(alertmanager_file(settings(WINDOWS)))
    by_matcher = {route["matchers"][0]: route for route in document["route"]["routes"]}
    assert by_matcher['severity="warning"']["mute_time_intervals"] == ["sunday"]
    assert "mute_time_intervals" not in by_matcher['severity="critical"']
    of_host = {route["matchers"][0]: route["mute_time_intervals"] for route in by_matcher['host="db7"']["routes"]}
    assert of_host == {'severity="critical"': ["move"], 'severity="warning"': ["sunday", "move"]}
    assert document["time_intervals"][0] == {
        "name": "sunday",
        "time_intervals": [
            {
                "times": [{"start_time": "02:00", "end_time": "04:00"}],
                "location": "Asia/Shanghai",
                "weekdays": ["sunday"],
            }
        ],
    }


def test_what_is_held_back_has_the_labels_that_must_be_equal() -> None:
    for inhibition in INHIBITIONS:
        for name in (inhibition.source, *inhibition.targets):
            rule = BY_NAME[name]
            shown = rule.expr + rule.summary
            assert all(f"{label}" in shown for label in inhibition.equal), (inhibition.source, name)


def test_no_alert_holds_itself_back_or_in_a_circle() -> None:
    edges = {(rule.source, target) for rule in INHIBITIONS for target in rule.targets}
    assert not [edge for edge in edges if edge[0] == edge[1] or (edge[1], edge[0]) in edges]
