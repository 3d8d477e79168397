"""Other agents that are on PATH, run beside the same containers and scraped at the same pace.

A peer is one row of `PEERS`. Each is configured to read what ours reads (the host, and the containers where it can) at
the interval at which it is scraped, and to listen on the loopback only.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.cost import cpu_seconds, pss_mib
from tests.bench.scraping import Daemon, Pace, cost_at
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

READY = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs: a folder of its own, its port, the Docker socket, and its interval in seconds."""

    folder: Path
    port: int
    docker: str
    interval: float


@dataclass(frozen=True, slots=True)
class Peer:
    """A program, how it is started, and the path that is scraped."""

    program: str
    command: Callable[[Place], Sequence[str]]
    path: str = "/metrics"


def _node_exporter(place: Place) -> Sequence[str]:
    return ("prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{place.port}")


def _cadvisor(place: Place) -> Sequence[str]:
    return (
        *("cadvisor", "-listen_ip=127.0.0.1", f"-port={place.port}", f"-docker={place.docker}"),
        *(f"-housekeeping_interval={place.interval:g}s", "-docker_only=true"),
    )


def _telegraf(place: Place) -> Sequence[str]:
    inputs = "".join(f"[[inputs.{name}]]\n" for name in ("cpu", "mem", "swap", "system", "disk", "diskio", "net"))
    config = place.folder / "telegraf.conf"
    config.write_text(
        f'[agent]\ninterval = "{place.interval:g}s"\n{inputs}'
        f'[[inputs.docker]]\nendpoint = "{place.docker}"\n'
        f'[[outputs.prometheus_client]]\nlisten = "127.0.0.1:{place.port}"\n'
    )
    return ("telegraf", "--config", str(config))


def _netdata(place: Place) -> Sequence[str]:
    folders = "".join(f"{name} = {place.folder}\n" for name in ("cache", "lib", "log"))
    config = place.folder / "netdata.conf"
    config.write_text(
        f"[global]\nrun as user = root\n[db]\nmode = ram\nupdate every = {max(int(place.interval), 1)}\n"
        f"[directories]\n{folders}[web]\nbind to = 127.0.0.1:{place.port}\n"
        "[plugins]\npython.d = no\ncharts.d = no\ngo.d = no\n"
    )
    return ("netdata", "-D", "-c", str(config), "-P", str(place.folder / "netdata.pid"))


PEERS = (
    Peer("prometheus-node-exporter", _node_exporter),
    Peer("cadvisor", _cadvisor),
    Peer("telegraf", _telegraf),
    Peer("netdata", _netdata, "/api/v1/allmetrics?format=prometheus"),
)


def found() -> list[Peer]:
    """The peers that are on PATH."""
    return [peer for peer in PEERS if shutil.which(peer.program) is not None]


def measure(peer: Peer, daemon: Daemon, pace: Pace) -> dict[str, float]:
    """Share of a core and memory of a peer, and what it costs the daemon; each interval with a start of its own."""
    figures: dict[str, float] = {}
    for interval in pace.intervals:
        with tempfile.TemporaryDirectory(prefix="vdbmon-peer-") as name:
            place = Place(Path(name), free_port(), daemon.address, interval)
            url = f"http://127.0.0.1:{place.port}{peer.path}"
            with process(list(peer.command(place)), place.folder / "log") as started:
                wait_until(lambda url=url: http_get(url), deadline=READY, what=peer.program)  # type: ignore[misc]
                spent = partial(cpu_seconds, started.pid)
                figures |= cost_at(interval, spent, url, daemon, pace.seconds)
                figures["PSS, MiB"] = pss_mib(started.pid)
    return figures
