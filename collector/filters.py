"""Which points go out, and what of them: telegraf's words, order and meaning.

Source: telegraf, docs/CONFIGURATION.md (Metric Filtering) and models/filter.go. First whole points are chosen:
namepass, namedrop, tagpass, tagdrop. Then those that passed are trimmed: fieldinclude, fieldexclude, taginclude,
tagexclude. A point without fields is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator

from collector.globs import Glob, Matcher
from collector.projections.point import Point, Tags

Globs = tuple[Glob, ...]


def check_any(patterns: Globs) -> Globs:
    """The patterns themselves.

    Raises:
        ValueError: there are none.
    """
    if not patterns:
        raise ValueError("no pattern: nothing would match; leave the tag out")
    return patterns


TagGlobs = Mapping[str, Annotated[Globs, AfterValidator(check_any)]]

PointFilter = Callable[[Iterable[Point]], list[Point]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorSettings:
    """Patterns with `*`, `?`, `[a-z]`, `{one,other}`; an empty list is a filter that isn't used.

    Attributes:
        namepass: measurements that pass; all others don't.
        namedrop: measurements that don't, of those that passed.
        tagpass: patterns by tag; what has one of these tags with such a value passes, and nothing else.
        tagdrop: likewise; what has one of these tags with such a value doesn't pass.
        fieldinclude: fields that stay; all others go.
        fieldexclude: fields that go, of those that stayed.
    """

    namepass: Globs = ()
    namedrop: Globs = ()
    tagpass: TagGlobs = field(default_factory=dict)
    tagdrop: TagGlobs = field(default_factory=dict)
    fieldinclude: Globs = ()
    fieldexclude: Globs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings(SelectorSettings):
    """What an output leaves out.

    Attributes:
        taginclude: tags that stay, `host` among them if it is to stay; all others go. Points that differ in nothing
            but a tag that goes become one.
        tagexclude: tags that go, of those that stayed.
    """

    taginclude: Globs = ()
    tagexclude: Globs = ()


def compile_filter(settings: FilterSettings) -> PointFilter | None:
    """The filter of one output; None where the settings filter nothing. It is to be called by one thread at a time."""
    names = pass_and_drop(settings.namepass, settings.namedrop)
    selects = tag_condition(settings.tagpass, settings.tagdrop)
    fields = pass_and_drop(settings.fieldinclude, settings.fieldexclude)
    tags = pass_and_drop(settings.taginclude, settings.tagexclude)
    if not any((names, selects, fields, tags)):
        return None
    return _PointFilter(names, selects, fields, tags)


Test = Callable[[str], bool]


def pass_and_drop(passing: Iterable[str], dropping: Iterable[str]) -> Test | None:
    """Whether a text passes the one list and isn't dropped by the other; an empty list isn't asked. None: no list."""
    passes = Matcher(passing).__getitem__ if passing else None
    drops = Matcher(dropping).__getitem__ if dropping else None
    if passes is None:
        return None if drops is None else lambda text: not drops(text)
    return passes if drops is None else lambda text: passes(text) and not drops(text)


def tag_condition(
    passing: Mapping[str, Iterable[str]], dropping: Mapping[str, Iterable[str]]
) -> Callable[[Tags], bool] | None:
    """Whether tags pass: one of `passing` has to match (if there are any), and none of `dropping` may."""
    passes = {tag: Matcher(patterns) for tag, patterns in passing.items()}
    drops = {tag: Matcher(patterns) for tag, patterns in dropping.items()}
    if not passes and not drops:
        return None

    def selects(tags: Tags) -> bool:
        if passes and not any(tag in passes and passes[tag][value] for tag, value in tags):
            return False
        return not any(tag in drops and drops[tag][value] for tag, value in tags)

    return selects


Passes = Callable[[Iterable[str], Tags, Iterable[str]], bool]


def compile_selector(settings: SelectorSettings) -> Passes | None:
    """Whether one value passes that has several names and fields; None where the settings filter nothing.

    It passes by any of its names, and goes by any of them; likewise for fields.
    """
    lists = [Matcher(patterns) if patterns else None for patterns in (settings.namepass, settings.namedrop)]
    lists += [Matcher(patterns) if patterns else None for patterns in (settings.fieldinclude, settings.fieldexclude)]
    selects = tag_condition(settings.tagpass, settings.tagdrop)
    if selects is None and not any(found is not None for found in lists):
        return None
    namepass, namedrop, fieldinclude, fieldexclude = lists

    def passes(names: Iterable[str], tags: Tags, fields: Iterable[str]) -> bool:
        return (
            (namepass is None or any(namepass[name] for name in names))
            and not (namedrop is not None and any(namedrop[name] for name in names))
            and (selects is None or selects(tags))
            and (fieldinclude is None or any(fieldinclude[name] for name in fields))
            and not (fieldexclude is not None and any(fieldexclude[name] for name in fields))
        )

    return passes


class _PointFilter:
    """Filters the points of one collection after the other; remembers what became of the tags of the last one."""

    def __init__(
        self,
        names: Test | None,
        selects: Callable[[Tags], bool] | None,
        fields: Test | None,
        tags: Test | None,
    ) -> None:
        self._names = names
        self._selects = selects
        self._fields = fields
        self._tags = tags
        self._known: dict[Tags, Tags | None] = {}

    def __call__(self, points: Iterable[Point]) -> list[Point]:
        names, fields = self._names, self._fields
        if names is not None:
            points = [point for point in points if names(point.measurement)]
        if self._selects is not None or self._tags is not None:
            points = self._with_tags(points)
        if fields is None:
            return list(points)
        trimmed = []
        for point in points:
            kept = {name: value for name, value in point.fields.items() if fields(name)}
            if len(kept) == len(point.fields):
                trimmed.append(point)
            elif kept:
                trimmed.append(Point(point.measurement, point.tags, kept, point.timestamp_ns))
        return trimmed

    def _with_tags(self, points: Iterable[Point]) -> list[Point]:
        """The points whose tags pass, with the tags that they keep."""
        used: dict[Tags, Tags | None] = {}
        found = []
        for point in points:
            tags = point.tags
            kept = used[tags] if tags in used else self._known[tags] if tags in self._known else self._kept(tags)
            used[tags] = kept
            if kept == tags:
                found.append(point)
            elif kept is not None:
                found.append(Point(point.measurement, kept, point.fields, point.timestamp_ns))
        self._known = used
        return found

    def _kept(self, tags: Tags) -> Tags | None:
        """The tags that stay, the same object where all do; None where the point does not pass."""
        if self._selects is not None and not self._selects(tags):
            return None
        stays = self._tags
        if stays is None:
            return tags
        kept = tuple(pair for pair in tags if stays(pair[0]))
        return tags if len(kept) == len(tags) else kept
