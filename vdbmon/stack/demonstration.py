"""The demonstration: image, database, one placed backup, and its series in both stores. Each part can run again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from rich.console import Console

from collector import catalogue
from collector.blockdevices import BlockDevices
from collector.errors import VdbmonError
from orchestrator.decision.decide import Decision
from orchestrator.decision.reasons import Code, Reason
from orchestrator.decision.resources import ResourceClass, millicores
from orchestrator.engines.images import ensure_backup_image
from orchestrator.ledger import LaunchRecord
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import SourceSettings
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError
from vdbmon.stack.demo import BACKUP, ENGINE_SECONDS, SOURCE, demo_source, remove_lost_backup, start_server
from vdbmon.stack.dockerd import engine, wait_for_engine
from vdbmon.stack.figures import backup_lines, where_to_look
from vdbmon.stack.layout import Layout
from vdbmon.stack.openvswitch import BRIDGE, plug_container
from vdbmon.stack.steps import Progress, Steps
from vdbmon.stack.up import RunningStack
from vdbmon.stack.wait import wait_for
from vdbmon.tables import decision_table

JOB = "backup"
AMOUNTS = {
    ResourceClass.SLOTS: 1,
    ResourceClass.CPU: millicores(1.0),
    ResourceClass.MEMORY: 2**30,
    ResourceClass.DISK: 10 * 2**30,
    ResourceClass.READ_BPS: 50 * 10**6,
    ResourceClass.WRITE_BPS: 50 * 10**6,
}
GATE_SECONDS = 180.0
GATE_POLL_SECONDS = 1.0
SERIES_SECONDS = 60.0
STORE_SECONDS = 5.0

LASTING = frozenset(
    {
        Code.SOURCE_NOT_LOCAL,
        Code.SOURCE_REACH_UNSUPPORTED,
        Code.VOLUME_HOST_UNSUPPORTED,
        Code.RULES_MISSING,
        Code.ENGINE_UNKNOWN,
        Code.NAME_TAKEN,
    }
)
"""What waiting can't heal: the configuration or the machine must change first."""


def run_demonstration(stack: RunningStack, layout: Layout, steps: Steps, console: Console) -> None:
    """Back up the demonstration's database once and wait until both stores have seen it.

    Raises:
        VdbmonError: a part failed; says which, and what to do.
    """
    source = demo_source(stack.config)
    if source is None:
        steps.line(f"no demonstration: {layout.config} has no local source {SOURCE!r} with a Unix socket")
        return
    prepare_database(stack, source, layout, steps)
    with open_scheduler(stack.config.fleet(), stack.config.host.name) as scheduler:
        with steps.step(f"{BACKUP} of an earlier run removed"):
            remove_backup(scheduler)
        with steps.step(f"{stack.config.host.name} is open for a backup") as tell:
            await_gate(scheduler, stack.config.host.name, tell)
        record = back_up(scheduler, stack, steps, console)
    folder = stack.config.volumes.dir / (record.volume or "")
    steps.lines(backup_lines(record, AMOUNTS, folder))
    steps.lines(where_to_look(stack.config))


def prepare_database(stack: RunningStack, source: SourceSettings, layout: Layout, steps: Steps) -> None:
    """Have engine, image and the database with its rows.

    Raises:
        VdbmonError: the engine doesn't answer, the image can't be built, the database doesn't start.
    """
    with steps.step(f"Docker engine {stack.engine.address}") as tell:
        wait_for_engine(stack.engine, tell)
    with engine(stack.engine.address, ENGINE_SECONDS) as client:
        remove_lost_backup(client, stack.config.volumes.dir)
        with steps.step("backup image") as tell:
            image = ensure_backup_image(client, layout.deploy / "images" / "backup", tell)
        with steps.step("demonstration database") as tell:
            container = start_server(client, image, source, layout, tell)
        if stack.own_switch:
            with steps.step(f"the database's container on bridge {BRIDGE}"):
                plug_container(layout, container.id, container.attrs["State"]["Pid"])


def remove_backup(scheduler: Scheduler) -> None:
    """Remove the backup of an earlier demonstration and its volume: it is the demonstration's own."""
    try:
        scheduler.remover().remove(BACKUP, with_volume=True, engine_lost=False)
    except VdbmonError as error:
        if error.code != "launch.not_found":
            raise


def await_gate(scheduler: Scheduler, host: str, tell: Progress) -> None:
    """Return when the scheduler would place the backup on this host.

    Raises:
        VdbmonError: `demo.refused`, not within GATE_SECONDS, or for a reason that waiting can't heal.
    """
    told: frozenset[str] = frozenset()
    reasons: tuple[Reason, ...] = ()

    def is_open() -> bool:
        nonlocal told, reasons
        request = scheduler.request(BACKUP, source=SOURCE, job=JOB, amounts=AMOUNTS)
        reasons = reasons_against(scheduler.decide(request), host)
        codes = frozenset(reason.code for reason in reasons)
        if codes & LASTING:
            raise _refused(reason for reason in reasons if reason.code in LASTING)
        if codes - told:
            tell("; ".join(reason.sentence for reason in reasons))
        told = codes
        return not reasons

    if wait_for(is_open, GATE_SECONDS, poll=GATE_POLL_SECONDS) is None:
        raise _refused(reasons)


def reasons_against(decision: Decision, host: str) -> tuple[Reason, ...]:
    """The reasons of a decision against one host."""
    return tuple(reason for verdict in decision.verdicts if verdict.host == host for reason in verdict.reasons)


def _refused(reasons: Iterable[Reason]) -> VdbmonError:
    sentences = "; ".join(f"{reason.code}: {reason.sentence}" for reason in reasons)
    return VdbmonError("demo.refused", f"the demonstration was refused: {sentences}", "mend that, then run this again")


def back_up(scheduler: Scheduler, stack: RunningStack, steps: Steps, console: Console) -> LaunchRecord:
    """Place the backup, see its series arrive while it runs, wait for its end.

    Raises:
        VdbmonError: `demo.refused`, `demo.backup` the backup failed, `demo.no_series` a store hasn't seen it.
    """
    started = time.time()
    request = scheduler.request(BACKUP, source=SOURCE, job=JOB, amounts=AMOUNTS)
    placement = scheduler.place(request, decided=lambda decision: console.print(decision_table(decision)))
    if placement.launched is None:
        raise _refused(reasons_against(placement.decision, stack.config.host.name))
    if placement.launched.limits is not None:
        device_name = BlockDevices(stack.config.agent.procfs).name
        steps.line(f"limits in the kernel: {placement.launched.limits.text(device_name)}")
    with steps.step("its series are in Prometheus and in VictoriaMetrics") as tell:
        missing = await_series(stores(stack), started, tell)
    with steps.step("backup ended"):
        record = scheduler.await_end(request.request_id)
    outcome = record.outcome or {}
    if not outcome.get("record") or outcome.get("exit_code") != 0:
        raise VdbmonError("demo.backup", f"the backup failed: {outcome.get('message')}", f"see `docker logs {BACKUP}`")
    if missing:
        raise VdbmonError(
            "demo.no_series", f"no series of {BACKUP} in {' and '.join(missing)}", "see `vdbmon status`, and the log"
        )
    return record


def stores(stack: RunningStack) -> dict[str, str]:
    """URL of each store, and what to ask it for the backup's CPU time."""
    return {
        stack.config.prometheus.url: f'{catalogue.cgroup.CPU_USAGE.name}{{name="{BACKUP}"}}',
        # telegraf's docker_container_cpu,container_name=... usage_total=..., as VictoriaMetrics joins it
        stack.config.outputs.influxdb_v2[0].urls[0]: f'docker_container_cpu_usage_total{{container_name="{BACKUP}"}}',
    }


def await_series(queries: Mapping[str, str], since: float, tell: Progress) -> list[str]:
    """Wait until every store has a sample that is younger than `since`; the URLs of those that have none."""
    waiting = dict(queries)

    def all_have_it() -> bool:
        for url, series in list(waiting.items()):
            if has_sample(PrometheusClient(url, timeout=STORE_SECONDS), series, since):
                tell(f"{series} at {url}")
                del waiting[url]
        return not waiting

    wait_for(all_have_it, SERIES_SECONDS, poll=0.5)
    return list(waiting)


def has_sample(client: PrometheusClient, series: str, since: float) -> bool:
    """Whether a store has a sample of these series that is younger than `since`."""
    try:
        data = client.get("query", query=f"{series}[5m]")
    except PrometheusError:
        return False
    return any(float(moment) >= since for row in data["result"] for moment, _ in row["values"])
