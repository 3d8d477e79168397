"""The demonstration: image, database, one placed backup, and its series in both stores. Each part can run again."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.errors import VdbmonError
from orchestrator.images import ensure_backup_image
from orchestrator.prometheus import PrometheusClient, PrometheusError
from vdbmon.stack.demo import BACKUP, ENGINE_SECONDS, SOURCE, demo_source, start_server
from vdbmon.stack.dockerd import connect, wait_for_engine
from vdbmon.stack.layout import Layout
from vdbmon.stack.steps import Progress, Steps
from vdbmon.stack.up import RunningStack
from vdbmon.stack.wait import wait_for

REQUEST = (
    *("--source", SOURCE),
    *("--cpus", "1"),
    *("--memory", "1GiB"),
    *("--disk", "10GiB"),
    *("--read-bps", "50MB"),
    *("--write-bps", "50MB"),
)
REFUSED = 3
GATE_SECONDS = 180.0
GATE_POLL_SECONDS = 2.0
SERIES_SECONDS = 60.0
COMMAND_SECONDS = 120.0

# What waiting can't heal: the configuration or the machine must change first.
LASTING = ("source.", "volume.", "host.", "name.", "rules.missing", "engine.unknown")


def run_demonstration(stack: RunningStack, layout: Layout, steps: Steps) -> None:
    """Back up the demonstration's database once and wait until both stores have seen it.

    Raises:
        VdbmonError: a part failed; says which, and what to do.
    """
    source = demo_source(stack.config)
    if source is None:
        steps.line(f"no demonstration: {layout.config} has no local source {SOURCE!r} with a Unix socket")
        return
    with steps.step(f"Docker engine {stack.engine.address}") as tell:
        wait_for_engine(stack.engine, tell)
    client = connect(stack.engine.address, ENGINE_SECONDS)
    try:
        with steps.step("backup image") as tell:
            image = ensure_backup_image(client, layout.deploy / "images" / "backup", tell)
        with steps.step("demonstration database") as tell:
            start_server(client, image, source, layout, tell)
    finally:
        client.close()
    command = Vdbmon(layout.config)
    with steps.step(f"{BACKUP} of an earlier run removed"):
        command.remove_backup()
    with steps.step(f"{stack.config.host.name} is open for a backup") as tell:
        await_gate(command, stack.config.host.name, tell)
    back_up(stack, command, steps)


class Vdbmon:
    """The command line, called as a user would call it."""

    def __init__(self, config: Path) -> None:
        self._program = str(Path(sys.executable).with_name("vdbmon"))
        self._config = config

    def line(self, *arguments: str) -> list[str]:
        """The argument vector of a call."""
        return [self._program, *arguments, "--config", str(self._config)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call and wait."""
        return subprocess.run(
            self.line(*arguments), capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )

    def remove_backup(self) -> None:
        """Remove the backup of an earlier demonstration with its volume.

        Raises:
            VdbmonError: `demo.remove`.
        """
        listed = self.run("ps", "--all", "--json")
        if listed.returncode == 0 and not any(row["name"] == BACKUP for row in json.loads(listed.stdout)):
            return
        done = self.run("rm", BACKUP, "--force")
        if done.returncode:
            raise VdbmonError("demo.remove", f"`vdbmon rm {BACKUP}` failed: {last_line(done.stderr)}")

    def refusals(self, host: str) -> list[dict[str, Any]]:
        """Reasons against a backup on a host right now; empty when it would be launched.

        Raises:
            VdbmonError: `demo.place`, the command failed otherwise.
        """
        done = self.run("place", BACKUP, *REQUEST, "--dry-run", "--json")
        if done.returncode not in {0, REFUSED}:
            raise VdbmonError("demo.place", f"`vdbmon place --dry-run` failed: {last_line(done.stderr)}")
        verdicts = json.loads(done.stdout)["verdicts"]
        return [reason for verdict in verdicts if verdict["host"] == host for reason in verdict["reasons"]]


def await_gate(command: Vdbmon, host: str, tell: Progress) -> None:
    """Return when the scheduler would place the backup on this host.

    Raises:
        VdbmonError: `demo.refused`, not within GATE_SECONDS, or for a reason that waiting can't heal.
    """
    told = ""

    def is_open() -> bool:
        nonlocal told
        reasons = command.refusals(host)
        lasting = [reason for reason in reasons if reason["code"].startswith(LASTING)]
        if lasting:
            raise _refused(lasting)
        sentences = "; ".join(reason["code"] for reason in reasons)
        if reasons and sentences != told:
            told = sentences
            tell(reasons[0]["sentence"])
        return not reasons

    if wait_for(is_open, GATE_SECONDS, poll=GATE_POLL_SECONDS) is None:
        raise _refused(command.refusals(host))


def _refused(reasons: Sequence[dict[str, Any]]) -> VdbmonError:
    sentences = "; ".join(f"{reason['code']}: {reason['sentence']}" for reason in reasons)
    return VdbmonError("demo.refused", f"no backup: {sentences}", "mend that and run `make up` again")


def back_up(stack: RunningStack, command: Vdbmon, steps: Steps) -> None:
    """Place the backup, let it print its decision and figures, and see its series arrive meanwhile.

    Raises:
        VdbmonError: `demo.backup` the backup failed, `demo.no_series` a store hasn't seen it.
    """
    arguments = ("place", BACKUP, *REQUEST, "--wait")
    started = time.time()
    steps.line(f"$ vdbmon {shlex.join(arguments)}")
    with subprocess.Popen(command.line(*arguments)) as process:
        missing = await_series(stack, started)
        code = process.wait()
    if code:
        raise VdbmonError("demo.backup", f"`vdbmon place` ended with {code}", f"see `docker logs {BACKUP}`")
    if missing:
        raise VdbmonError("demo.no_series", f"no series of {BACKUP} in {' and '.join(missing)}", "see `vdbmon status`")


def await_series(stack: RunningStack, since: float) -> list[str]:
    """Wait until both stores have a sample of the backup that is younger than `since`; the names of those without."""
    stores = {
        stack.config.prometheus.url: f'container_cpu_usage_seconds_total{{name="{BACKUP}"}}',
        stack.config.outputs.influxdb_v2[0].urls[0]: f'docker_container_cpu_usage_total{{container_name="{BACKUP}"}}',
    }
    waiting = dict(stores)

    def all_have_it() -> bool:
        for url, series in list(waiting.items()):
            if has_sample(PrometheusClient(url, timeout=5.0), series, since):
                del waiting[url]
        return not waiting

    wait_for(all_have_it, SERIES_SECONDS, poll=1.0)
    return list(waiting)


def has_sample(client: PrometheusClient, series: str, since: float) -> bool:
    """Whether a store has a sample of these series that is younger than `since`."""
    try:
        data = client.get("query", query=f"{series}[5m]")
    except PrometheusError:
        return False
    return any(float(moment) >= since for row in data["result"] for moment, _ in row["values"])


def last_line(text: str) -> str:
    """The last line of an output."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"
