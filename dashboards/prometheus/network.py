"""Network: interfaces of hosts and containers, Open vSwitch's ports with their limits and VLANs, address tables."""

from __future__ import annotations

from grafanalib.formatunits import BITS_SEC, BYTES_SEC, NUMBER_FORMAT, PACKETS_SEC, PERCENT_UNIT, SHORT

from alerts import thresholds
from collector import catalogue, fleet_metrics
from collector.metrics import Metric
from dashboards.addresses import CAPACITY_UID, CONTAINER_UID, HOST_UID, NETWORK_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NEUTRAL, NONE_IS_GOOD, PLAIN, above
from dashboards.panels import glance, lines
from dashboards.prometheus import usage
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB, SERVE_HOSTS
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table

_SCOPE = EVERY_HOST
_host, _ovs, _tables, _network = catalogue.host, catalogue.ovs, catalogue.tables, catalogue.network
_NOT_LOOPBACK = 'device!="lo"'
_IS_CONTAINER = 'image!=""'
_DEVICE, _PORT = "{{host}} {{device}}", "{{host}} {{port}}"
_LINK = (Mapping(-1, "unknown", NEUTRAL), Mapping(0, "down", CRITICAL), Mapping(1, "up", GOOD))
_FAULTY = (Mapping(0, "well", GOOD), Mapping(1, "faulty", CRITICAL))
_OF_NETWORK = 'kind=~"address|network"'
_BITS = 8
_BITS_OF_KBIT = 1000


def dashboard() -> Dashboard:
    """From the link of a host to the port of a container."""
    return Dashboard(
        uid=NETWORK_UID,
        title="vdbmon / Network",
        description="Links, Open vSwitch ports, policing, drops, VLANs, and the tables that run full.",
        variables=(JOB, HOSTS),
        rows=(
            Row("now", "Now", _at_a_glance()),
            Row("links", "Links of the hosts", _links()),
            Row("ports", "Open vSwitch ports", (_ports_table(), *_ports())),
            Row("limits", "Policing and QoS", _limits()),
            Row("containers", "Containers", _containers()),
            Row("tables", "Addresses, connections, flows", _address_tables()),
        ),
        neighbours=neighbours(HOST_UID, CONTAINER_UID, CAPACITY_UID),
        annotations=FLEET_MARKS,
    )


def _by_port(expr: str) -> str:
    return f"max by (host, bridge, port) ({expr})"


def _by_device(expr: str) -> str:
    return f"max by (host, device) ({expr})"


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        glance(
            "switches-down",
            "Switches that don't answer",
            (
                "Hosts whose ovs-vswitchd is silent. The kernel forwards what it knows; new flows and ports fail: "
                "restart it."
            ),
            f"count(max by (host) ({_SCOPE.gauge(_ovs.VSWITCHD_UP)}) == 0) or vector(0)",
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
        ),
        glance(
            "faulty-ports",
            "Faulty interfaces",
            "Open vSwitch could not set them up, usually as their device is gone. The table below names them.",
            f"sum({_SCOPE.gauge(_ovs.FAULTY)}) or vector(0)",
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
        ),
        glance(
            "ports-left-behind",
            "Ports left behind",
            "Their container is gone: it died badly, and its address is taken until the port goes. `vdbmon audit`.",
            f"sum({_SCOPE.gauge(_ovs.WITHOUT_CONTAINER)}) or vector(0)",
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
        ),
        glance(
            "config-pending",
            "Changes not made",
            "Configured, and not done by ovs-vswitchd yet. Above zero for long: it hangs; read its log.",
            f"sum({_SCOPE.gauge(_ovs.CONFIG_PENDING)}) or vector(0)",
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
        ),
        *_links_at_a_glance(),
    )


def _links_at_a_glance() -> tuple[Panel, ...]:
    return (
        glance(
            "links-down",
            "Links without carrier",
            "Configured up and no signal. Of a bond: half the bandwidth is gone; look at cable and switch.",
            f"count({_SCOPE.gauge(_host.NET_CARRIER, _NOT_LOOPBACK)} == 0) or vector(0)",
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
        ),
        glance(
            "fullest-link",
            "Fullest link",
            (
                "Throughput of its speed, the busier direction. Near 100 %: backups slow each other down; start them "
                "apart."
            ),
            f"max({_of_speed(_host.NET_RECEIVE_BYTES)} or {_of_speed(_host.NET_TRANSMIT_BYTES)}) or vector(0)",
            unit=PERCENT_UNIT,
            steps=above(thresholds.NIC_BUSY_RATIO),
        ),
    )


def _of_speed(metric: Metric) -> str:
    """Share of the link's speed; virtual interfaces have none."""
    rate = _SCOPE.rate(metric, _NOT_LOOPBACK)
    return f"{_by_device(rate)} / {_by_device(f'{_SCOPE.gauge(_host.NET_SPEED)} > 0')}"


def _links() -> tuple[Panel, ...]:
    def rate(metric: Metric, word: str) -> Query:
        return Query(_by_device(_SCOPE.rate(metric, _NOT_LOOPBACK)), f"{_DEVICE} {word}")

    return (
        lines(
            "link-of-speed",
            "Use of links",
            "Throughput of the link's speed. Near 100 % transfers queue: lower a limit or start backups apart.",
            Query(_of_speed(_host.NET_RECEIVE_BYTES), f"{_DEVICE} received"),
            Query(_of_speed(_host.NET_TRANSMIT_BYTES), f"{_DEVICE} sent"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.NIC_BUSY_RATIO),
            width=12,
        ),
        lines(
            "link-drops",
            "Dropped on links",
            "For long: a queue overflows or a rate limit drops. Compare with the policed ports below.",
            rate(_host.NET_RECEIVE_DROP, "received"),
            rate(_host.NET_TRANSMIT_DROP, "sent"),
            unit=PACKETS_SEC,
            width=12,
        ),
        lines(
            "link-bytes",
            "Throughput of links",
            "Bytes by interface. Compare hosts: one that stays low under load has a slow port.",
            rate(_host.NET_RECEIVE_BYTES, "received"),
            rate(_host.NET_TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
            width=12,
        ),
        lines(
            "link-errors",
            "Errors on links",
            "Anything above zero is a cable, a port or a driver: move the host's jobs and have it looked at.",
            rate(_host.NET_RECEIVE_ERRS, "received"),
            rate(_host.NET_TRANSMIT_ERRS, "sent"),
            unit=PACKETS_SEC,
            width=12,
        ),
    )


def _ports_table() -> Table:
    dropped = f"{_SCOPE.rate(_ovs.RX_DROPPED)} + {_SCOPE.rate(_ovs.TX_DROPPED)}"
    errors = f"{_SCOPE.rate(_ovs.RX_ERRORS)} + {_SCOPE.rate(_ovs.TX_ERRORS)}"
    return Table(
        slug="ports",
        title="Ports",
        description=(
            "Every port of every bridge, as the switch sees it: received is what the container sends. A port "
            "without a limit can take the whole link; one whose link is down has lost its container."
        ),
        height=10,
        keys=("host", "bridge", "port"),
        sort_by="Received",
        links=(KeyLink("host", HOST_UID, carried=("host",)),),
        columns=(
            Column("Link", _by_port(_SCOPE.gauge(_ovs.LINK_STATE)), NUMBER_FORMAT, PLAIN, _LINK),
            Column("State", _by_port(_SCOPE.gauge(_ovs.FAULTY)), NUMBER_FORMAT, PLAIN, _FAULTY),
            Column("VLAN", _by_port(_SCOPE.gauge(_ovs.VLAN_TAG)), NUMBER_FORMAT),
            Column("Received", _by_port(_SCOPE.rate(_ovs.RX_BYTES)), BYTES_SEC),
            Column("Sent", _by_port(_SCOPE.rate(_ovs.TX_BYTES)), BYTES_SEC),
            Column("Policed at", _by_port(f"{_SCOPE.gauge(_ovs.POLICING_RATE)} * {_BITS_OF_KBIT}"), BITS_SEC),
            Column("Shaped at", _by_port(_SCOPE.gauge(_ovs.QOS_MAX_RATE)), BITS_SEC),
            Column("Dropped", _by_port(dropped), PACKETS_SEC),
            Column("Errors", _by_port(errors), PACKETS_SEC),
        ),
    )


def _ports() -> tuple[Panel, ...]:
    def rate(metric: Metric, word: str) -> Query:
        return Query(_by_port(_SCOPE.rate(metric)), f"{_PORT} {word}")

    return (
        lines(
            "port-bytes",
            "Throughput of ports",
            "Received is what the container sends. A flat top below its policing rate: the far end sets the pace.",
            rate(_ovs.RX_BYTES, "received"),
            rate(_ovs.TX_BYTES, "sent"),
            unit=BYTES_SEC,
        ),
        lines(
            "port-drops",
            "Dropped on ports",
            "Under a policing limit some drops are its way to slow the sender. Without one: the switch is overrun.",
            rate(_ovs.RX_DROPPED, "received"),
            rate(_ovs.TX_DROPPED, "sent"),
            unit=PACKETS_SEC,
        ),
        lines(
            "port-errors",
            "Errors and link resets",
            "Errors point at the driver, resets at a flapping link. Both ought to stay at zero.",
            rate(_ovs.RX_ERRORS, "receive errors"),
            rate(_ovs.TX_ERRORS, "send errors"),
            rate(_ovs.LINK_RESETS, "resets"),
            unit=PACKETS_SEC,
        ),
    )


def _limits() -> tuple[Panel, ...]:
    policed = f"{_SCOPE.rate(_ovs.RX_BYTES)} * {_BITS} / ({_SCOPE.gauge(_ovs.POLICING_RATE)} * {_BITS_OF_KBIT} > 0)"
    shaped = f"{_by_port(_SCOPE.rate(_ovs.TX_BYTES))} * {_BITS} / {_by_port(_SCOPE.gauge(_ovs.QOS_MAX_RATE))}"
    queue = "max by (host, port, queue)"
    return (
        lines(
            "policed",
            "Sending of the policed rate",
            (
                "At 100 % the limit sets the pace of what the container sends. Raise it if the job is late and the "
                "link idle."
            ),
            Query(_by_port(policed), _PORT),
            unit=PERCENT_UNIT,
            steps=above(thresholds.POLICING_RATIO),
        ),
        lines(
            "shaped",
            "Receiving of the shaped rate",
            "At 100 % the QoS of the port sets the pace of what the container receives, as in a restore.",
            Query(shaped, _PORT),
            unit=PERCENT_UNIT,
            steps=above(thresholds.POLICING_RATIO),
        ),
        lines(
            "queues",
            "Queues",
            "What each queue is promised and may take. Promises above the port's rate can't be kept: lower one.",
            Query(f"{queue} ({_SCOPE.gauge(_ovs.QUEUE_MIN_RATE)})", f"{_PORT} {{{{queue}}}} at least"),
            Query(f"{queue} ({_SCOPE.gauge(_ovs.QUEUE_MAX_RATE)})", f"{_PORT} {{{{queue}}}} at most"),
            unit=BITS_SEC,
        ),
    )


def _containers() -> tuple[Panel, ...]:
    def top(expr: str) -> str:
        return f"topk(10, sum by (host, name) ({expr}))"

    dropped = (_network.RECEIVE_DROPPED, _network.TRANSMIT_DROPPED)
    return (
        lines(
            "container-received",
            "Containers that receive most",
            "The ten busiest, seen from inside. Restores receive; a backup that receives as much is a stream.",
            Query(top(_SCOPE.rate(_network.RECEIVE_BYTES, _IS_CONTAINER)), "{{name}}"),
            unit=BYTES_SEC,
        ),
        lines(
            "container-sent",
            "Containers that send most",
            "The ten busiest, seen from inside. One that fills a link starves the others: give it a limit.",
            Query(top(_SCOPE.rate(_network.TRANSMIT_BYTES, _IS_CONTAINER)), "{{name}}"),
            unit=BYTES_SEC,
        ),
        lines(
            "container-drops",
            "Containers with drops",
            "Packets dropped on their way in or out. Steady under a limit is meant; without one look at the port.",
            Query(top(" + ".join(_SCOPE.rate(metric, _IS_CONTAINER) for metric in dropped)), "{{name}}"),
            unit=PACKETS_SEC,
        ),
    )


def _address_tables() -> tuple[Panel, ...]:
    threshold = 'threshold="gc_thresh3"'
    limit = f"max by (host, family) ({_SCOPE.gauge(_tables.NEIGHBOUR_LIMIT, threshold)} > 0)"
    of_connections = (
        f"max by (host) ({_SCOPE.gauge(_tables.CONNTRACK)} / ({_SCOPE.gauge(_tables.CONNTRACK_LIMIT)} > 0))"
    )
    return (
        lines(
            "neighbours",
            "Neighbour table of limit",
            "Beyond 100 % no new address can be reached: raise net.ipv4.neigh.default.gc_thresh3.",
            Query(f"max by (host, family) ({_SCOPE.gauge(_tables.NEIGHBOURS)}) / {limit}", "{{host}} {{family}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.NEIGHBOURS_CRITICAL, warning=thresholds.NEIGHBOURS_WARNING),
        ),
        lines(
            "neighbours-refused",
            "Neighbours refused",
            "The table was full when an address was needed; containers lose their peers now. Raise gc_thresh3.",
            Query(f"max by (host, family) ({_SCOPE.rate(_tables.NEIGHBOUR_FULL)})", "{{host}} {{family}}"),
            unit=PACKETS_SEC,
        ),
        lines(
            "arp",
            "IPv4 neighbours by device",
            "Addresses that a host talks to. A climb on one bridge: leaked addresses, or a scan.",
            Query(_by_device(_SCOPE.gauge(_tables.ARP_ENTRIES)), _DEVICE),
            unit=SHORT,
        ),
        lines(
            "connections",
            "Connection tracking of limit",
            "At 100 % new connections are dropped: raise nf_conntrack_max or take backup traffic out of tracking.",
            Query(of_connections, "{{host}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.CONNTRACK_CRITICAL, warning=thresholds.CONNTRACK_WARNING),
        ),
        *_flow_tables(),
    )


def _flow_tables() -> tuple[Panel, ...]:
    flows = "max by (host, datapath)"
    cached, most = _SCOPE.gauge(_tables.DATAPATH_FLOWS), _SCOPE.gauge(_tables.DATAPATH_FLOWS_LIMIT)
    return (
        lines(
            "datapath-flows",
            "Cached flows of limit",
            "Near 100 % Open vSwitch throws flows away and asks user space for each packet: CPU up, throughput down.",
            Query(f"{flows} ({cached} / ({most} > 0))", "{{host}} {{datapath}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.OVS_FLOWS_RATIO),
        ),
        lines(
            "bridge-flows",
            "OpenFlow rules",
            "Rules per bridge. A climb: something adds and never removes; look with ovs-ofctl dump-flows.",
            Query(f"max by (host, bridge) ({_SCOPE.gauge(_tables.BRIDGE_FLOWS)})", "{{host}} {{bridge}}"),
            unit=SHORT,
        ),
        lines(
            "leaked",
            "Leaked addresses and networks",
            "Taken in the ledger, used by no launch: a container died badly. `vdbmon audit` lists them with their age.",
            Query(f"sum by (host, kind) ({SERVE_HOSTS.gauge(fleet_metrics.LEAKS, _OF_NETWORK)})", "{{host}} {{kind}}"),
            unit=SHORT,
            width=12,
        ),
        lines(
            "host-network",
            "Network by host",
            "All interfaces but loopback. What no container above accounts for is the host's own: copies, monitoring.",
            Query(usage.network_received(_SCOPE), "{{host}} received"),
            Query(usage.network_sent(_SCOPE), "{{host}} sent"),
            unit=BYTES_SEC,
            width=12,
        ),
    )
