"""Docker labels as labels of a container's series, as cAdvisor has them: `container_label_<name>`.

cAdvisor puts every label on every series; here only those that were asked for, because each one costs in all series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from collector.containers import Container
from collector.projections.point import Tags

_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")


def label_name(docker_label: str) -> str:
    """`org.label-schema.group` is `container_label_org_label_schema_group`."""
    return "container_label_" + _NO_LABEL_CHARACTER.sub("_", docker_label)


def container_labels(containers: Iterable[Container], include: Sequence[str]) -> Mapping[tuple[str, str], Tags]:
    """Names and values of the wanted labels by name and image; containers without any are left out.

    Of labels that differ only in characters a label can't have, the first one of `include` counts.
    """
    if not include:
        return {}
    names = {label_name(key): key for key in reversed(include)}
    found = {
        (container.name, container.image): tuple(
            (name, container.label(key)) for name, key in names.items() if container.label(key)
        )
        for container in containers
    }
    return {key: pairs for key, pairs in found.items() if pairs}
