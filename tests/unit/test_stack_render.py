import json
import shlex
from pathlib import Path

import pytest
import yaml
from supervisor.options import ServerOptions

from alerts.settings import AlertingSettings
from collector.errors import ConfigError, VdbmonError
from collector.outputs.settings import InfluxV2Settings, OutputSettings
from orchestrator.serve.discovery import targets
from vdbmon.config import Config, HostIdentity, load_config
from vdbmon.stack.layout import CHECKOUT, SOCKET_PATH_LIMIT, Layout, find_layout
from vdbmon.stack.programs import stack_addresses, stack_programs
from vdbmon.stack.render import (
    ListenAddresses,
    Machine,
    render_alerts,
    render_config,
    render_prometheus,
    render_supervisor,
)
from vdbmon.stack.up import TEMPLATE

MACHINE = Machine(name="dr-host-01", cpus=2, memory=8 * 2**30, disk=100 * 2**30)

CONFIG = Config(
    host=HostIdentity(name="dr-host-01"),
    outputs=OutputSettings(influxdb_v2=(InfluxV2Settings(urls=("http://127.0.0.1:8428",)),)),
)


def make_config(folder: Path, listen: ListenAddresses | None = None) -> tuple[Layout, Config]:
    layout = Layout(state=folder / "var", config=folder / "vdbmon.toml")
    template = (CHECKOUT / "deploy" / TEMPLATE).read_text()
    layout.config.write_text(render_config(template, layout, MACHINE, listen or ListenAddresses()))
    return layout, load_config(layout.config)


def test_the_first_configuration_is_valid_and_names_this_machine_everywhere(tmp_path: Path) -> None:
    layout, config = make_config(tmp_path)
    assert config.host.name == config.hosts[0].name == config.sources[0].host == "dr-host-01"
    assert config.hosts[0].inventory.memory == MACHINE.memory
    assert config.hosts[0].agent == f"http://{config.agent.listen}"
    assert config.volumes.dir == layout.volumes
    assert config.ledger.url == f"sqlite:///{layout.state}/ledger.db"


def test_a_path_with_quotes_and_blanks_survives(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ c'
    folder.mkdir()
    layout, config = make_config(folder)
    assert config.volumes.dir == layout.volumes


def test_prometheus_scrapes_every_agent_under_its_hosts_name(tmp_path: Path) -> None:
    layout, config = make_config(tmp_path)
    document = yaml.safe_load(render_prometheus(config, layout))
    (agents,) = [job for job in document["scrape_configs"] if job["job_name"] == "vdbmon"]
    assert agents["honor_labels"] is True
    assert agents["http_sd_configs"] == [{"url": "http://127.0.0.1:9274/sd", "refresh_interval": "5s"}]
    assert {target["labels"]["host"]: target["targets"] for target in targets(config.hosts)} == {
        "dr-host-01": ["127.0.0.1:9273"],
    }
    (serve,) = [job for job in document["scrape_configs"] if job["job_name"] == "vdbmon-serve"]
    assert (serve["honor_labels"], serve["static_configs"]) == (True, [{"targets": ["127.0.0.1:9274"]}])
    assert document["rule_files"] == [str(layout.rules)]
    assert document["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]


def test_alertmanager_calls_nobody_unless_told_whom() -> None:
    conf = "alertmanager/alertmanager.yml"
    silent = yaml.safe_load(render_alerts(AlertingSettings(), None)[conf])
    loud = yaml.safe_load(render_alerts(AlertingSettings(), "http://127.0.0.1:5001/hook")[conf])
    assert [name for name in silent["receivers"] if "webhook_configs" in name] == []
    assert silent["route"] == loud["route"]
    assert any("http://127.0.0.1:5001/hook" in json.dumps(receiver) for receiver in loud["receivers"])


@pytest.mark.parametrize("name", ["plain", "two words", "it's", 'a "quoted" one', "back\\slash", "$HOME"])
def test_supervisor_reads_every_argument_as_it_was_meant(tmp_path: Path, name: str) -> None:
    layout = Layout(state=tmp_path / name, config=tmp_path / name / "vdbmon.toml")
    layout.log("x").parent.mkdir(parents=True)
    layout.run.mkdir()
    programs = stack_programs(CONFIG, layout, own_dockerd=True, own_switch=True)
    layout.supervisor_conf.write_text(render_supervisor(programs, layout))
    options = ServerOptions()
    try:
        options.realize(["-c", str(layout.supervisor_conf)])
    finally:
        layout.run.rmdir()
    read = {process.name: process for group in options.process_group_configs for process in group.process_configs}
    assert {name: tuple(shlex.split(config.command)) for name, config in read.items()} == {
        program.name: program.command for program in programs
    }
    assert options.serverurl == layout.supervisor_url
    assert {config.stdout_logfile for config in read.values()} == {str(layout.log(item.name)) for item in programs}


@pytest.mark.parametrize("name", ["100%", "a ;b", "a #b", "a\nb"])
def test_a_path_that_supervisor_can_not_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(VdbmonError) as caught:
        find_layout(tmp_path / name, None)
    assert caught.value.code == "stack.path"


def test_sockets_stay_below_the_limit_of_the_kernel_however_deep_the_checkout() -> None:
    layout = Layout(state=Path("/", *["deep" * 10] * 20), config=Path("/x"))
    for path in (layout.supervisor_socket, layout.demo_socket, layout.ovs_socket.with_name("ovs-vswitchd.4194304.ctl")):
        assert len(str(path).encode()) <= SOCKET_PATH_LIMIT


def test_two_stacks_share_no_socket() -> None:
    first, second = (Layout(state=Path(f"/srv/{name}"), config=Path("/x")) for name in ("a", "b"))
    assert first.run != second.run


@pytest.mark.parametrize(
    ("listen", "complaint"),
    [
        (ListenAddresses(prometheus="http://prometheus.example:9090"), "prometheus.url"),
        (ListenAddresses(prometheus="https://127.0.0.1:9090"), "prometheus.url"),
        (ListenAddresses(alertmanager="http://127.0.0.1"), "alertmanager.url"),
        (ListenAddresses(victoria_metrics="https://127.0.0.1:8428"), "outputs.influxdb_v2"),
        (ListenAddresses(agent="127.0.0.1:9090"), "agent.listen and prometheus.url both name port 9090"),
        (ListenAddresses(serve="127.0.0.1:9273"), "agent.listen and serve.listen both name port 9273"),
    ],
)
def test_an_address_that_can_not_be_served_here_is_named(
    tmp_path: Path, listen: ListenAddresses, complaint: str
) -> None:
    layout, config = make_config(tmp_path, listen)
    with pytest.raises(ConfigError, match=complaint) as caught:
        stack_addresses(config, layout.config)
    assert caught.value.code == "stack.address"
    assert str(layout.config) in caught.value.message
