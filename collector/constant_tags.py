"""Tags that the configuration puts on series: `[global_tags]`, and `tags` of an input.

As in telegraf, what a sample says itself goes before its input's tags, and those go before the global ones. They are
the same words in both name worlds, as labels and as tags, so their names are those that Prometheus allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from collector.metrics import Metric
from collector.projections.point import Tags

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

TagsOf = Callable[[Metric], Tags]


def check_tag_name(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: Prometheus would not take it as a label, or sets it itself, or it is `host`.
    """
    if name in {"job", "instance"}:
        raise ValueError("Prometheus sets this label when it scrapes; choose another name")
    if name == "host":
        raise ValueError("host is what [host] name says; choose another name")
    if not _NAME.fullmatch(name) or name.startswith("__"):
        raise ValueError("a tag is a label too: letters, digits and _, no digit first, no __ first")
    return name


TagValues = Mapping[Annotated[str, AfterValidator(check_tag_name)], Annotated[str, Field(min_length=1)]]


def no_tags(_metric: Metric) -> Tags:
    """Nothing is added."""
    return ()


def with_constant(own: Iterable[tuple[str, str]], constant: Tags) -> list[tuple[str, str]]:
    """A sample's own tags that have a value, and those of the constant ones that it does not have itself."""
    present = [pair for pair in own if pair[1]]
    if not constant:
        return present
    taken = {name for name, _ in present}
    return [*present, *(pair for pair in constant if pair[0] not in taken)]


def constant_tags(common: Mapping[str, str], by_metric: Mapping[Metric, Mapping[str, str]]) -> TagsOf:
    """What is added to the samples of a metric: its input's tags, and the common ones."""
    everywhere = tuple(common.items())
    special = {metric: tuple({**common, **tags}.items()) for metric, tags in by_metric.items() if tags}
    return lambda metric: special.get(metric, everywhere)
