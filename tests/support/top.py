"""What agents say, made by hand: readings for the parts of `vdbmon top`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.inputs import cgroup, host
from collector.metrics import Metric, Sample
from collector.projections.prometheus import Exposition as Renderer
from vdbmon.top.exposition import parse_exposition
from vdbmon.top.measure import SELECTION, Reading

IMAGE = "image:1"
Given = Mapping[Metric, Mapping[tuple[str, ...], float]]


def exposition_text(samples: Iterable[Sample], name: str = "db1") -> str:
    """What the agent of this host answers."""
    return Renderer(name).render(samples).decode()


def reading(values: Given, *, clock: float, name: str = "db1", received: float = 0.0) -> Reading:
    """A reading of these values, the host's clock at `clock`; it goes through the text, as real ones do."""
    samples = [Sample(metric, labels, value) for metric, series in values.items() for labels, value in series.items()]
    text = exposition_text([*samples, host.TIME.sample(clock)], name)
    return Reading(parse_exposition(text, SELECTION), received)


def container(name: str = "backup", cpu: float = 0.0) -> dict[Metric, dict[tuple[str, ...], float]]:
    """The least that is said of a running container."""
    return {cgroup.LAST_SEEN: {(name, IMAGE): 1.0}, cgroup.CPU_USAGE: {(name, IMAGE, "total"): cpu}}
