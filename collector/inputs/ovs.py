"""Open vSwitch: what goes through every interface, what limits it, and whether the switch itself lives.

Sources: the Open_vSwitch database (ovs-vswitchd.conf.db(5)) over a kept connection, and one call on the control socket
of ovs-vswitchd. Names and labels of `ovs_interface_*` and `ovs_bridge_*` are those of openstack-network-exporter, what
that one lacks of the policing and the drops is named as in ovs_exporter. Neither shows QoS, queues and VLAN tags.

- Open vSwitch writes its statistics every 5 s at the most, so the database isn't read more often.
- When ovs-vswitchd is dead its last statistics stay in the database and look alive. They are then left out.
- Which container an interface belongs to stands in an info series to join with, `* on (host, interface)
  group_left (name) vdbmon_ovs_interface_container_info`: the labels of the data are the other exporters', and a name
  that is learnt late doesn't break a counter in two.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from collector.background import Background
from collector.clock import Clock
from collector.containers import Container, ContainerIndex
from collector.errors import VdbmonError
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample, Unit, counter, gauge, info
from collector.ovsdb import JsonRpc, control_socket, select_rows
from collector.settings import OvsSettings
from collector.vswitch import COLUMNS, Interface, Port, Switch, parse_switch

_I = ("bridge", "port", "interface", "type")
_P = ("bridge", "port")

ADMIN_STATE = gauge("ovs_interface_admin_state", "1 if configured up, 0 if down, -1 if unknown.", *_I)
LINK_STATE = gauge("ovs_interface_link_state", "1 if the link is up, 0 if down, -1 if unknown.", *_I)
MTU = gauge("ovs_interface_mtu_bytes", "Largest transmission unit.", *_I, unit=Unit.BYTES)
LINK_SPEED = gauge("ovs_interface_link_speed_bps", "Speed of the link in bit/s.", *_I)
LINK_RESETS = counter("ovs_interface_link_resets", "Times that the link's state changed.", *_I)
RX_BYTES = counter("ovs_interface_rx_bytes", "Bytes that came in.", *_I, unit=Unit.BYTES)
RX_PACKETS = counter("ovs_interface_rx_packets", "Packets that came in.", *_I)
RX_DROPPED = counter("ovs_interface_rx_dropped", "Packets that came in and were dropped.", *_I)
RX_ERRORS = counter("ovs_interface_rx_errors", "Invalid packets that came in.", *_I)
RX_MISSED = counter("ovs_interface_rx_missed_errors", "Packets that the receiver had no room for.", *_I)
TX_BYTES = counter("ovs_interface_tx_bytes", "Bytes sent.", *_I, unit=Unit.BYTES)
TX_PACKETS = counter("ovs_interface_tx_packets", "Packets sent.", *_I)
TX_DROPPED = counter("ovs_interface_tx_dropped", "Packets dropped instead of sent.", *_I)
TX_ERRORS = counter("ovs_interface_tx_errors", "Packets that could not be sent.", *_I)
TX_RETRIES = counter("ovs_interface_tx_retries", "Sendings tried again because a queue was full (DPDK).", *_I)
POLICING_RATE = gauge(
    "ovs_interface_ingress_policing_rate", "Limit of what comes in, in kbit/s; absent where there is none.", *_I
)
POLICING_BURST = gauge("ovs_interface_ingress_policing_burst", "Burst that the limit allows, in kbit.", *_I)
FAULTY = gauge(
    "vdbmon_ovs_interface_faulty", "1 if Open vSwitch could not set it up, for example because its device is gone.", *_I
)
CONTAINER_INFO = info(
    "vdbmon_ovs_interface_container_info",
    "The running container that an interface's external_ids:container_id names.",
    "interface",
    "name",
    "image",
)
WITHOUT_CONTAINER = gauge(
    "vdbmon_ovs_interfaces_without_container",
    "Interfaces whose external_ids:container_id names no running container: left behind when it died.",
)
VLAN_TAG = gauge("vdbmon_ovs_port_vlan_tag", "VLAN of an access port.", *_P)
QOS_INFO = info("vdbmon_ovs_port_qos_info", "Which QoS shapes what a port sends.", *_P, "qos")
QOS_MAX_RATE = gauge("vdbmon_ovs_port_qos_max_rate_bps", "Limit of what a port sends, in bit/s.", *_P)
QUEUE_MIN_RATE = gauge("vdbmon_ovs_queue_min_rate_bps", "Guarantee of a port's queue, in bit/s.", *_P, "queue")
QUEUE_MAX_RATE = gauge("vdbmon_ovs_queue_max_rate_bps", "Limit of a port's queue, in bit/s.", *_P, "queue")
BRIDGE_PORTS = gauge("ovs_bridge_port_count", "Ports of a bridge.", "bridge", "datapath_type")
VSWITCHD_UP = gauge("vdbmon_ovs_vswitchd_up", "1 if ovs-vswitchd answers on its control socket.")
CONFIG_PENDING = gauge("vdbmon_ovs_config_pending", "Configuration changes that ovs-vswitchd has not made yet.")
LEFT_OUT = gauge(
    "vdbmon_ovs_left_out", "Interfaces and queues without series, because there are more than max_interfaces.", "kind"
)

READ_EVERY = 5.0  # seconds; Open vSwitch's own `stats-update-interval` can't be shorter
# Seconds that a scrape waits for a reading, which takes 2 ms. A slower one is in the next scrape.
READ_WAIT = 0.2
_LEAST_ID = 12  # characters of a container's id that Docker itself shows, and takes for the whole

_STATES = {"up": 1.0, "down": 0.0}
# Where a key is missing the second one means the same; DPDK's drivers have the latter.
_STATISTICS: tuple[tuple[Metric, tuple[str, ...]], ...] = (
    (RX_BYTES, ("rx_bytes",)),
    (RX_PACKETS, ("rx_packets",)),
    (RX_DROPPED, ("rx_dropped",)),
    (RX_ERRORS, ("rx_errors",)),
    (RX_MISSED, ("rx_missed_errors",)),
    (TX_BYTES, ("tx_bytes",)),
    (TX_PACKETS, ("tx_packets",)),
    (TX_DROPPED, ("tx_dropped",)),
    (TX_ERRORS, ("tx_errors", "ovs_tx_failure_drops")),
    (TX_RETRIES, ("ovs_tx_retries",)),
)


class Place(NamedTuple):
    """An interface where it is plugged in."""

    bridge: str
    port: Port
    interface: Interface


@dataclass(frozen=True, slots=True)
class Reading:
    """The database at one moment, and whether ovs-vswitchd answered then."""

    switch: Switch
    alive: bool


class OvsInput:
    """Reads the database in a thread of its own; a database that hangs costs a scrape no more than `READ_WAIT`."""

    name = "ovs"

    def __init__(
        self,
        settings: OvsSettings,
        index: ContainerIndex,
        skipped: SkippedLines,
        clock: Clock,
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._settings = settings
        self._index = index
        database = JsonRpc(lambda: settings.db_socket, settings.timeout)
        vswitchd = JsonRpc(lambda: control_socket(settings.run_dir), settings.timeout)
        self._connections = (database, vswitchd)
        self._reading = Background(
            "ovs", READ_EVERY, lambda: read_switch(database, vswitchd, skipped), clock, monotonic=monotonic
        )

    def gather(self) -> list[Sample]:
        """All samples; none where Open vSwitch isn't installed: its run folder was never made.

        Raises:
            VdbmonError: the database doesn't answer.
        """
        if not self._settings.run_dir.is_dir():
            return []
        self._reading.start_if_due()
        self._reading.wait(READ_WAIT)
        if self._reading.error is not None:
            raise self._reading.error
        if self._reading.result is None:
            raise VdbmonError("ovs.slow", f"{self._settings.db_socket} hasn't answered yet", "")
        return list(samples(self._reading.result, self._index.containers, self._settings.max_interfaces))

    def close(self) -> None:
        """Give the connections back; a reading under way fails."""
        for connection in self._connections:
            connection.close()


def read_switch(database: JsonRpc, vswitchd: JsonRpc, skipped: SkippedLines) -> Reading:
    """The database now, and whether ovs-vswitchd answers.

    Raises:
        VdbmonError: the database doesn't answer.
    """
    switch = parse_switch(select_rows(database, COLUMNS), skipped)
    try:
        vswitchd.call("version")
    except VdbmonError:
        return Reading(switch, alive=False)
    return Reading(switch, alive=True)


def samples(reading: Reading, containers: Sequence[Container], limit: int) -> Iterator[Sample]:
    """The samples of one reading, for `limit` interfaces and `limit` queues at the most."""
    switch = reading.switch
    yield VSWITCHD_UP.sample(float(reading.alive))
    if switch.pending is not None:
        yield CONFIG_PENDING.sample(switch.pending)
    for bridge in islice(switch.bridges, limit):
        yield BRIDGE_PORTS.sample(len(bridge.ports), bridge.name, bridge.datapath_type)
    places = _places(switch)
    yield LEFT_OUT.sample(max(len(places) - limit, 0), "interface")
    shown = places[:limit]
    for place in shown:
        yield from _interface(place, alive=reading.alive)
    yield from _links(shown, containers)
    yield from _ports(switch, shown, limit)


def _places(switch: Switch) -> list[Place]:
    """Interfaces that are in a port of a bridge, in an order that doesn't change from one reading to the next."""
    places = {
        (bridge.name, port.name, interface.name): Place(bridge.name, port, interface)
        for bridge in switch.bridges
        for port in (switch.ports[uuid] for uuid in bridge.ports if uuid in switch.ports)
        for interface in (switch.interfaces[uuid] for uuid in port.interfaces if uuid in switch.interfaces)
    }
    return [places[key] for key in sorted(places)]


def _interface(place: Place, *, alive: bool) -> Iterator[Sample]:
    interface = place.interface
    labels = (place.bridge, place.port.name, interface.name, interface.type)
    if interface.policing_rate:
        yield Sample(POLICING_RATE, labels, interface.policing_rate)
        yield Sample(POLICING_BURST, labels, interface.policing_burst)
    if not alive:
        return
    yield Sample(FAULTY, labels, float(interface.faulty))
    yield Sample(ADMIN_STATE, labels, _STATES.get(interface.admin_state or "", -1.0))
    yield Sample(LINK_STATE, labels, _STATES.get(interface.link_state or "", -1.0))
    for metric, value in (
        (MTU, interface.mtu),
        (LINK_SPEED, interface.link_speed),
        (LINK_RESETS, interface.link_resets),
    ):
        if value is not None:
            yield Sample(metric, labels, value)
    for metric, keys in _STATISTICS:
        for key in keys:
            if key in interface.statistics:
                yield Sample(metric, labels, interface.statistics[key])
                break


def _links(places: Iterable[Place], containers: Sequence[Container]) -> Iterator[Sample]:
    lost = 0
    by_word = {word: container for container in containers for word in (container.id, container.name)}
    by_short_id = {container.id[:_LEAST_ID]: container for container in containers}
    for interface in (place.interface for place in places if place.interface.container):
        word = interface.container
        container = by_word.get(word)
        if container is None and len(word) >= _LEAST_ID:
            near = by_short_id.get(word[:_LEAST_ID])
            container = near if near is not None and near.id.startswith(word) else None
        if container is None:
            lost += 1
        else:
            yield CONTAINER_INFO.sample(1, interface.name, container.name, container.image)
    yield WITHOUT_CONTAINER.sample(lost)


def _ports(switch: Switch, places: Iterable[Place], limit: int) -> Iterator[Sample]:
    """VLAN tag, QoS and queues of each port that an interface is shown of."""
    ports = {place.port.uuid: (place.bridge, place.port) for place in places}
    queues: list[tuple[tuple[str, str, str], str]] = []
    for bridge, port in ports.values():
        labels = (bridge, port.name)
        if port.tag is not None:
            yield Sample(VLAN_TAG, labels, port.tag)
        qos = switch.qos.get(port.qos or "")
        if qos is None:
            continue
        yield QOS_INFO.sample(1, *labels, qos.type)
        if qos.max_rate is not None:
            yield Sample(QOS_MAX_RATE, labels, qos.max_rate)
        queues.extend(((*labels, str(number)), uuid) for number, uuid in sorted(qos.queues.items()))
    yield LEFT_OUT.sample(max(len(queues) - limit, 0), "queue")
    for queue_labels, uuid in queues[:limit]:
        queue = switch.queues.get(uuid)
        if queue is not None and queue.min_rate is not None:
            yield Sample(QUEUE_MIN_RATE, queue_labels, queue.min_rate)
        if queue is not None and queue.max_rate is not None:
            yield Sample(QUEUE_MAX_RATE, queue_labels, queue.max_rate)
