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
from dashboards.colours import NONE_IS_GOOD
from dashboards.influxdb import values as v
from dashboards.influxdb.influxql import stored
from dashboards.influxdb.marks import marks
from dashboards.panels import glance, lines
from dashboards.spec import Column, Dashboard, KeyLink, Panel, Query, Row, Source, Table

_SCOPE = v.HOSTS_SCOPE
_host, _ovs, _net, _tables = catalogue.host, catalogue.ovs, catalogue.network, catalogue.tables
_LINK, _PORT, _CONTAINER = "$tag_host $tag_interface", "$tag_host $tag_port", "$tag_container_name"
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
        glance(
            "ports-left-behind",
            "Ports left behind",
            "Most on one host. Their container died badly, its address is taken until the port goes: `vdbmon audit`.",
            _SCOPE.gauge(stored(_ovs.WITHOUT_CONTAINER), function="max"),
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
            width=6,
        ),
        glance(
            "faulty-ports",
            "Faulty interfaces",
            "1: Open vSwitch could not set one up, usually as its device is gone. The table below names it.",
            _SCOPE.gauge(stored(_ovs.FAULTY), function="max"),
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
            width=6,
        ),
        glance(
            "config-pending",
            "Changes not made",
            "Most on one host: configured, and not done by ovs-vswitchd yet. For long: it hangs; read its log.",
            _SCOPE.gauge(stored(_ovs.CONFIG_PENDING), function="max"),
            unit=NUMBER_FORMAT,
            steps=NONE_IS_GOOD,
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
    def rate(metric: Metric, word: str) -> Query:
        return Query(_SCOPE.rate(stored(metric), "host", "interface", where=v.NO_LOOPBACK), f"{_LINK} {word}")

    return (
        lines(
            "link-bytes",
            "Throughput of links",
            "Bytes by interface. Near the link's speed transfers queue: lower a limit or start backups apart.",
            rate(_host.NET_RECEIVE_BYTES, "received"),
            rate(_host.NET_TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
        ),
        lines(
            "link-drops",
            "Dropped on links",
            "For long: a queue overflows or a rate limit drops. Compare with the policed ports below.",
            rate(_host.NET_RECEIVE_DROP, "received"),
            rate(_host.NET_TRANSMIT_DROP, "sent"),
            unit=PACKETS_SEC,
        ),
        lines(
            "link-errors",
            "Errors on links",
            "Anything above zero is a cable, a port or a driver: move the host's jobs and have it looked at.",
            rate(_host.NET_RECEIVE_ERRS, "received"),
            rate(_host.NET_TRANSMIT_ERRS, "sent"),
            unit=PACKETS_SEC,
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
    def rate(metric: Metric, word: str) -> Query:
        return Query(_SCOPE.rate(stored(metric), "host", "port"), f"{_PORT} {word}")

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
            "port-limits",
            "Limits of ports",
            "Policed is what the container may send, shaped what it may receive. A port missing here has no limit.",
            Query(_SCOPE.gauge(stored(_ovs.POLICING_RATE), "host", "port", divide=_KBIT), f"{_PORT} policed"),
            Query(_SCOPE.gauge(stored(_ovs.QOS_MAX_RATE), "host", "port"), f"{_PORT} shaped"),
            unit=BITS_SEC,
        ),
        lines(
            "port-drops",
            "Dropped on ports",
            "Under a policing limit some drops are its way to slow the sender. Without one: the switch is overrun.",
            rate(_ovs.RX_DROPPED, "received"),
            rate(_ovs.TX_DROPPED, "sent"),
            unit=PACKETS_SEC,
        ),
    )


def _containers() -> tuple[Panel, ...]:
    def rate(metric: Metric, word: str) -> Query:
        expr = _SCOPE.rate(stored(metric), "host", "container_name", where=v.TOTAL_NETWORK)
        return Query(expr, f"{_CONTAINER} {word}")

    return (
        lines(
            "container-received",
            "Containers receive",
            "Seen from inside. Restores receive; a backup that receives as much is a stream.",
            rate(_net.RECEIVE_BYTES, "received"),
            unit=BYTES_SEC,
        ),
        lines(
            "container-sent",
            "Containers send",
            "Seen from inside. One that fills a link starves the others: give it a limit.",
            rate(_net.TRANSMIT_BYTES, "sent"),
            unit=BYTES_SEC,
        ),
        lines(
            "container-drops",
            "Containers with drops",
            "Packets dropped on their way in or out. Steady under a limit is meant; without one look at the port.",
            rate(_net.RECEIVE_DROPPED, "received"),
            rate(_net.TRANSMIT_DROPPED, "sent"),
            unit=PACKETS_SEC,
        ),
    )
