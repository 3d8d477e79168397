import contextlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from collector.errors import ConfigError
from orchestrator.decision.request import Window, Wishes
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.sizes import parse_amounts, parse_spec
from orchestrator.placement.batch_file import KNOWN, read_batch
from vdbmon.commands.place import app

AT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
TOML = """
[defaults]
source = "orders"
cpus = 2
not_before = 22:00:00

[[containers]]
name = "b1"
memory = "2GiB"
labels = {rack = "r1"}

[[containers]]
name = "b2"
source = "users"
read_iops = 500
apart = true
"""


def written(folder: Path, text: str, name: str = "batch.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_toml_with_defaults(tmp_path: Path) -> None:
    first, second = read_batch(written(tmp_path, TOML), AT)
    assert (first.name, first.source, first.job) == ("b1", "orders", "backup")
    assert first.amounts[ResourceClass.CPU] == 2000
    assert first.amounts[ResourceClass.MEMORY] == 2 * 2**30
    assert first.wishes == Wishes(labels={"rack": "r1"})
    assert first.window == Window(not_before=AT.timestamp() + 3600, deadline=float("inf"), duration=3600)
    assert (second.source, second.wishes.apart) == ("users", True)
    assert second.amounts[ResourceClass.READ_IOPS] == 500


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = [
        {
            "name": "b1",
            "source": "orders",
            "cpus": 2,
            "memory": "2GiB",
            "labels": {"rack": "r1"},
            "not_before": "22:00",
        },
        {"name": "b2", "source": "users", "cpus": 2, "read_iops": 500, "apart": True, "not_before": "22:00"},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    assert read_batch(written(tmp_path, text, "batch.jsonl"), AT) == read_batch(written(tmp_path, TOML), AT)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("[[containers]]\nname = 'b1'", "batch.key", "containers\\[0\\]: source is missing"),
        ("[[containers]]\nname = 'b1'\nsource = 's'\nwheels = 4", "batch.key", "unknown key wheels; known here: name"),
        (
            "[[containers]]\nname = 'b1'\nsource = 's'\nmemory = '1XB'",
            "request.size",
            "containers\\[0\\]: memory: '1XB'",
        ),
        ("[[containers]]\nname = 'b1'\nsource = 's'\nlabels = 3", "batch.key", "labels: "),
        ("[[containers]]\nname = 'b1'\nsource = 's'\ncpus = [1]", "request.size", "no number of cores"),
        ("[[containers]]\nname = 'b1'\nsource = 's'\ndeadline = 'soon'", "request.window", "soon"),
        ("[[containers]]\nname = 'b1'\nsource = 's'\n" * 2, "batch.double", "two containers are called 'b1'"),
        ("[[container]]\n", "batch.syntax", "unknown key container"),
        ("containers = 5", "batch.syntax", "begin each with \\[\\[containers\\]\\]"),
        ("containers = [1]", "batch.syntax", "begin each with"),
        ("defaults = 3\n[[containers]]\nname = 'b1'", "batch.syntax", "begin it with \\[defaults\\]"),
        ("name = ", "batch.syntax", "write TOML"),
        ("", "batch.empty", "no containers"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, code: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_batch(written(tmp_path, text), AT)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"name": 1', "[1]", "null"])
def test_lines_that_are_no_objects_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_batch(written(tmp_path, text, "batch.jsonl"), AT)
    assert caught.value.code == "batch.syntax"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
entries = st.fixed_dictionaries({}, optional=dict.fromkeys(KNOWN, anything))


@settings(max_examples=200, deadline=None)
@given(entries)
def test_any_values_make_a_container_or_a_line_that_says_why_not(entry: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), json.dumps({"name": "b1", "source": "orders", **entry}), "batch.jsonl")
        with contextlib.suppress(ConfigError):
            (wanted,) = read_batch(path, AT)
            assert wanted.amounts


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_batch(tmp_path / "none.toml", AT)


def test_spec_has_the_defaults_of_place() -> None:
    assert parse_spec("cpus=2, memory=4GiB") == parse_amounts({"cpus": "2", "memory": "4GiB"})
    assert parse_spec("") == parse_amounts({})


@pytest.mark.parametrize("text", ["cpus", "cpus=x", "wheels=4", "memory=0", "read_iops=-1", "read_iops=many"])
def test_specs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_spec(text)
    assert caught.value.code == "request.size"


@pytest.mark.parametrize("given", [["--cpus", "2"], ["orders-1"], ["--host", "dr-1"], ["--override", "alert.firing"]])
def test_what_a_batch_does_not_take_is_refused_by_its_name(tmp_path: Path, given: list[str]) -> None:
    config = tmp_path / "vdbmon.toml"
    config.write_text('[host]\nname = "here"\n')
    said = CliRunner().invoke(app, ["--batch", str(tmp_path / "batch.toml"), "--config", str(config), *given])
    assert isinstance(said.exception, ConfigError)
    word = given[0] if given[0].startswith("--") else "NAME"
    assert str(said.exception) == f"--batch takes no {word}; leave it out, or write it into the file"
