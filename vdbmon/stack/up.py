"""`vdbmon stack up`: configuration, ports, programs; what can be refused is refused before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.generated import private_files
from collector.errors import VdbmonError
from vdbmon.config import Config, load_config
from vdbmon.generated_files import write_files, write_if_changed
from vdbmon.stack.dockerd import Action, Survey, decide, describe, remove_stale_pid_file, survey_engine
from vdbmon.stack.layout import Layout
from vdbmon.stack.machine import make_folders, this_machine
from vdbmon.stack.openvswitch import make_bridge, make_database, starts_switch, switch_socket, why_none
from vdbmon.stack.ownership import is_own
from vdbmon.stack.ports import check_ports
from vdbmon.stack.programs import AGENT, ALERTMANAGER, PROMETHEUS, SERVE, Program, stack_programs
from vdbmon.stack.render import (
    ListenAddresses,
    render_alerts,
    render_config,
    render_prometheus,
    render_supervisor,
)
from vdbmon.stack.steps import Progress, Steps
from vdbmon.stack.supervise import Supervisor, log_tail
from vdbmon.stack.wait import OK, answers_ok, http_status, wait_for

READY_SECONDS = 30.0
TEMPLATE = "local/vdbmon.toml.in"


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What the demonstration needs to know of the stack; `own_switch` is whether it started the Open vSwitch."""

    config: Config
    engine: Survey
    own_switch: bool


def start_stack(layout: Layout, steps: Steps, *, webhook_url: str | None) -> RunningStack:
    """Start the servers, or bring running ones to the configuration of now; return when all of them answer.

    Raises:
        VdbmonError: bad configuration, a port that is held, a program that doesn't start.
    """
    supervisor = Supervisor(layout)
    with steps.step(f"configuration {layout.config}"):
        config = prepare_config(layout)
    if supervisor.states() is None and (left := supervisor.stop_leftovers()):
        steps.line(f"stopped what an earlier run left: {', '.join(left)}")
    engine = survey_engine(config)
    own_dockerd = decide(engine) is Action.START or is_own(engine.pid, layout)
    own_switch = starts_switch(config, layout)
    programs = stack_programs(config, layout, own_dockerd=own_dockerd, own_switch=own_switch)
    check_ports(
        [program.address for program in programs if program.address],
        layout.config,
        lambda pid: is_own(pid, layout),
    )
    if decide(engine) is Action.WAIT:
        steps.line(f"{describe(engine)} doesn't answer; it is used as it is and never gets a twin")
    make_folders(layout)
    if own_switch:
        make_database(layout)
    else:
        steps.line(why_none(config, layout))
    write_configuration(config, layout, programs, webhook_url)
    if decide(engine) is Action.START:
        remove_stale_pid_file()
    with steps.step(f"servers: {', '.join(program.name for program in programs)}") as tell:
        run_programs(supervisor, programs)
        for program in programs:
            await_ready(supervisor, program, layout, tell)
        if own_switch:
            make_bridge(layout)
    return RunningStack(config, engine, own_switch)


def prepare_config(layout: Layout) -> Config:
    """Write the TOML file where there is none, and read it."""
    if not layout.config.exists():
        layout.state.mkdir(parents=True, exist_ok=True)
        template = (layout.deploy / TEMPLATE).read_text(encoding="utf-8")
        listen = ListenAddresses(ovs=switch_socket(layout))
        write_if_changed(layout.config, render_config(template, layout, this_machine(layout.state), listen))
    return load_config(layout.config)


def write_configuration(config: Config, layout: Layout, programs: Sequence[Program], webhook_url: str | None) -> None:
    """Render what the programs read."""
    write_files(layout.alerts, render_alerts(config.alerting, webhook_url), private_files(config.alerting))
    write_if_changed(layout.prometheus_conf, render_prometheus(config, layout))
    write_if_changed(layout.supervisor_conf, render_supervisor(programs, layout))


def run_programs(supervisor: Supervisor, programs: Sequence[Program]) -> None:
    """Start supervisor; where it runs already, make its programs read their files again.

    Agent and serve are started anew, so that they are the code and the configuration of now.
    """
    if supervisor.states() is None:
        supervisor.start()
        return
    fresh = supervisor.update()
    for program in programs:
        if program.name in fresh:
            continue
        if program.name in {AGENT, SERVE}:
            supervisor.restart(program.name)
        elif program.name in {PROMETHEUS, ALERTMANAGER}:
            reload(program)


def reload(program: Program) -> None:
    """Make Prometheus or Alertmanager read its configuration again.

    Raises:
        VdbmonError: `stack.reload`, it refuses the file; it goes on with the old one.
    """
    if program.address is None:
        return
    try:
        status, body = http_status(program.address.host, program.address.port, "/-/reload", method="POST")
    except OSError:
        return  # just being restarted; it reads its files then
    if status != OK:
        raise VdbmonError("stack.reload", f"{program.name} refuses its configuration: {' '.join(body.split())}")


def await_ready(supervisor: Supervisor, program: Program, layout: Layout, tell: Progress) -> None:
    """Return when a program answers.

    Raises:
        VdbmonError: `stack.not_ready`, not within READY_SECONDS; says its state and the end of its log.
    """
    if _is_ready(supervisor, program):
        return
    tell(f"waiting for {program.name}")
    if wait_for(lambda: _is_ready(supervisor, program), READY_SECONDS) is None:
        state = (supervisor.states() or {}).get(program.name)
        raise VdbmonError(
            "stack.not_ready",
            f"{program.name} isn't ready after {READY_SECONDS:.0f} s "
            f"({state.description if state else 'no supervisor'}): {log_tail(layout, program.name)}",
            f"see {layout.log(program.name)}",
        )


def _is_ready(supervisor: Supervisor, program: Program) -> bool:
    if program.address is None:
        state = (supervisor.states() or {}).get(program.name)
        return state is not None and state.runs
    return answers_ok(program.address.host, program.address.port, program.ready)
