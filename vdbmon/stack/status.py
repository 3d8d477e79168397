"""What of the local stack runs: its programs, the engine, and the containers it made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import docker.errors
import psutil

from collector import labels
from collector.containers import unix_time
from vdbmon.config import Config
from vdbmon.stack.demo import LABEL, uses_volumes
from vdbmon.stack.dockerd import Survey, connect, survey_engine
from vdbmon.stack.layout import Layout
from vdbmon.stack.openvswitch import starts_switch
from vdbmon.stack.ownership import is_own, own_processes
from vdbmon.stack.programs import DOCKERD, Program, stack_programs
from vdbmon.stack.supervise import ProgramState, Supervisor
from vdbmon.stack.wait import answers_ok

ENGINE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the status.

    Attributes:
        good: it is as it should be.
        pid: 0 where there is none.
        since: start as Unix time; 0 where unknown.
        where: address, or what else tells people where to look.
    """

    name: str
    state: str
    good: bool
    pid: int = 0
    since: float = 0.0
    where: str = ""


def read_status(config: Config, layout: Layout) -> tuple[Row, ...]:
    """Ask supervisor, every program and the engine; each answer has a deadline of seconds."""
    engine = survey_engine(config)
    own_dockerd = is_own(engine.pid, layout)
    states = Supervisor(layout).states() or orphan_states(layout)
    own_switch = starts_switch(config, layout)
    programs = stack_programs(config, layout, own_dockerd=own_dockerd, own_switch=own_switch)
    rows = [program_row(program, states.get(program.name)) for program in programs if program.name != DOCKERD]
    return (*rows, engine_row(engine, own=own_dockerd), *_container_rows(engine, layout, config.volumes.dir))


def orphan_states(layout: Layout) -> dict[str, ProgramState]:
    """Programs that go on although their supervisor was killed; nobody restarts them."""
    return {
        name: ProgramState(name, "UNSUPERVISED", process.pid, _started(process.pid), "supervisor was killed")
        for name, process in own_processes(layout)
    }


def program_row(program: Program, state: ProgramState | None) -> Row:
    """The row of a program; one that runs and doesn't answer isn't good."""
    where = str(program.address or "")
    if state is None:
        return Row(name=program.name, state="not running", good=False, where=where)
    address = program.address
    mute = state.runs and address is not None and not answers_ok(address.host, address.port, program.ready)
    return Row(
        name=program.name,
        state="not answering" if mute else state.state.lower(),
        good=state.runs and not mute,
        pid=state.pid,
        since=state.since if state.pid else 0.0,
        where=where,
    )


def engine_row(engine: Survey, *, own: bool) -> Row:
    """The row of the engine: the stack's own daemon, the machine's, or one that a setting names."""
    whose = "started by the stack" if own else f"from {engine.setting}" if engine.setting else "the machine's"
    exists = engine.answers or engine.listening or engine.pid is not None or engine.setting is not None
    return Row(
        name=DOCKERD,
        state="running" if engine.answers else "not answering" if exists else "not running",
        good=engine.answers,
        pid=engine.pid or 0,
        since=_started(engine.pid),
        where=f"{engine.address} ({whose})" if exists else engine.address,
    )


def _container_rows(engine: Survey, layout: Layout, volumes: Path) -> Iterable[Row]:
    """The demonstration's server and the placed containers whose volumes are this stack's."""
    if not engine.answers:
        return
    try:
        client = connect(engine.address, ENGINE_SECONDS)
        containers = client.containers.list(all=True)
        client.close()
    except (docker.errors.DockerException, OSError):
        return
    for container in sorted(containers, key=lambda item: item.name or ""):
        server = container.labels.get(LABEL) == str(layout.state)
        if server or uses_volumes(container, volumes):
            state = container.attrs["State"]
            yield Row(
                name=container.name or "",
                state=str(state["Status"]),
                good=bool(state["Running"]) if server else state["ExitCode"] == 0,
                pid=int(state["Pid"]),
                since=unix_time(state["StartedAt"]) or 0.0,
                where="demonstration database" if server else f"backup of {container.labels.get(labels.SOURCE, '?')}",
            )


def _started(pid: int | None) -> float:
    try:
        return psutil.Process(pid).create_time() if pid else 0.0
    except psutil.NoSuchProcess:
        return 0.0
