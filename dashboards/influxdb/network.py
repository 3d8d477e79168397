"""Network: links of the hosts, Open vSwitch's ports, containers, from what the agents push."""

from __future__ import annotations

from grafanalib.formatunits import BITS_SEC, BYTES_SEC, NUMBER_FORMAT, PACKETS_SEC, SHORT

from collector import catalogue
from collector.metrics import Metric
from dashboards.addresses import (
    INFLUX_CONTAINER_UID,
    INFLUX_FLEET_UID,
    INFLUX_HOST_UID,
    INFLUX_NETWORK_UID,
    neighbours,
)
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import stored
from dashboards.influxdb.marks import marks
from dashboards.influxdb.per_tag import PerTag
from dashboards.panels import faults, glance, lines
from dashboards.shared import network as shared
from dashboards.spec import Column, Dashboard, KeyLink, Panel, Row, Source, Table

_SCOPE = v.HOSTS_SCOPE
_host, _ovs, _net, _tables = catalogue.host, catalogue.ovs, catalogue.network, catalogue.tables
_LINKS = PerTag(_SCOPE, ("host", "interface"), where=v.NO_LOOPBACK)
_PORTS = PerTag(_SCOPE, ("host", "port"))
_CONTAINERS = PerTag(_SCOPE, ("host", "container_name"), named=("container_name",), where=v.TOTAL_NETWORK)
_KBIT = 1 / 1000  # bits of a kilobit, as a divisor


def dashboard() -> Dashboard:
    """From the link of a host to the port of a container."""
    return Dashboard(
        uid=INFLUX_NETWORK_UID,
        title="vdbmon / InfluxDB / Network",
        description="Links, Open vSwitch ports, policing and drops, as InfluxDB has them.",
        source=Source.INFLUXDB,
        variables=(v.HOSTS,),
        rows=(
            Row("now", "Now", _at_a_glance()),
            Row("links", "Links of the hosts", _links()),
            Row("ports", "Open vSwitch ports", (_ports_table(), *_ports())),
            Row("containers", "Containers", _containers()),
        ),
        neighbours=neighbours(INFLUX_FLEET_UID, INFLUX_HOST_UID, INFLUX_CONTAINER_UID),
        annotations=marks(),
    )


def _at_a_glance() -> tuple[Panel, ...]:
    return (
        faults(
            "ports-left-behind",
            "Ports left behind",
            "Most on one host. Their container died badly, its address is taken until the port goes: `vdbmon audit`.",
            _SCOPE.gauge(stored(_ovs.WITHOUT_CONTAINER), function="max"),
            width=6,
        ),
        faults(
            "faulty-ports",
            "Faulty interfaces",
            "1: Open vSwitch could not set one up, usually as its device is gone. The table below names it.",
            _SCOPE.gauge(stored(_ovs.FAULTY), function="max"),
            width=6,
        ),
        faults(
            "config-pending",
            "Changes not made",
            "Most on one host: configured, and not done by ovs-vswitchd yet. For long: it hangs; read its log.",
            _SCOPE.gauge(stored(_ovs.CONFIG_PENDING), function="max"),
            width=6,
        ),
        glance(
            "connections",
            "Tracked connections",
            "Most on one host. Near nf_conntrack_max new ones are dropped: raise it, or track backups no more.",
            _SCOPE.gauge(stored(_tables.CONNTRACK), function="max"),
            unit=SHORT,
            width=6,
        ),
    )


def _links() -> tuple[Panel, ...]:
    return (
        lines(
            "link-bytes",
            "Throughput of links",
            "Bytes by interface. Near the link's speed transfers queue: lower a limit or start backups apart.",
            _LINKS.rate(_host.NET_RECEIVE_BYTES, "received"),
            _LINKS.rate(_host.NET_TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
        ),
        shared.LINK_DROPS.of(
            _LINKS.rate(_host.NET_RECEIVE_DROP, "received"), _LINKS.rate(_host.NET_TRANSMIT_DROP, "sent")
        ),
        shared.LINK_ERRORS.of(
            _LINKS.rate(_host.NET_RECEIVE_ERRS, "received"), _LINKS.rate(_host.NET_TRANSMIT_ERRS, "sent")
        ),
    )


def _ports_table() -> Table:
    by = ("host", "bridge", "port")

    def rate(title: str, metric: Metric, unit: str) -> Column:
        return Column(title, _SCOPE.latest_rate(stored(metric), title, *by, each=("interface",)), unit)

    return Table(
        slug="ports",
        title="Ports",
        description=(
            "Every port of every bridge, as the switch sees it: received is what the container sends. A port without a "
            "limit can take the whole link; give it one."
        ),
        height=10,
        keys=by,
        sort_by="Received",
        links=(KeyLink("host", INFLUX_HOST_UID, carried=("host",)),),
        columns=(
            Column("Link", _SCOPE.latest(stored(_ovs.LINK_STATE), "Link", *by, function="min"), NUMBER_FORMAT),
            Column("VLAN", _SCOPE.latest(stored(_ovs.VLAN_TAG), "VLAN", *by), NUMBER_FORMAT),
            rate("Received", _ovs.RX_BYTES, BYTES_SEC),
            rate("Sent", _ovs.TX_BYTES, BYTES_SEC),
            Column("Policed at", _SCOPE.latest(stored(_ovs.POLICING_RATE), "Policed at", *by, divide=_KBIT), BITS_SEC),
            rate("Dropped", _ovs.RX_DROPPED, PACKETS_SEC),
        ),
    )


def _ports() -> tuple[Panel, ...]:
    return (
        shared.PORT_BYTES.of(_PORTS.rate(_ovs.RX_BYTES, "received"), _PORTS.rate(_ovs.TX_BYTES, "sent")),
        lines(
            "port-limits",
            "Limits of ports",
            "Policed is what the container may send, shaped what it may receive. A port missing here has no limit.",
            _PORTS.gauge(stored(_ovs.POLICING_RATE), "policed", divide=_KBIT),
            _PORTS.gauge(stored(_ovs.QOS_MAX_RATE), "shaped"),
            unit=BITS_SEC,
        ),
        shared.PORT_DROPS.of(_PORTS.rate(_ovs.RX_DROPPED, "received"), _PORTS.rate(_ovs.TX_DROPPED, "sent")),
    )


def _containers() -> tuple[Panel, ...]:
    return (
        lines(
            "container-received",
            "Containers receive",
            "Seen from inside. Restores receive; a backup that receives as much is a stream.",
            _CONTAINERS.rate(_net.RECEIVE_BYTES, "received"),
            unit=BYTES_SEC,
        ),
        lines(
            "container-sent",
            "Containers send",
            "Seen from inside. One that fills a link starves the others: give it a limit.",
            _CONTAINERS.rate(_net.TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
        ),
        shared.CONTAINER_DROPS.of(
            _CONTAINERS.rate(_net.RECEIVE_DROPPED, "received"), _CONTAINERS.rate(_net.TRANSMIT_DROPPED, "sent")
        ),
    )
