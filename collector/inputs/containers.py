"""What is known of each container besides its load: identity and counts, from the index."""

from __future__ import annotations

from collector.metrics import gauge, info

INFO = info(
    "vdbmon_container_info",
    "Identity of a running container; what changes at a restart stands here and in no other series.",
    "name",
    "image",
    "id",
    "pid",
    "request_id",
    "source",
    "job",
)
RUNNING = gauge("vdbmon_containers_running", "Running containers that the kernel shows on this host.")
UNNAMED = gauge(
    "vdbmon_containers_unnamed",
    "Running containers whose name is not known yet (born while the daemon hung).",
)
