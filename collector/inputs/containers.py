"""What is known of each container besides its load: identity and counts, from the index."""

from __future__ import annotations

from collections.abc import Sequence

from collector import labels
from collector.containers import Container, ContainerIndex
from collector.metrics import Sample, gauge, info

INFO = info(
    "vdbmon_container_info",
    "Identity of a running container; what changes at a restart stands here and in no other series.",
    "name",
    "image",
    "id",
    "pid",
    "request_id",
    "source",
    "backup_job",
)
RUNNING = gauge("vdbmon_containers_running", "Running containers that the kernel shows on this host.")
UNNAMED = gauge(
    "vdbmon_containers_unnamed",
    "Running containers whose name is not known yet (born while the daemon hung).",
)


class ContainersInput:
    """Refreshes the index that the other container inputs read, and says what is in it."""

    name = "containers"

    def __init__(self, index: ContainerIndex) -> None:
        self._index = index
        self._last: tuple[tuple[Container, ...], list[Sample]] = ((), _samples(()))

    def gather(self) -> list[Sample]:
        """Identity of every running container, and how many there are."""
        containers = self._index.refresh()
        if containers is not self._last[0]:
            self._last = containers, _samples(containers)
        return self._last[1]


def _samples(containers: Sequence[Container]) -> list[Sample]:
    samples = [
        INFO.sample(
            1,
            container.name,
            container.image,
            container.id,
            str(container.pid or ""),
            *(container.label(key) for key in (labels.REQUEST_ID, labels.SOURCE, labels.JOB)),
        )
        for container in containers
    ]
    samples.append(RUNNING.sample(len(containers)))
    samples.append(UNNAMED.sample(sum(container.metadata is None for container in containers)))
    return samples
