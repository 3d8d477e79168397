"""The stack's own Open vSwitch: a switch in user space, so that it needs no kernel module, with a bridge to look at.

Its address is that of the TOML file, as of every program: where `[inputs.ovs] db_socket` is in the stack's folder of
sockets the stack serves it, and where it is elsewhere somebody else does. A second userspace switch in one network
namespace can't work, for both would name their devices alike; so the stack starts none beside another's. The devices
are taps that outlive ovs-vswitchd, so that a restart takes them over; the last to go removes them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path

import psutil

from collector.errors import VdbmonError
from collector.ovsdb import VSWITCHD
from collector.settings import OvsSettings
from vdbmon.config import Config
from vdbmon.stack.dockerd import is_listening
from vdbmon.stack.layout import Layout
from vdbmon.stack.ownership import is_own

BRIDGE = "br-vdbmon"
PORT = "vdbmon0"
PORT_VLAN = 100
CONTAINER_PORT = "vdbmon-demo"
POLICING_KBPS = 100_000
QUEUE_BPS = 100_000_000

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DEVICES = (CONTAINER_PORT, PORT, BRIDGE, "ovs-netdev")
_INSIDE = "eth0"
_SECONDS = 20


def switch_socket(layout: Layout) -> Path:
    """What a new configuration names: the machine's own Open vSwitch if one runs, else the stack's."""
    standard = OvsSettings().db_socket
    return standard if is_listening(standard) else layout.ovs_socket


def starts_switch(config: Config, layout: Layout) -> bool:
    """Whether the switch is the stack's to start."""
    return config.inputs.ovs.db_socket == layout.ovs_socket and _others(layout) is None


def why_none(config: Config, layout: Layout) -> str:
    """A line about a switch that the stack doesn't start."""
    if config.inputs.ovs.db_socket == layout.ovs_socket:
        return f"another Open vSwitch runs here (pid {_others(layout)}): this stack starts none"
    address = config.inputs.ovs.db_socket
    if is_listening(address):
        return f"the Open vSwitch at {address} is used as it is"
    return (
        f"no Open vSwitch at {address}; with [inputs.ovs] db_socket = {str(layout.ovs_socket)!r} the stack starts one"
    )


def make_database(layout: Layout) -> None:
    """Make the switch's database, unless there is one.

    Raises:
        VdbmonError: `stack.ovs`, Open vSwitch isn't installed or refuses.
    """
    layout.ovs_socket.parent.mkdir(parents=True, exist_ok=True)
    if not layout.ovs_database.exists():
        layout.ovs_database.parent.mkdir(parents=True, exist_ok=True)
        _run("ovsdb-tool", "create", str(layout.ovs_database), str(_SCHEMA))


def make_bridge(layout: Layout) -> None:
    """Have the bridge with one port, which shows every kind of limit; return when ovs-vswitchd has made it.

    Raises:
        VdbmonError: `stack.ovs`, the switch refuses or doesn't answer.
    """
    vsctl = _vsctl(layout)
    if _run(*vsctl, "--columns=name", "find", "port", f"name={PORT}").strip():
        return
    _run(
        *vsctl,
        *("--may-exist", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"),
        *("--", "add-port", BRIDGE, PORT, f"tag={PORT_VLAN}", "--", "set", "interface", PORT, "type=internal"),
        *(f"ingress_policing_rate={POLICING_KBPS}", f"ingress_policing_burst={POLICING_KBPS // 10}"),
        *("--", "set", "port", PORT, "qos=@qos"),
        *(
            "--",
            "--id=@qos",
            "create",
            "qos",
            "type=linux-htb",
            f"other-config:max-rate={QUEUE_BPS}",
            "queues:0=@queue",
        ),
        *("--", "--id=@queue", "create", "queue", f"other-config:max-rate={QUEUE_BPS}"),
    )


def plug_container(layout: Layout, container_id: str, pid: int) -> None:
    """Have the bridge's port for a container that has no network of its own; `pid` is a process of it.

    As ovs-docker(8) does: a veth pair, one end in the container, and its id in `external_ids` of the other, so that the
    interface's series can be joined with its name.

    Raises:
        VdbmonError: `stack.ovs`, the switch or the kernel refuses.
    """
    vsctl = _vsctl(layout)
    known = f"external_ids:container_id={container_id}"
    there = _has_device(CONTAINER_PORT)
    if there and _run(*vsctl, "--columns=name", "find", "interface", f"name={CONTAINER_PORT}", known).strip():
        return
    if there:
        _run("ip", "link", "delete", CONTAINER_PORT)
    _run("ip", "link", "add", CONTAINER_PORT, "type", "veth", "peer", "name", _INSIDE, "netns", str(pid))
    _run("ip", "link", "set", CONTAINER_PORT, "up")
    _run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "set", _INSIDE, "up")
    _run(
        *vsctl,
        *("--if-exists", "del-port", BRIDGE, CONTAINER_PORT, "--", "add-port", BRIDGE, CONTAINER_PORT),
        *("--", "set", "interface", CONTAINER_PORT, known, f"external_ids:container_iface={_INSIDE}"),
    )


def unplug_container(layout: Layout) -> None:
    """Forget that port, so that a later start doesn't show it as one that a dead container left behind."""
    if is_listening(layout.ovs_socket):
        with contextlib.suppress(VdbmonError):  # a switch that doesn't answer must not keep the stack from stopping
            _run(*_vsctl(layout), "--no-wait", "--if-exists", "del-port", BRIDGE, CONTAINER_PORT)


def remove_devices(layout: Layout) -> None:
    """Remove what a switch of the stack that has ended left in the network namespace.

    Raises:
        VdbmonError: `stack.ovs`, a device can't be removed.
    """
    if not layout.ovs_database.exists() or _others(layout) is not None:
        return
    for name in _DEVICES:
        if _has_device(name):
            _run("ip", "link", "delete", name)


def _vsctl(layout: Layout) -> tuple[str, ...]:
    return "ovs-vsctl", f"--db=unix:{layout.ovs_socket}", f"--timeout={_SECONDS}"


def _has_device(name: str) -> bool:
    return any(name == there for _, there in socket.if_nameindex())


def _others(layout: Layout) -> int | None:
    """An ovs-vswitchd in this network namespace that isn't the stack's."""
    for process in psutil.process_iter():
        try:
            here = process.name() == VSWITCHD and _network_namespace(process.pid) == _network_namespace(os.getpid())
        except (psutil.Error, OSError):
            continue
        if here and not is_own(process.pid, layout):
            return process.pid
    return None


def _network_namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS + 5)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VdbmonError("stack.ovs", f"{command[0]}: {error}", "`make up` installs openvswitch-switch") from error
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise VdbmonError("stack.ovs", f"{command[0]}: {reason}", f"see the log of {VSWITCHD}")
    return done.stdout
