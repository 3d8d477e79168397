"""An input of the agent as the fault tests see it: its recorded files, and how to build it on a copy of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from collector.errors import VdbmonError
from collector.foreign import ForeignMetric
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, PartialGathering, Sample
from tests.support.mutate import Mutation, lossy

FIXTURES = Path(__file__).parents[1] / "fixtures"
NOW = 1_795_410_700.0

Gather = Callable[[], Sequence[Sample]]
Series = tuple[Metric | str, tuple[str, ...]]
Values = dict[Series, float]


@dataclass(frozen=True, slots=True)
class Opened:
    """An input on a copy of its tree."""

    gather: Gather
    close: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Source:
    """One input on one recorded tree.

    Attributes:
        tree: copies what the input reads into an empty folder.
        build: the input on that copy.
        files: patterns below the tree of the files it reads.
        sums: metrics whose value is a sum or a count over lines or processes. Where one of them is missing from a
            list that has no end mark (cgroup.procs), such a value is lower. It is never higher.
        minima: likewise, but the value is a minimum, and higher.
        about: metrics about the reading itself; what they say of a torn file is another test's business.
        uncounted: patterns of files in which a torn line isn't counted, because what is wrong shows elsewhere.
        stand_ins: label values that stand for a name which can't be read: a container's short id, a device's numbers,
            another pid.
        whole: what its files hold comes whole or not at all, so that a last line needs no newline.
        losses: how a version loses something; a file that has no lines can only be cut.
        weight: its share of the versions, less for an input that takes long.
    """

    name: str
    tree: Callable[[Path], object]
    build: Callable[[Path, SkippedLines], Opened]
    files: tuple[str, ...]
    sums: frozenset[Metric] = frozenset()
    minima: frozenset[Metric] = frozenset()
    about: frozenset[Metric] = frozenset()
    uncounted: tuple[str, ...] = ()
    stand_ins: frozenset[str] = frozenset()
    whole: bool = False
    losses: Callable[[bytes, Random], Mutation] = lossy
    weight: int = 4

    def paths(self, root: Path) -> list[Path]:
        """The files of a copy, sorted."""
        return sorted({path for pattern in self.files for path in root.glob(pattern) if path.is_file()})

    def as_it_may_come(self, data: bytes) -> bytes:
        """A spoiled version; without its torn last line where there is none that could be torn."""
        return data[: data.rfind(b"\n") + 1] if self.whole else data

    def counts_torn_lines_of(self, path: Path) -> bool:
        """Whether a torn line of this file must raise the count of skipped lines."""
        return not any(path.match(pattern) for pattern in self.uncounted)


def samples_of(gather: Gather) -> Sequence[Sample]:
    """What a gathering brings; the part that it could read where it says that a part could not be read.

    None of an input that says, by the error that all of ours derive from, that it could read nothing.
    """
    try:
        return gather()
    except PartialGathering as partial:
        return partial.samples
    except VdbmonError:
        return ()


def recorded(*parts: str) -> Callable[[Path], object]:
    """Copies a folder of tests/fixtures."""

    def copy(root: Path) -> None:
        shutil.copytree(FIXTURES.joinpath(*parts), root, symlinks=True, dirs_exist_ok=True)

    return copy


def values_of(samples: Iterable[Sample]) -> Values:
    """Values by series; a metric that nobody declared is known by its name, for it is made anew each time."""
    return {_series(sample): sample.value for sample in samples}


def _series(sample: Sample) -> Series:
    metric, labels, _ = sample
    if isinstance(metric, ForeignMetric):
        pairs = zip(metric.labels, labels, strict=True)
        return metric.name, tuple(f"{name}={value}" for name, value in pairs if value)
    return metric, labels
