"""Network: interfaces of hosts and containers, Open vSwitch's ports with their limits and VLANs, address tables."""

from __future__ import annotations

from grafanalib.formatunits import BITS_SEC, BYTES_SEC, NUMBER_FORMAT, PACKETS_SEC, PERCENT_UNIT, SHORT

from alerts import thresholds
from collector import catalogue, fleet_metrics
from dashboards.addresses import CAPACITY_UID, CONTAINER_UID, HOST_UID, NETWORK_UID, neighbours
from dashboards.colours import CRITICAL, GOOD, NEUTRAL, PLAIN, above
from dashboards.panels import faults, glance, lines
from dashboards.prometheus import device_queries as devices
from dashboards.prometheus import usage
from dashboards.prometheus.marks import FLEET_MARKS
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import how_many
from dashboards.prometheus.variables import EVERY_HOST, HOSTS, JOB, SERVE, SERVE_HOSTS
from dashboards.shared import network as shared
from dashboards.spec import Column, Dashboard, KeyLink, Mapping, Panel, Query, Row, Table, TimeSeries

_SCOPE = EVERY_HOST
_host, _ovs, _tables, _network = catalogue.host, catalogue.ovs, catalogue.tables, catalogue.network
_IS_CONTAINER = 'image!=""'
_LINKS = devices.links(_SCOPE, "host", "device")
_PORTS = PerLabel(_SCOPE, ("host", "bridge", "port"), named=("host", "port"))
_NEIGHBOURS = PerLabel(_SCOPE, ("host", "family"))
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


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        faults(
            "switches-down",
            "Switches that don't answer",
            (
                "Hosts whose ovs-vswitchd is silent. The kernel forwards what it knows; new flows and ports fail: "
                "restart it."
            ),
            how_many(f"max by (host) ({_SCOPE.gauge(_ovs.VSWITCHD_UP)}) == 0"),
        ),
        faults(
            "faulty-ports",
            "Faulty interfaces",
            "Open vSwitch could not set them up, usually as their device is gone. The table below names them.",
            f"sum({_SCOPE.gauge(_ovs.FAULTY)}) or vector(0)",
        ),
        faults(
            "ports-left-behind",
            "Ports left behind",
            "Their container is gone: it died badly, and its address is taken until the port goes. `vdbmon audit`.",
            f"sum({_SCOPE.gauge(_ovs.WITHOUT_CONTAINER)}) or vector(0)",
        ),
        faults(
            "config-pending",
            "Changes not made",
            "Configured, and not done by ovs-vswitchd yet. Above zero for long: it hangs; read its log.",
            f"sum({_SCOPE.gauge(_ovs.CONFIG_PENDING)}) or vector(0)",
        ),
        *_links_at_a_glance(),
    )


def _links_at_a_glance() -> tuple[Panel, ...]:
    received, sent = devices.link_use(_LINKS)
    return (
        faults(
            "links-down",
            "Links without carrier",
            "Configured up and no signal. Of a bond: half the bandwidth is gone; look at cable and switch.",
            how_many(f"{_SCOPE.gauge(_host.NET_CARRIER, devices.NOT_LOOPBACK)} == 0"),
        ),
        glance(
            "fullest-link",
            "Fullest link",
            (
                "Throughput of its speed, the busier direction. Near 100 %: backups slow each other down; start them "
                "apart."
            ),
            f"max({received.expr} or {sent.expr}) or vector(0)",
            unit=PERCENT_UNIT,
            steps=above(thresholds.NIC_BUSY_RATIO),
        ),
    )


def _links() -> tuple[Panel, ...]:
    return (
        lines(
            "link-of-speed",
            "Use of links",
            "Throughput of the link's speed. Near 100 % transfers queue: lower a limit or start backups apart.",
            *devices.link_use(_LINKS),
            unit=PERCENT_UNIT,
            steps=above(thresholds.NIC_BUSY_RATIO),
            width=12,
        ),
        shared.LINK_DROPS.of(*devices.link_drops(_LINKS), width=12),
        lines(
            "link-bytes",
            "Throughput of links",
            "Bytes by interface. Compare hosts: one that stays low under load has a slow port.",
            *devices.link_bytes(_LINKS),
            unit=BYTES_SEC,
            width=12,
        ),
        shared.LINK_ERRORS.of(*devices.link_errors(_LINKS), width=12),
        _retransmissions(),
    )


def _retransmissions() -> TimeSeries:
    again, sent = (_SCOPE.rate(_host.NETSTAT["Tcp", field]) for field in ("RetransSegs", "OutSegs"))
    return lines(
        "retransmissions",
        "TCP segments sent again",
        "Of all that the host sends, not its containers in networks of their own. Above 1 %: packets are lost.",
        PerLabel(_SCOPE, ("host",)).line(f"{again} / ({sent} > 0)"),
        unit=PERCENT_UNIT,
        width=24,
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
            Column("Link", _PORTS.expr(_SCOPE.gauge(_ovs.LINK_STATE)), NUMBER_FORMAT, PLAIN, _LINK),
            Column("State", _PORTS.expr(_SCOPE.gauge(_ovs.FAULTY)), NUMBER_FORMAT, PLAIN, _FAULTY),
            Column("VLAN", _PORTS.expr(_SCOPE.gauge(_ovs.VLAN_TAG)), NUMBER_FORMAT),
            Column("Received", _PORTS.expr(_SCOPE.rate(_ovs.RX_BYTES)), BYTES_SEC),
            Column("Sent", _PORTS.expr(_SCOPE.rate(_ovs.TX_BYTES)), BYTES_SEC),
            Column("Policed at", _PORTS.expr(f"{_SCOPE.gauge(_ovs.POLICING_RATE)} * {_BITS_OF_KBIT}"), BITS_SEC),
            Column("Shaped at", _PORTS.expr(_SCOPE.gauge(_ovs.QOS_MAX_RATE)), BITS_SEC),
            Column("Dropped", _PORTS.expr(dropped), PACKETS_SEC),
            Column("Errors", _PORTS.expr(errors), PACKETS_SEC),
        ),
    )


def _ports() -> tuple[Panel, ...]:
    return (
        shared.PORT_BYTES.of(_PORTS.rate(_ovs.RX_BYTES, "received"), _PORTS.rate(_ovs.TX_BYTES, "sent")),
        shared.PORT_DROPS.of(_PORTS.rate(_ovs.RX_DROPPED, "received"), _PORTS.rate(_ovs.TX_DROPPED, "sent")),
        lines(
            "port-errors",
            "Errors and link resets",
            "Errors point at the driver, resets at a flapping link. Both ought to stay at zero.",
            _PORTS.rate(_ovs.RX_ERRORS, "receive errors"),
            _PORTS.rate(_ovs.TX_ERRORS, "send errors"),
            _PORTS.rate(_ovs.LINK_RESETS, "resets"),
            unit=PACKETS_SEC,
        ),
    )


def _limits() -> tuple[Panel, ...]:
    policed = f"{_SCOPE.rate(_ovs.RX_BYTES)} * {_BITS} / ({_SCOPE.gauge(_ovs.POLICING_RATE)} * {_BITS_OF_KBIT} > 0)"
    shaped = f"{_PORTS.rate(_ovs.TX_BYTES).expr} * {_BITS} / {_PORTS.gauge(_ovs.QOS_MAX_RATE).expr}"
    queues = PerLabel(_SCOPE, ("host", "port", "queue"))
    return (
        lines(
            "policed",
            "Sending of the policed rate",
            (
                "At 100 % the limit sets the pace of what the container sends. Raise it if the job is late and the "
                "link idle."
            ),
            _PORTS.line(policed),
            unit=PERCENT_UNIT,
            steps=above(thresholds.POLICING_RATIO),
        ),
        lines(
            "shaped",
            "Receiving of the shaped rate",
            "At 100 % the QoS of the port sets the pace of what the container receives, as in a restore.",
            Query(shaped, "{{host}} {{port}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.POLICING_RATIO),
        ),
        lines(
            "queues",
            "Queues",
            "What each queue is promised and may take. Promises above the port's rate can't be kept: lower one.",
            queues.gauge(_ovs.QUEUE_MIN_RATE, "at least"),
            queues.gauge(_ovs.QUEUE_MAX_RATE, "at most"),
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
        shared.CONTAINER_DROPS.of(
            Query(top(" + ".join(_SCOPE.rate(metric, _IS_CONTAINER) for metric in dropped)), "{{name}}")
        ),
    )


def _address_tables() -> tuple[Panel, ...]:
    threshold = 'threshold="gc_thresh3"'
    limit = _NEIGHBOURS.expr(f"{_SCOPE.gauge(_tables.NEIGHBOUR_LIMIT, threshold)} > 0")
    of_connections = (
        f"max by (host) ({_SCOPE.gauge(_tables.CONNTRACK)} / ({_SCOPE.gauge(_tables.CONNTRACK_LIMIT)} > 0))"
    )
    return (
        lines(
            "neighbours",
            "Neighbour table of limit",
            "Beyond 100 % no new address can be reached: raise net.ipv4.neigh.default.gc_thresh3.",
            Query(f"{_NEIGHBOURS.gauge(_tables.NEIGHBOURS).expr} / {limit}", "{{host}} {{family}}"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.NEIGHBOURS_CRITICAL, warning=thresholds.NEIGHBOURS_WARNING),
        ),
        lines(
            "neighbours-refused",
            "Neighbours refused",
            "The table was full when an address was needed; containers lose their peers now. Raise gc_thresh3.",
            _NEIGHBOURS.rate(_tables.NEIGHBOUR_FULL),
            unit=PACKETS_SEC,
        ),
        lines(
            "arp",
            "IPv4 neighbours by device",
            "Addresses that a host talks to. A climb on one bridge: leaked addresses, or a scan.",
            PerLabel(_SCOPE, ("host", "device")).gauge(_tables.ARP_ENTRIES),
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
    cached, most = _SCOPE.gauge(_tables.DATAPATH_FLOWS), _SCOPE.gauge(_tables.DATAPATH_FLOWS_LIMIT)
    return (
        lines(
            "datapath-flows",
            "Cached flows of limit",
            "Near 100 % Open vSwitch throws flows away and asks user space for each packet: CPU up, throughput down.",
            PerLabel(_SCOPE, ("host", "datapath")).line(f"{cached} / ({most} > 0)"),
            unit=PERCENT_UNIT,
            steps=above(thresholds.OVS_FLOWS_RATIO),
        ),
        lines(
            "bridge-flows",
            "OpenFlow rules",
            "Rules per bridge. A climb: something adds and never removes; look with ovs-ofctl dump-flows.",
            PerLabel(_SCOPE, ("host", "bridge")).gauge(_tables.BRIDGE_FLOWS),
            unit=SHORT,
        ),
        _address_pools(),
        lines(
            "leaked",
            "Leaked addresses and networks",
            "Taken in the ledger, used by no launch: a container died badly. `vdbmon audit` lists them with their age.",
            Query(f"sum by (host, kind) ({SERVE_HOSTS.gauge(fleet_metrics.LEAKS, _OF_NETWORK)})", "{{host}} {{kind}}"),
            unit=SHORT,
        ),
        lines(
            "host-network",
            "Network by host",
            "All interfaces but loopback. What no container above accounts for is the host's own: copies, monitoring.",
            Query(usage.network_received(_SCOPE), "{{host}} received"),
            Query(usage.network_sent(_SCOPE), "{{host}} sent"),
            unit=BYTES_SEC,
        ),
    )


def _address_pools() -> TimeSeries:
    taken = f"""sum by (pool) ({SERVE.gauge(fleet_metrics.ADDRESSES, 'state!="free"')})"""
    return lines(
        "address-pools",
        "Address pools",
        "Taken of all addresses, those that rest after their use too. At 100 % what asks for the pool is refused.",
        Query(f"{taken} / sum by (pool) ({SERVE.gauge(fleet_metrics.ADDRESSES)})", "{{pool}}"),
        unit=PERCENT_UNIT,
        steps=above(thresholds.ADDRESS_POOL_TAKEN),
    )
