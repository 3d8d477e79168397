"""What the network dashboards of both data sources show alike; only the questions are in two languages."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_SEC, PACKETS_SEC

from dashboards.panels import Graph

LINK_DROPS = Graph(
    "link-drops",
    "Dropped on links",
    "For long: a queue overflows or a rate limit drops. Compare with the policed ports below.",
    unit=PACKETS_SEC,
)
LINK_ERRORS = Graph(
    "link-errors",
    "Errors on links",
    "Anything above zero is a cable, a port or a driver: move the host's jobs and have it looked at.",
    unit=PACKETS_SEC,
)
PORT_BYTES = Graph(
    "port-bytes",
    "Throughput of ports",
    "Received is what the container sends. A flat top below its policing rate: the far end sets the pace.",
    unit=BYTES_SEC,
)
PORT_DROPS = Graph(
    "port-drops",
    "Dropped on ports",
    "Under a policing limit some drops are its way to slow the sender. Without one: the switch is overrun.",
    unit=PACKETS_SEC,
)
CONTAINER_DROPS = Graph(
    "container-drops",
    "Containers with drops",
    "Packets dropped on their way in or out. Steady under a limit is meant; without one look at the port.",
    unit=PACKETS_SEC,
)
