"""Network counters of each container, from its own network namespace.

Source: /proc/PID/net/dev (proc_pid_net(5)). Names are cAdvisor's. Containers on the host's namespace are left out:
their traffic is the host's; of containers that share a namespace the one that owns it is counted.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge

_L = ("name", "image", "interface")

RECEIVE_BYTES = counter("container_network_receive_bytes_total", "Bytes received.", *_L, unit=Unit.BYTES)
RECEIVE_PACKETS = counter("container_network_receive_packets_total", "Packets received.", *_L)
RECEIVE_ERRORS = counter("container_network_receive_errors_total", "Receive errors.", *_L)
RECEIVE_DROPPED = counter("container_network_receive_packets_dropped_total", "Received packets dropped.", *_L)
TRANSMIT_BYTES = counter("container_network_transmit_bytes_total", "Bytes sent.", *_L, unit=Unit.BYTES)
TRANSMIT_PACKETS = counter("container_network_transmit_packets_total", "Packets sent.", *_L)
TRANSMIT_ERRORS = counter("container_network_transmit_errors_total", "Transmit errors.", *_L)
TRANSMIT_DROPPED = counter("container_network_transmit_packets_dropped_total", "Sent packets dropped.", *_L)

NETNS_SHARED = gauge(
    "vdbmon_container_network_namespace_shared",
    "1 where the container has no network namespace of its own; mode is host or container.",
    "name",
    "image",
    "mode",
)
