"""A host at work and all that watches it: containers under limits that read, write, compute and send through Open
vSwitch, one live agent, `vdbmon serve`, Prometheus with the delivered rules, Alertmanager, and InfluxDB with the same
points. A second host of the fleet doesn't answer. What the fleet is told is in `tests.support.watched_fleet`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docker.models.containers import Container

from alerts.render import rule_file
from alerts.rules import rule_groups
from collector import labels
from orchestrator.host.volumes import LoopVolumes
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.disks import MIB
from tests.support.dockerd import TINY_IMAGE, OwnDockerd, own_dockerd
from tests.support.loop_volumes import remove_volumes
from tests.support.openvswitch import OwnOpenVswitch, own_openvswitch, run
from tests.support.servers import Server, alertmanager, free_port, influx_query, influxdb, process, prometheus
from tests.support.wait import wait_until
from tests.support.watched_fleet import DOWN_HOST, HOST, fleet_config, write_growth

CONTAINER = "orders-backup"
DATABASE = "telegraf"
_PATIENCE = 60.0
_FASTER = {
    b"interval: 1m": b"interval: 2s",
    b"interval: 5m": b"interval: 2s",
    b"interval: 15s": b"interval: 2s",
    b"interval: 5s": b"interval: 1s",
    b"[7d:1h] offset 1d": b"[1m:1s]",
    b"[7d:1h]": b"[1m:1s]",
}

# Runs in the tiny image: a job that reads and writes directly, computes, and tells of itself as the runner does.
_SCRIPT = """
mkdir -p /backup/metrics
busybox ln -s /etc/passwd /backup/metrics/link.prom
start=$(busybox date +%s); done=0
dd if=/dev/zero of=/dev/shm/pool bs=1M count=$POOL 2> /dev/null
while :; do busybox nc -l -p 9000 > /dev/null 2>&1; done &
while [ -n "$PEER" ]; do dd if=/dev/zero bs=8k count=64 2> /dev/null | busybox nc -w 1 $PEER 9000; sleep 1; done &
while :; do
    dd if=/backup/data of=/backup/out bs=128k count=16 iflag=direct oflag=direct 2> /dev/null
    i=0; while [ $i -lt $WORK ]; do i=$((i + 1)); done
    done=$((done + 2097152))
    { for state in started copied waiting_for_logs done verified failed; do
        is=0; [ $state != $STATE ] || is=1
        echo "vdbmon_backup_state{state=\\"$state\\"} $is"
      done
      echo "vdbmon_backup_start_timestamp_seconds $start"
      echo "vdbmon_backup_last_success_timestamp_seconds $((start - 7200))"
      echo "vdbmon_backup_last_verified_timestamp_seconds $((start - 90000))"
      echo "vdbmon_backup_last_copy_timestamp_seconds $((start - 6000))"
      echo "vdbmon_backup_duration_seconds 5400"
      echo "vdbmon_backup_lag_seconds 3"
      echo "no_metric_of_ours 1"
      for kind in raw stored; do
        echo "vdbmon_backup_progress_bytes{kind=\\"$kind\\"} $done"
        echo "vdbmon_backup_expected_bytes{kind=\\"$kind\\"} 1073741824"
      done
      echo "vdbmon_backup_bytes{kind=\\"raw\\"} 4e10"
      echo "vdbmon_backup_bytes{kind=\\"stored\\"} 1.4e10"
    } > /backup/metrics/new
    busybox mv /backup/metrics/new /backup/metrics/backup.prom
done
"""


@dataclass(frozen=True, slots=True)
class WatchedHost:
    """The host's agent, the servers that have its series, and the configuration of the fleet."""

    daemon: OwnDockerd
    agent: Agent
    prometheus: Server
    influxdb: Server
    fleet: Path
    serve_port: int
    alertmanager_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What runs in a container: the state it tells, how much it computes, MiB of memory, whom it sends to."""

    name: str
    state: str
    work: int
    pool: int
    peer: str = ""
    cpus: float = 0.12


_JOBS = (
    _Job(name=CONTAINER, state="started", work=15000, pool=20, peer="10.99.0.2"),
    _Job(name="crm-standby", state="verified", work=4000, pool=24),
    _Job(name="audit-backup", state="failed", work=1000, pool=4, cpus=0.05),
)


def _start_job(daemon: OwnDockerd, volumes: LoopVolumes, job: _Job) -> Container:
    """A backup's container with a sized volume, under limits of every kind."""
    source = job.name.partition("-")[0]
    identity = {labels.MANAGED: "true", labels.NAME: job.name, labels.SOURCE: source, labels.JOB: "backup"}
    volume = volumes.create(job.name, 48 * MIB, {**identity, labels.IMAGE: TINY_IMAGE})
    (volume.mountpoint / "data").write_bytes(b"\0" * 4 * MIB)
    return run_container(
        daemon,
        job.name,
        *("sh", "-c", _SCRIPT),
        environment={
            "STATE": job.state,
            "WORK": str(job.work),
            "POOL": str(job.pool),
            "PEER": job.peer,
            "PATH": "/bin",
        },
        network_mode="none",
        volumes=[f"{volume.mountpoint}:/backup"],
        nano_cpus=int(job.cpus * 1e9),
        mem_limit=32 * MIB,
        pids_limit=100,
        device_read_bps=[{"Path": str(volume.device.path), "Rate": 8 * MIB}],
        device_write_bps=[{"Path": str(volume.device.path), "Rate": 2 * MIB}],
        device_read_iops=[{"Path": str(volume.device.path), "Rate": 1000}],
        device_write_iops=[{"Path": str(volume.device.path), "Rate": 500}],
        labels={**identity, labels.REQUEST_ID: f"request-{job.name}"},
    )


def _plug(switch: OwnOpenVswitch, container: Container, number: int) -> None:
    """A port of the bridge for the container: tagged, policed, shaped."""
    container.reload()
    namespace = f"/proc/{container.attrs['State']['Pid']}/ns/net"
    inside, port = f"e{number}", f"p-{str(container.name)[:8]}"
    switch.veth(inside, port)
    run("ip", "-n", switch.namespace, "link", "set", inside, "netns", str(container.attrs["State"]["Pid"]))
    for words in (
        ("link", "set", inside, "name", "eth0"),
        ("address", "add", f"10.99.0.{number}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
    ):
        run("nsenter", f"--net={namespace}", "ip", *words)
    switch.vsctl(
        *("add-port", "br0", port, "tag=42", "--", "set", "interface", port),
        *(f"external_ids:container_id={container.id}", "ingress_policing_rate=20000", "ingress_policing_burst=2000"),
        *("--", "set", "port", port, "qos=@qos"),
        *("--", "--id=@qos", "create", "qos", "type=linux-htb", "other-config:max-rate=30000000", "queues:3=@queue"),
        *("--", "--id=@queue", "create", "queue", "other-config:min-rate=1000000", "other-config:max-rate=4000000"),
    )


def _agent(daemon: OwnDockerd, folder: Path, switch: OwnOpenVswitch, influx: Server) -> Agent:
    agent = Agent(
        daemon,
        folder,
        f'[volumes]\ndir = "{folder}/volumes"\n'
        f'[inputs.ovs]\ndb_socket = "{switch.db_socket}"\n'
        f'[inputs.volume]\ndu = ["{CONTAINER}:/backup"]\n'
        '[[inputs.exec]]\nalias = "raid"\ninterval = "1s"\ntimeout = "1s"\n'
        """commands = [["/bin/sh", "-c", "echo 'raid failed=0i'; echo no metric"]]\n"""
        f'[[outputs.influxdb]]\nurls = ["{influx.url}"]\ndatabase = "{DATABASE}"\n',
    )
    faster = f'min_age = "10ms"\ninterval = "1s"\nflush_interval = "1s"\nbuffer_directory = "{folder}/spool"\n'
    text = agent.config.read_text().replace('min_age = "10ms"\n', faster).replace("testhost", HOST)
    agent.config.write_text(text)
    return agent


@contextlib.contextmanager
def _hook() -> Iterator[int]:
    """Takes what Alertmanager posts; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def prometheus_config(port: int, agent: Agent, *, serve: int, alertmanager_port: int, relabel: object = ()) -> str:
    """Scrapes agent, a host that is down, serve, and the servers themselves, every second."""

    def job(name: str, *targets: dict[str, object], **more: object) -> dict[str, object]:
        return {"job_name": name, "static_configs": list(targets), **more}

    def at(port: int, **target_labels: str) -> dict[str, object]:
        return {"targets": [f"127.0.0.1:{port}"], "labels": target_labels}

    agents = [at(agent.port, host=HOST, instance=HOST), at(free_port(), host=DOWN_HOST, instance=DOWN_HOST)]
    document = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [at(alertmanager_port)]}]},
        "scrape_configs": [
            job("vdbmon", *agents, honor_labels=True, metric_relabel_configs=relabel),
            job("prometheus", at(port)),
            job("vdbmon-serve", at(serve), honor_labels=True),
            job("alertmanager", at(alertmanager_port)),
        ],
    }
    return json.dumps(document)  # JSON is YAML


def write_rules(folder: Path) -> None:
    """The delivered rules, evaluated faster and looking back over a minute: a test doesn't wait for a week."""
    (folder / "rules.yml").write_bytes(faster_rules())


def faster_rules() -> bytes:
    """The rule file so changed."""
    rules = rule_file(rule_groups())
    for slow, fast in _FASTER.items():
        rules = rules.replace(slow, fast)
    return rules


@contextlib.contextmanager
def _volumes(folder: Path) -> Iterator[LoopVolumes]:
    """Sized volumes in a folder, all removed at the end."""
    volumes = LoopVolumes(folder)
    try:
        yield volumes
    finally:
        remove_volumes(volumes)


@contextlib.contextmanager
def _link_with_speed() -> Iterator[None]:
    """A pair of interfaces of the host that tell a speed, as real ones do and those of many virtual machines don't."""
    name = f"vdbm{os.getpid() % 10**8}"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    try:
        for each in (name, f"{name}p"):
            run("ip", "link", "set", each, "up")
        yield
    finally:
        run("ip", "link", "delete", name)


@contextlib.contextmanager
def watched_host() -> Iterator[WatchedHost]:
    """All of it, from the first sample on; gone afterwards. Sockets need a short folder."""
    folder = Path(tempfile.mkdtemp(prefix="dash-"))
    try:
        with contextlib.ExitStack() as stack:
            yield _start(stack, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(stack: contextlib.ExitStack, folder: Path) -> WatchedHost:
    volumes = stack.enter_context(_volumes(folder / "volumes"))
    daemon = stack.enter_context(own_dockerd())
    switch = stack.enter_context(own_openvswitch(folder / "ovs"))
    stack.enter_context(_link_with_speed())
    influx = stack.enter_context(influxdb(folder))
    influx_query(influx, f"CREATE DATABASE {DATABASE}")
    jobs = [_start_job(daemon, volumes, job) for job in _JOBS]
    for number, container in enumerate(jobs[:2], 1):
        _plug(switch, container, number)
    policy = {"Name": "on-failure", "MaximumRetryCount": 3}
    run_container(daemon, "flapping", "false", network_mode="none", restart_policy=policy)
    agent = _agent(daemon, folder, switch, influx)
    stack.enter_context(process([VDBMON, "agent", "run", "--config", str(agent.config)], agent.log))
    wait_until(agent.scrape, deadline=_PATIENCE, what="the agent answers")
    hook = stack.enter_context(_hook())
    receiver = {"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{hook}/"}]}
    route = {"receiver": "hook", "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1s"}
    alerts = stack.enter_context(alertmanager(folder, json.dumps({"receivers": [receiver], "route": route})))
    write_rules(folder)
    write_growth(folder / "prometheus")
    port, serve = free_port(), free_port()
    config = prometheus_config(port, agent, serve=serve, alertmanager_port=alerts.port)
    server = stack.enter_context(prometheus(folder, config, port))
    fleet = fleet_config(folder, serve, port, agent, daemon)
    stack.enter_context(process([VDBMON, "serve", "--config", str(fleet)], folder / "serve.log"))
    return WatchedHost(daemon, agent, server, influx, fleet, serve, alerts.port)
