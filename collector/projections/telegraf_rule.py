"""How one metric of ours becomes fields of telegraf's points: the shape of the tables beside this module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from collector.catalogue import cgroup, volume
from collector.metrics import Metric, Sample
from collector.projections.point import Tags

NANO = 10**9
MICRO = 10**6
MILLI = 10**3


class Form(Enum):
    """What telegraf sends; a field never changes its type.

    The sums are of all samples that go to the same field: telegraf's `total` and `cpu-total`.
    """

    WHOLE = auto()
    REAL = auto()
    WHOLE_SUM = auto()
    REAL_SUM = auto()
    FLAG = auto()
    TEXT = auto()  # of the template, whatever the value
    NUMBER_IN_TEXT = auto()  # likewise, as an integer; nothing where there is none


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one metric goes.

    Attributes:
        field: template, filled with what `label_context` gives.
        tags: names and templates; a tag without a value is left out.
        scale: telegraf's units in one of ours, for example nanoseconds in a second.
        text: template of a field whose value is text.
        when: word of the context and its only value for which the rule counts.
        unless_empty: word of the context without which the rule does not count.
    """

    measurement: str
    field: str
    tags: Tags = ()
    scale: float = 1
    form: Form = Form.WHOLE
    text: str = ""
    when: tuple[str, str] | None = None
    unless_empty: str = ""

    def counts(self, context: Mapping[str, str]) -> bool:
        """Whether the rule is for samples of this context."""
        if self.unless_empty and not context[self.unless_empty]:
            return False
        return self.when is None or context[self.when[0]] == self.when[1]


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands in other samples of a collection.

    Attributes:
        devices: `MAJOR:MINOR` by name of the block device; telegraf names the devices of containers so.
        volumes: names of Docker volumes by container name, image and destination.
    """

    devices: Mapping[str, str]
    volumes: Mapping[tuple[str, ...], str]


NO_FACTS = Facts({}, {})


def gather_facts(samples: Iterable[Sample]) -> Facts:
    """The facts of a collection."""
    devices: dict[str, str] = {}
    volumes: dict[tuple[str, ...], str] = {}
    for metric, labels, _ in samples:
        if metric is cgroup.BLKIO_USAGE:
            _, _, device, major, minor, _ = labels
            devices[device] = f"{major}:{minor}"
        elif metric is volume.INFO:
            volumes[labels[:3]] = labels[3]
    return Facts(devices, volumes)


def label_context(metric: Metric, labels: tuple[str, ...], host: str = "", facts: Facts = NO_FACTS) -> dict[str, str]:
    """The words that the templates of rules may use: the sample's labels and what telegraf makes of them."""
    given = dict(zip(metric.labels, labels, strict=True))
    image_name, image_version = split_image(given.get("image", ""))
    cpu = given.get("cpu", "total")
    device = given.get("device", "")
    made = {
        "host": host,
        "image_name": image_name,
        "image_version": image_version,
        "cpu_tag": "cpu-total" if cpu == "total" else f"cpu{cpu}",
        "device_name": device.removeprefix("/dev/"),
        "device_numbers": facts.devices.get(device, device),
        "volume_name": facts.volumes.get(labels, ""),
        "operation_word": given.get("operation", "").lower(),
    }
    return made | given


def split_image(image: str) -> tuple[str, str]:
    """Name and version of an image: `registry:5000/mariadb:10.11` is `registry:5000/mariadb`, `10.11`.

    As telegraf does, an image without a tag has the version `unknown`; unlike there, a digest is the version only
    where there is no tag.
    """
    if not image:
        return "", ""
    name, _, digest = image.partition("@")
    slash, colon = name.rfind("/"), name.rfind(":")
    if colon > slash:
        return name[:colon], name[colon + 1 :]
    return name, digest or "unknown"
