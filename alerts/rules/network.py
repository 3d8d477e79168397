"""Alerts of the network: links of the host, Open vSwitch, and the kernel's tables that fill up."""

from __future__ import annotations

from alerts.recording import NIC_RECEIVE, NIC_TRANSMIT
from alerts.rule import (
    HOST,
    PERCENT,
    AlertRule,
    Closes,
    Severity,
    highest,
    increase,
    label,
    lowest,
    rate,
    selector,
    was,
)
from alerts.selectors import PHYSICAL_NIC
from alerts.thresholds import (
    CONNTRACK_CRITICAL,
    CONNTRACK_WARNING,
    GATE_FOR,
    KEEP_FIRING_FOR,
    LINK_CHANGES,
    NEIGHBOURS_CRITICAL,
    NEIGHBOURS_WARNING,
    NIC_BUSY_RATIO,
    NIC_ERRORS_RATIO,
    OVS_DROPS,
    OVS_FLOWS_RATIO,
    POLICING_RATIO,
)
from collector.catalogue import host, ovs, tables
from collector.metrics import Metric

_DEVICE = label("device")
_LINK = f"{_DEVICE} on {HOST}"
_INTERFACE = f"{label('interface')} of bridge {label('bridge')} on {HOST}"
_BY = "by (host, bridge, interface)"
_PACKETS = "{{ $value | humanize }} packets"
_LIMIT = 'threshold="gc_thresh3"'
_KBIT = 1000 / 8  # bytes


def _bad_packets(errors: Metric, packets: Metric) -> str:
    return (
        f"max by (host, device) ({rate(errors, '5m', PHYSICAL_NIC)} / ({rate(packets, '5m', PHYSICAL_NIC)} > 0)) > "
        f"{NIC_ERRORS_RATIO.value:g}"
    )


def _link_share(direction: str) -> str:
    speed = f"max by (host, device) ({highest(host.NET_SPEED, '5m', PHYSICAL_NIC)} > 0)"
    return f"min_over_time({direction}[5m]) / {speed} > {NIC_BUSY_RATIO.value:g}"


def _lost(*metrics: Metric) -> str:
    return " + ".join(f"sum {_BY} ({increase(metric, '5m')})" for metric in metrics)


_POLICED = f"max {_BY} ({highest(ovs.POLICING_RATE, '5m')})"


def _neighbours(entries: str) -> str:
    limit = highest(tables.NEIGHBOUR_LIMIT, "5m", _LIMIT)
    return f"max by (host, family) ({entries}) / max by (host, family) ({limit})"


LINK_RULES = (
    AlertRule(
        name="HostLinkDown",
        expr=(
            f"max by (host, device) ({highest(host.NET_UP, '2m', PHYSICAL_NIC)}) == 0 and "
            f"max by (host, device) ({was(host.NET_UP, 1, PHYSICAL_NIC)}) == 1"
        ),
        for_=60,
        severity=Severity.WARNING,
        summary=f"Link {_LINK} is down",
        description=(
            f"{_DEVICE} of {HOST} was up within the last week and is down. If it is one of a bond, the host has lost "
            "its redundancy; if a backup streams over it, that backup stands still."
        ),
    ),
    AlertRule(
        name="HostLinkFlapping",
        expr=(f"max by (host, device) (changes({selector(host.NET_UP, PHYSICAL_NIC)}[2m])) > {LINK_CHANGES.value:g}"),
        for_=2 * 60,
        severity=Severity.WARNING,
        limits=(LINK_CHANGES,),
        summary=f"Link {_LINK} goes up and down",
        description=f"Change the cable, the module or the port of {_DEVICE} on {HOST}; streams over it keep breaking.",
    ),
    AlertRule(
        name="HostLinkErrors",
        expr=(
            f"{_bad_packets(host.NET_RECEIVE_ERRS, host.NET_RECEIVE_PACKETS)} or "
            f"{_bad_packets(host.NET_TRANSMIT_ERRS, host.NET_TRANSMIT_PACKETS)}"
        ),
        for_=3600,
        severity=Severity.WARNING,
        limits=(NIC_ERRORS_RATIO,),
        summary=f"{PERCENT} of the packets of {_LINK} are bad",
        description=(
            f"{_DEVICE} of {HOST} has counted errors for an hour: cable, module, duplex or driver. Backups that stream "
            "over it are slow."
        ),
    ),
    AlertRule(
        name="HostLinkSaturated",
        expr=f"{_link_share(NIC_RECEIVE.name)} or {_link_share(NIC_TRANSMIT.name)}",
        for_=15 * 60,
        severity=Severity.WARNING,
        limits=(NIC_BUSY_RATIO,),
        summary=f"{_LINK} uses {PERCENT} of its speed",
        description=(
            f"{_DEVICE} of {HOST} has been nearly full for 15 minutes; streams share what is left. Lower the network "
            "limits of the backups there, or place some elsewhere."
        ),
    ),
)

OVS_RULES = (
    AlertRule(
        name="OvsSwitchDown",
        expr=f"max by (host) ({selector(ovs.VSWITCHD_UP)}) == 0",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        summary=f"ovs-vswitchd of {HOST} does not answer",
        description=(
            f"The switch of {HOST} is dead or hangs: no container can be plugged in, and new flows are not learnt. No "
            "backup is placed here. Restart the service openvswitch-switch; flows in the kernel go on meanwhile."
        ),
    ),
    AlertRule(
        name="OvsInterfaceDrops",
        expr=f"({_lost(ovs.RX_DROPPED, ovs.TX_DROPPED)}) > {OVS_DROPS.value:g} unless {_POLICED} > 0",
        for_=60,
        severity=Severity.WARNING,
        limits=(OVS_DROPS,),
        summary=f"{_INTERFACE} dropped {_PACKETS} in 5 minutes",
        description=(
            f"Packets of {_INTERFACE} are lost and no limit explains it: a full queue, or a container that does not "
            "read fast enough. The backup behind it is slow."
        ),
    ),
    AlertRule(
        name="OvsPolicingAtLimit",
        expr=(f"max {_BY} ({rate(ovs.RX_BYTES, '5m')}) / ({_POLICED} * {_KBIT:g} > 0) > {POLICING_RATIO.value:g}"),
        for_=15 * 60,
        severity=Severity.INFO,
        limits=(POLICING_RATIO,),
        summary=f"{_INTERFACE} sends {PERCENT} of what its policing lets through",
        description=(
            f"The policing of {_INTERFACE} sets the pace and drops what is beyond it. That is what a limit is for; if "
            "the backup is late, raise the limit while it runs."
        ),
    ),
    AlertRule(
        name="OvsInterfaceErrors",
        expr=f"({_lost(ovs.RX_ERRORS, ovs.TX_ERRORS)}) > {OVS_DROPS.value:g}",
        for_=60,
        severity=Severity.WARNING,
        limits=(OVS_DROPS,),
        summary=f"{_INTERFACE} had {_PACKETS} with errors in 5 minutes",
        description=f"Packets of {_INTERFACE} are damaged: look at MTU, offloading and, on an uplink, at the cable.",
    ),
    AlertRule(
        name="OvsInterfaceFaulty",
        expr=f"max {_BY} ({lowest(ovs.FAULTY, '2m')}) == 1",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"Open vSwitch can't set up {_INTERFACE}",
        description=(
            f"The device of {_INTERFACE} is gone or can't be opened, usually left behind by a container that died. "
            "Remove the port with `ovs-vsctl del-port`."
        ),
    ),
    AlertRule(
        name="OvsInterfacesLeaked",
        expr=f"max by (host) ({lowest(ovs.WITHOUT_CONTAINER, '5m')}) > 0",
        for_=15 * 60,
        severity=Severity.WARNING,
        summary=f"{{{{ $value }}}} interfaces on {HOST} belong to no running container",
        description=(
            f"Containers of {HOST} died and their interfaces stayed, with the addresses that they had. The pool runs "
            "dry in time. `vdbmon audit` names them."
        ),
    ),
    AlertRule(
        name="OvsConfigPending",
        expr=f"max by (host) ({lowest(ovs.CONFIG_PENDING, '1m')}) > 0",
        for_=2 * 60,
        severity=Severity.WARNING,
        summary=f"ovs-vswitchd of {HOST} does not do what its database says",
        description=(
            f"Changes of the switch's configuration on {HOST} have waited for minutes: new ports and changed limits "
            "are not in effect. ovs-vswitchd is overloaded or stuck; see its log."
        ),
    ),
    AlertRule(
        name="OvsFlowsAtLimit",
        expr=(
            f"max by (host, datapath) ({lowest(tables.DATAPATH_FLOWS, '5m')} / "
            f"{highest(tables.DATAPATH_FLOWS_LIMIT, '5m')}) > {OVS_FLOWS_RATIO.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(OVS_FLOWS_RATIO,),
        summary=f"Datapath {label('datapath')} on {HOST} has {PERCENT} of the flows that it may cache",
        description=(
            f"Open vSwitch of {HOST} throws flows away that are still in use, and each of their packets goes through "
            "user space: slow, and lost when that can't follow. Look for a scan, or raise flow-limit."
        ),
    ),
)

TABLE_RULES = (
    AlertRule(
        name="NeighbourTableLow",
        expr=f"{_neighbours(lowest(tables.NEIGHBOURS, '5m'))} > {NEIGHBOURS_WARNING.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(NEIGHBOURS_WARNING,),
        summary=f"The {label('family')} neighbour table of {HOST} is {PERCENT} full",
        description=(
            f"The table counts the neighbours of all containers of {HOST} together. When it is full, new ones are "
            "reached by nobody. Raise gc_thresh1 to gc_thresh3."
        ),
    ),
    AlertRule(
        name="NeighbourTableFull",
        expr=(
            f"{_neighbours(selector(tables.NEIGHBOURS))} > {NEIGHBOURS_CRITICAL.value:g} or "
            f"max by (host, family) ({increase(tables.NEIGHBOUR_FULL, '1m')}) > 0"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(NEIGHBOURS_CRITICAL,),
        summary=f"The {label('family')} neighbour table of {HOST} is full",
        description=(
            f"{HOST} can't learn the address of a new neighbour: its new containers, and hosts it hasn't talked to, "
            "are unreachable. No backup is placed here. Raise gc_thresh3 at once; it takes effect without a restart."
        ),
    ),
    AlertRule(
        name="ConntrackLow",
        expr=(
            f"max by (host) ({lowest(tables.CONNTRACK, '5m')} / {highest(tables.CONNTRACK_LIMIT, '5m')}) > "
            f"{CONNTRACK_WARNING.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(CONNTRACK_WARNING,),
        summary=f"The connection table of {HOST} is {PERCENT} full",
        description=(
            f"When the table of {HOST} is full, new connections are dropped. Raise nf_conntrack_max, or find who "
            "opens so many with `conntrack -L`."
        ),
    ),
    AlertRule(
        name="ConntrackFull",
        expr=(
            f"max by (host) ({selector(tables.CONNTRACK)} / {selector(tables.CONNTRACK_LIMIT)}) > "
            f"{CONNTRACK_CRITICAL.value:g}"
        ),
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.HOST,
        limits=(CONNTRACK_CRITICAL,),
        summary=f"The connection table of {HOST} is {PERCENT} full",
        description=(
            f"{HOST} drops new connections, those of backups to their sources too, and no backup is placed here. Raise "
            "nf_conntrack_max at once."
        ),
    ),
)

RULES = (*LINK_RULES, *OVS_RULES, *TABLE_RULES)
