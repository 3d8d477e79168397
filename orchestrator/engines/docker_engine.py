"""Docker through the Engine API (v1.41 and later; https://docs.docker.com/engine/api/), by docker-py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import EndpointConfig, LogConfig, Mount

from collector import labels
from orchestrator.decision.snapshot import EngineState
from orchestrator.engines.connection import Connection, posted
from orchestrator.engines.engine import (
    BindMount,
    ContainerSpec,
    ContainerState,
    EngineRefusedError,
    LiveLimits,
    ManagedContainer,
    NamedMount,
    Ran,
)
from orchestrator.host.limit_files import parse_processors
from orchestrator.host.limits import DeviceLimits, Limits, Told
from orchestrator.settings import SshSettings, TlsSettings

PROBE_SECONDS = 3.0
CALL_SECONDS = 20.0
_MILLI_TO_NANO = 10**6
_CONFLICT = 409
_RATES = {"read_bps": "ReadBps", "write_bps": "WriteBps", "read_iops": "ReadIOps", "write_iops": "WriteIOps"}
_ADDRESSES_SINCE = "1.22"  # API version
_LOG_BYTES = "10m"
_TAIL = 20
_NO_FILE = re.compile(r"bind source path does not exist: (?P<path>/\S+)")
_TMP_OPTIONS = "rw,nosuid,nodev,size=64m"


class DockerEngine:
    """One daemon. Connects with the first call, so that a daemon which hangs costs nothing before."""

    def __init__(
        self,
        address: str | None,
        *,
        tls: TlsSettings | None = None,
        ssh: SshSettings | None = None,
        probe_seconds: float = PROBE_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """`address` is None for DOCKER_HOST, else the usual socket."""
        self.connection = Connection(address, tls=tls, ssh=ssh, call_seconds=call_seconds)
        self.address = self.connection.address
        self._probe_seconds = probe_seconds

    def probe(self) -> EngineState:
        """Version, all containers, info: a daemon that hangs often answers the first and not the others."""
        with self.connection.answering(), self.connection.probing(self._probe_seconds) as client:
            names = [name.lstrip("/") for item in client.api.containers(all=True) for name in item["Names"] or ()]
            info = client.info()
            return EngineState(
                fingerprint=_fingerprint(info),
                containers=frozenset(names),
                data_root=PurePosixPath(info["DockerRootDir"]),
            )

    def create(self, spec: ContainerSpec) -> str:
        """See `Engine`."""
        with self.connection.answering():
            try:
                return str(
                    self.connection.client().containers.create(spec.image, list(spec.command), **_options(spec)).id
                )
            except ImageNotFound as error:
                raise EngineRefusedError(
                    "image.missing",
                    f"engine {self.address} has no image {spec.image}",
                    "run `make up`, which builds it",
                ) from error
            except APIError as error:
                if error.status_code == _CONFLICT:
                    raise EngineRefusedError(
                        "name.taken",
                        f"engine {self.address} has a container {spec.name} already",
                        "choose another name",
                    ) from error
                missing = _NO_FILE.search(str(error.explanation))
                if missing is not None:
                    raise EngineRefusedError(
                        "job.file",
                        f"the host of engine {self.address} has no {missing['path']}, which the job needs",
                        "put it there: files of a source are needed on every host that runs its jobs",
                    ) from error
                raise

    def start(self, container_id: str) -> None:
        """See `Engine`."""
        with self.connection.answering():
            self.connection.client().api.start(container_id)

    def inspect(self, container: str) -> ContainerState | None:
        """See `Engine`."""
        with self.connection.answering():
            try:
                return _state(self.connection.client().api.inspect_container(container))
            except NotFound:
                return None

    def last_line(self, container_id: str, *, errors: bool) -> str:
        """See `Engine`. The daemon counts lines of both streams, and leaves out one of them after that."""
        with self.connection.answering():
            output = self.connection.client().api.logs(container_id, stdout=not errors, stderr=errors, tail=_TAIL)
            lines = output.decode(errors="replace").splitlines()
            return lines[-1].strip() if lines else ""

    def run(self, container_id: str, command: Sequence[str], *, seconds: float) -> Ran:
        """See `Engine`. With a terminal, so that the answer is plain text; docker-py's own call waits without end."""
        with self.connection.answering(), self.connection.probing(seconds) as client:
            made = client.api.exec_create(container_id, list(command), tty=True)["Id"]
            output = posted(client, f"/exec/{made}/start", {"Tty": True}).text
            code = client.api.exec_inspect(made)["ExitCode"]
            return Ran(exit_code=code, output=" ".join(output.split()))

    def remove(self, container_id: str) -> None:
        """See `Engine`."""
        with self.connection.answering():
            try:
                self.connection.client().api.remove_container(container_id, force=True, v=True)
            except NotFound:
                return

    def update(self, container_id: str, limits: LiveLimits) -> None:
        """See `Engine`. docker-py's own `update_container` knows neither cores nor pids."""
        changes: dict[str, int] = {}
        if limits.cpu is not None:
            changes["NanoCpus"] = limits.cpu * _MILLI_TO_NANO
        if limits.memory is not None:
            changes |= {"Memory": limits.memory, "MemorySwap": limits.memory}
        if limits.pids is not None:
            changes["PidsLimit"] = limits.pids
        with self.connection.answering():
            self.connection.post(f"/containers/{container_id}/update", changes)

    def limits(self, container_id: str) -> Limits | None:
        """What the container was made or changed to; None if there is none. The kernel may have other limits."""
        with self.connection.answering():
            try:
                return _limits(self.connection.client().api.inspect_container(container_id)["HostConfig"])
            except NotFound:
                return None

    def managed(self) -> tuple[ManagedContainer, ...]:
        """See `Engine`."""
        with self.connection.answering():
            api = self.connection.client().api
            found = []
            for item in api.containers(all=True, filters={"label": f"{labels.MANAGED}=true"}):
                with suppress(NotFound):
                    found.append(_managed(api.inspect_container(item["Id"])))
            return tuple(sorted(found, key=lambda container: (container.created_at, container.state.id)))

    def close(self) -> None:
        """Give back sockets, and end ssh."""
        self.connection.close()


def _fingerprint(info: dict[str, Any]) -> str:
    """The daemon's id and its data root: up to version 20.10 all daemons of a machine take their id from one file."""
    return f"{info['ID']} {info['DockerRootDir']}"


def _options(spec: ContainerSpec) -> dict[str, Any]:
    """Arguments of docker-py's `containers.create`."""
    return {
        "name": spec.name,
        "labels": dict(spec.labels),
        "mounts": [_mount(item) for item in spec.mounts],
        "nano_cpus": spec.cpu * _MILLI_TO_NANO,
        "mem_limit": spec.memory,
        "memswap_limit": spec.memory,
        "pids_limit": spec.pids,
        "cpuset_cpus": spec.cpuset,
        **{f"device_{kind}": _rates(spec, kind) for kind in _RATES},
        **_network(spec),
        "init": True,
        "read_only": True,
        "tmpfs": {"/tmp": _TMP_OPTIONS},  # noqa: S108 - the container's own
        "cap_drop": ["ALL"],
        "cap_add": ["DAC_READ_SEARCH"],  # root without it can't read the server's data directory
        "security_opt": ["no-new-privileges"],
        "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": _LOG_BYTES, "max-file": "2"}),
    }


def _rates(spec: ContainerSpec, kind: str) -> list[dict[str, Any]]:
    rates = ((str(item.path), getattr(item, kind)) for item in spec.devices)
    return [{"Path": path, "Rate": rate} for path, rate in rates if rate]


def _network(spec: ContainerSpec) -> dict[str, Any]:
    if spec.network is None:
        return {"network_mode": "none"}
    endpoint = EndpointConfig(_ADDRESSES_SINCE, ipv4_address=spec.address)
    return {"network": spec.network, "networking_config": {spec.network: endpoint}}


def _mount(item: BindMount | NamedMount) -> Mount:
    if isinstance(item, NamedMount):
        return Mount(str(item.target), item.volume, "volume", item.read_only, no_copy=True)
    return Mount(str(item.target), str(item.source), "bind", item.read_only)


def _state(answer: dict[str, Any]) -> ContainerState:
    state = answer["State"]
    ended = state["Status"] in {"exited", "dead"}
    return ContainerState(
        id=answer["Id"],
        name=answer["Name"].lstrip("/"),
        status=state["Status"],
        exit_code=state["ExitCode"] if ended else None,
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        labels=answer["Config"]["Labels"] or {},
    )


def _managed(answer: dict[str, Any]) -> ManagedContainer:
    config, limits = answer["Config"], answer["HostConfig"]
    return ManagedContainer(
        state=_state(answer),
        image=config["Image"],
        command=tuple(config["Cmd"] or ()),
        created_at=datetime.fromisoformat(answer["Created"]).timestamp(),
        cpu=limits["NanoCpus"] // _MILLI_TO_NANO,
        memory=limits["Memory"],
        read_bps=_rate(limits["BlkioDeviceReadBps"]),
        write_bps=_rate(limits["BlkioDeviceWriteBps"]),
        mounts={Path(mount["Destination"]): Path(mount.get("Name") or mount["Source"]) for mount in answer["Mounts"]},
    )


def _limits(told: dict[str, Any]) -> Limits:
    rates: dict[str, dict[str, int]] = {}
    for kind in _RATES:
        for device in told[f"BlkioDevice{_RATES[kind]}"] or ():
            rates.setdefault(device["Path"], {})[kind] = device["Rate"]
    return Limits(
        cpu=told["NanoCpus"] // _MILLI_TO_NANO or None,
        memory=told["Memory"] or None,
        pids=told["PidsLimit"] or None,
        devices={path: DeviceLimits(*map(rate.get, _RATES)) for path, rate in rates.items()},
        processors=parse_processors(told["CpusetCpus"]) if told["CpusetCpus"] else None,
        told=Told.ENGINE,
    )


def _rate(devices: list[dict[str, Any]] | None) -> int:
    """The same rate is set on every device that a job reads or writes."""
    return max((device["Rate"] for device in devices or ()), default=0)
