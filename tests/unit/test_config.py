from collections.abc import Callable
from pathlib import Path

import pytest

from collector.catalogue import INPUT_MODULES
from collector.errors import ConfigError
from collector.settings import DataFormat, InputSettings
from orchestrator.ledger import check_url
from orchestrator.settings import Reach
from vdbmon.config import find_config, load_config

Write = Callable[[str], Path]

WHOLE = """
[host]
name = "dr-01"
[agent]
interval = "5s"
[[outputs.influxdb_v2]]
urls = ["http://127.0.0.1:8428"]
[[hosts]]
name = "dr-01"
agent = "http://127.0.0.1:9273"
[hosts.inventory]
cpus = 2
memory = "20GiB"
disk = "60GiB"
read_bps = "200MB"
write_bps = "200MB"
[[sources]]
name = "demo"
reach = "local"
host = "dr-01"
address = "unix:///run/mysqld/mysqld.sock"
data_dir = "/var/lib/mysql"
credentials_file = "/etc/vdbmon/demo.cnf"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "vdbmon.toml"
        path.write_text(text)
        return path

    return write_file


def test_a_whole_file_becomes_frozen_settings(write: Write) -> None:
    config = load_config(write(WHOLE))
    assert config.host.name == "dr-01"
    assert config.agent.interval == 5.0
    assert config.hosts[0].inventory.memory == 20 * 2**30
    assert config.sources[0].reach is Reach.LOCAL
    assert config.fleet().sources == config.sources


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("interval", "intervall"), ["unknown key agent.intervall", "did you mean interval?"]),
        (('"5s"', '"5"'), ["agent.interval", "10s, 500ms or 1m30s"]),
        (('"20GiB"', '"-1GiB"'), ["hosts[0].inventory.memory", "1GiB"]),
        (('reach = "local"', 'reach = "lokal"'), ["sources[0].reach", "'local', 'stream', 'replica' or 'sql'"]),
        (("[agent]", "[agnet]"), ["unknown key agnet", "did you mean agent?"]),
        (('name = "demo"\n', ""), ["sources[0].name is missing"]),
        (("cpus = 2", "cpus = [2]"), ["hosts[0].inventory.cpus"]),
        (('name = "dr-01"\n[agent]', 'name = ""\n[agent]'), ["host.name = ''", "at least 1 character"]),
        (('["http://127.0.0.1:8428"]', "[]"), ["outputs.influxdb_v2[0].urls", "at least 1 item"]),
        (("http://127.0.0.1:8428", "influx:8428"), ["outputs.influxdb_v2[0].urls[0]", "no http or https address"]),
        (("http://127.0.0.1:8428", "http://me:secret@influx"), ["outputs.influxdb_v2[0].urls[0]", "a password"]),
        (("http://127.0.0.1:8428", "http://[::1"), ["outputs.influxdb_v2[0].urls[0]", "Invalid IPv6 URL"]),
        (('"20GiB"', "9" * 400), ["hosts[0].inventory.memory", "out of range"]),
        (('"5s"', "9" * 400), ["agent.interval", "out of range"]),
        (("urls = [", "url = ["), ["outputs.influxdb_v2[0].urls is missing", "did you mean urls?"]),
        (
            ("cpus = 2\n", "cpus = 2\nwheels = 4\n"),
            ["unknown key hosts[0].inventory.wheels", "known here: ", "cpus, disk, memory"],
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    write: Write, change: tuple[str, str], words: list[str]
) -> None:
    path = write(WHOLE.replace(*change))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert str(path) in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_inputs_of_the_agent_are_read_and_it_knows_where_the_volumes_are(write: Write) -> None:
    config = load_config(
        write(
            WHOLE
            + """
[volumes]
dir = "/srv/volumes"
[inputs.volume]
du = ["dr-*:/backup"]
du_interval = "1h"
[[inputs.exec]]
commands = ["/opt/a.sh 'x y'", ["/opt/b.sh", "x y"]]
data_format = "prometheus"
timeout = "2s"
"""
        )
    )
    inputs = config.agent_config().inputs
    assert inputs.job.volumes_dir == Path("/srv/volumes")
    assert (inputs.volume.du, inputs.volume.du_interval) == (("dr-*:/backup",), 3600.0)
    assert inputs.exec[0].commands == ("/opt/a.sh 'x y'", ("/opt/b.sh", "x y"))
    assert (inputs.exec[0].data_format, inputs.exec[0].timeout) == (DataFormat.PROMETHEUS, 2.0)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('[inputs.volume]\ndu_interval = "1m"', ["inputs.volume.du_interval", "600"]),
        ('[inputs.docker]\naddress = "/var/run/docker.sock"', ["inputs.docker.address", "write unix:///var/run"]),
        ('[inputs.docker]\naddress = "tcp://[::1"', ["inputs.docker.address", "write unix:///var/run"]),
        ('[inputs.docker]\naddress = ""', ["inputs.docker.address", "write unix:///var/run"]),
        ("[inputs.ovs]\nmax_interfaces = -1", ["inputs.ovs.max_interfaces = -1", "greater than or equal to 1"]),
        ('[[outputs.opentsdb]]\nhost = "http://a"\nport = 99999', ["outputs.opentsdb[0].port = 99999", "65535"]),
        ("[[inputs.exec]]\ncommands = []", ["inputs.exec[0].commands"]),
        ('[[inputs.exec]]\ncommand = "a"', ["inputs.exec[0].command", "did you mean commands?"]),
        ('[[inputs.exec]]\ncommands = ["a"]\ndata_format = "json"', ["'influx' or 'prometheus'"]),
        ('[[inputs.exec]]\ncommands = ["a"]\ninterval = "1s"', ["inputs.exec[0]: timeout = 5 s is above"]),
        ('[inputs.host]\nnamepass = ["{cpu"]', ["inputs.host.namepass[0] = '{cpu'", "for example {cpu,mem}"]),
        ("[inputs.host]\ntagpass = { cpu = [] }", ["inputs.host.tagpass.cpu = []", "leave the tag out"]),
        ('[inputs.host]\ntagexclude = ["cpu"]', ["unknown key inputs.host.tagexclude; outputs have it"]),
        ('[inputs.host]\nfielddrop = ["cpu"]', ["unknown key inputs.host.fielddrop; its new name is fieldexclude"]),
        ('[inputs.host]\ntags = { host = "x" }', ["inputs.host.tags.host", "[host] name"]),
        ('[inputs.host]\ntags = { "my-tag" = "x" }', ["inputs.host.tags.my-tag", "letters, digits and _"]),
        ('[global_tags]\nrack = ""', ["global_tags.rack = ''", "at least 1 character"]),
        ('[inputs.cgroup]\ninterval = "1s"', ["inputs.cgroup.interval = 1 s is below agent.interval = 5 s"]),
        ('[inputs.containers]\ninterval = "1m"', ["unknown key inputs.containers.interval"]),
    ],
)
def test_what_is_wrong_in_an_input_is_named(write: Write, section: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(WHOLE + section))
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('min_age = "20s"', ["agent: min_age = 20 s is above interval = 5 s"]),
        ('collection_jitter = "3s"\ncollection_offset = "2s"', ["add up to 5 s, not below interval = 5 s"]),
        ('flush_interval = "10s"\nflush_jitter = "11s"', ["flush_jitter = 11 s is above flush_interval = 10 s"]),
        ("metric_buffer_limit = 999", ["metric_batch_size = 1000 is above metric_buffer_limit = 999"]),
        ("metric_batch_size = 0", ["agent.metric_batch_size = 0", "greater than or equal to 1"]),
        ('collection_jitter = "-1s"', ["agent.collection_jitter", "10s, 500ms or 1m30s"]),
    ],
)
def test_words_of_the_agent_that_contradict_each_other_are_named(write: Write, lines: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(WHOLE.replace("[agent]", f"[agent]\n{lines}")))
    for word in words:
        assert word in str(raised.value)


def test_no_delay_is_a_delay(write: Write) -> None:
    path = write(WHOLE.replace("[agent]", '[agent]\ncollection_jitter = "0s"'))
    assert load_config(path).agent.collection_jitter == 0


def test_every_input_has_a_section_of_its_name() -> None:
    names = {module.__name__.rpartition(".")[2] for module in INPUT_MODULES}
    assert names == {*InputSettings().common(), "exec"}


def test_a_file_that_is_no_toml_is_named_with_its_line(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"vdbmon.toml: not TOML: .*line 2"):
        load_config(write("[host]\nname = a\n"))


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000], ids=["a long number", "deep nesting"])
def test_what_python_gives_up_on_is_no_toml_either(write: Write, value: str) -> None:
    with pytest.raises(ConfigError, match=r"vdbmon.toml: not TOML: "):
        load_config(write(f"[host]\nname = {value}\n"))


@pytest.mark.parametrize("url", ["http://[::1", "mysql://db/x", "sqlite://", "no url"])
def test_a_ledger_that_is_none_is_refused(write: Write, url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[ledger\] url"):
        check_url(load_config(write(f'[host]\nname = "a"\n[ledger]\nurl = "{url}"\n')).ledger.url)


def test_two_hosts_of_one_name_are_refused(write: Write) -> None:
    hosts = WHOLE[WHOLE.index("[[hosts]]") : WHOLE.index("[[sources]]")]
    with pytest.raises(ConfigError, match=r"two .* are called 'dr-01'"):
        load_config(write(WHOLE + hosts))


def test_the_option_goes_before_the_environment_and_that_before_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"VDBMON_CONFIG": "/env.toml"}
    assert find_config(Path("/option.toml"), environment) == Path("/option.toml")
    assert find_config(None, environment) == Path("/env.toml")
    (tmp_path / "vdbmon.toml").touch()
    assert find_config(None, {}) == Path("vdbmon.toml")


def test_no_file_at_all_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"vdbmon\.toml and /etc/vdbmon/vdbmon\.toml do not exist"):
        find_config(None, {})
