"""10^5 torn and hostile versions of recorded kernel files, over all inputs, from one seed.

What an input still finds in a file that lost something must be what the whole file says. A failed test names the seed,
the number of the version and what was done to the file.
"""

import contextlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from collector.kernelfile import SkippedLines
from collector.metrics import Kind, Sample
from collector.projections.line_protocol import encode
from collector.projections.prometheus import Exposition
from collector.projections.telegraf import TelegrafProjection
from tests.support.mutate import Mutation, hostile
from tests.support.source import Source, Values, samples_of, values_of
from tests.support.sources import SOURCES

SEED = 20_261_123
VERSIONS = 100_000
SOMETIMES = 0.1  # share of the versions after which the whole file, or the outputs, are tried as well


class Torn:
    """One input on a copy of its recorded tree, of which one file at a time is spoiled."""

    def __init__(self, source: Source, root: Path) -> None:
        self.source = source
        self.root = root
        source.tree(root)
        self.contents = {path: path.read_bytes() for path in source.paths(root)}
        self.skipped = SkippedLines()
        self.kept = source.build(root, self.skipped)
        self.intact = values_of(samples_of(self.kept.gather))
        assert self.intact, "the whole tree gives samples"
        assert self.skipped.count == 0, "the whole tree has no line that isn't understood"

    def gather_anew(self) -> tuple[Values, int]:
        """Values and skipped lines of an input that has seen no other version."""
        skipped = SkippedLines()
        with contextlib.closing(self.source.build(self.root, skipped)) as opened:
            samples = samples_of(opened.gather)
        check_sane(samples)
        return values_of(samples), skipped.count

    def gather_again(self) -> tuple[Values, int]:
        """Values and newly skipped lines of the input that saw the whole files before."""
        before = self.skipped.count
        samples = samples_of(self.kept.gather)
        check_sane(samples)
        return values_of(samples), self.skipped.count - before

    def close(self) -> None:
        """Give back what the input holds."""
        self.kept.close()

    def check_true(self, found: Values) -> None:
        """What was found stands in the whole files, with the same value."""
        for key, value in found.items():
            metric, labels = key
            if metric in self.source.about:
                continue
            if metric in self.source.sums:
                assert value <= self.intact[key], metric
            elif metric in self.source.minima:
                assert value >= self.intact[key], metric
            elif self.source.stand_ins.isdisjoint(labels):
                assert key in self.intact, f"{metric}{labels} is nowhere in the whole files"
                assert value == self.intact[key], f"{metric}{labels}"

    def check_whole(self, found: Values) -> None:
        """All is as it was before."""
        about = self.source.about
        for key, value in self.intact.items():
            assert key[0] in about or found.get(key) == value, f"whole again: {key} is {found.get(key)}"
        assert found.keys() == self.intact.keys()


def check_sane(samples: Sequence[Sample]) -> None:
    for metric, labels, value in samples:
        assert math.isfinite(value), metric.name
        assert value >= 0 or metric.kind is not Kind.COUNTER, f"{metric.name} {value}"
        assert len(labels) == len(metric.labels)
    assert len({sample[:2] for sample in samples}) == len(samples), "no series twice"


def check_outputs(samples: Sequence[Sample]) -> None:
    """Whatever came out can be sent."""
    Exposition("host").render(samples).decode()
    for line in encode(TelegrafProjection("host").project(samples, 1)):
        assert b"\n" not in line


def lossy_version(torn: Torn, path: Path, random: Random) -> str:
    mutation = torn.source.losses(torn.contents[path], random)
    path.write_bytes(torn.source.as_it_may_come(mutation.data))
    gather = random.choice((torn.gather_again, torn.gather_anew))
    found, skipped = gather()
    torn.check_true(found)
    if mutation.mid_line and torn.source.counts_torn_lines_of(path):
        assert skipped, "a torn line is counted"
    path.write_bytes(torn.contents[path])
    if gather == torn.gather_again:
        torn.check_whole(torn.gather_again()[0])
    return mutation.kind


def hostile_version(torn: Torn, path: Path, random: Random) -> str:
    mutation = hostile(torn.contents[path], random)
    path.write_bytes(mutation.data)
    with contextlib.closing(torn.source.build(torn.root, SkippedLines())) as opened:
        samples = samples_of(opened.gather)
        check_sane(samples)
        if random.random() < SOMETIMES:
            check_outputs(samples)
            path.write_bytes(torn.contents[path])
            check_sane(samples_of(opened.gather))
    path.write_bytes(torn.contents[path])
    return mutation.kind


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder on tmpfs: a disk file system writes a file that was emptied and filled again out at once."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_torn_and_hostile_files_give_nothing_false(source: Source, in_memory: Path) -> None:
    with contextlib.closing(Torn(source, in_memory)) as torn:
        try_versions(torn, VERSIONS * source.weight // sum(other.weight for other in SOURCES) + 1)


def try_versions(torn: Torn, count: int) -> None:
    source = torn.source
    random = Random(f"{SEED} {source.name}")  # noqa: S311 - a seed, no secret
    paths = list(torn.contents)
    for number in range(count):
        path = random.choice(paths)
        version: Callable[[Torn, Path, Random], str] = random.choice((lossy_version, hostile_version))
        state = random.getstate()
        try:
            version(torn, path, random)
        except Exception as error:
            random.setstate(state)
            make: Callable[[bytes, Random], Mutation] = source.losses if version is lossy_version else hostile
            mutation = make(torn.contents[path], random)
            raise AssertionError(
                f"version {number} of seed {SEED}: {mutation.kind} in {path.relative_to(torn.root)}: "
                f"{mutation.data[:300]!r}: {type(error).__name__}: {error}"
            ) from error


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: (path.unlink(), path.mkdir())], ids=["gone", "a folder"])
def test_a_file_that_is_gone_or_a_folder_costs_only_itself(
    source: Source, spoil: Callable[[Path], object], tmp_path: Path
) -> None:
    with contextlib.closing(Torn(source, tmp_path)) as torn:
        for path, content in torn.contents.items():
            spoil(path)
            found, _ = torn.gather_anew()
            torn.check_true(found)
            torn.gather_again()
            if path.is_dir():
                shutil.rmtree(path)
            path.write_bytes(content)
