"""The sample of the configuration: valid as printed, valid with every line uncommented, and complete."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from collector.settings import AgentSettings
from vdbmon.config import Config, load_config
from vdbmon.sample import sample_config

COMMITTED = Path(__file__).parents[2] / "deploy" / "vdbmon.toml.sample"


def uncommented() -> str:
    return "\n".join(line.removeprefix("# ") for line in sample_config().splitlines())


def load(text: str, folder: Path) -> Config:
    path = folder / "vdbmon.toml"
    path.write_text(text)
    return load_config(path)


def test_as_printed_it_is_the_defaults(tmp_path: Path) -> None:
    printed = load(sample_config(), tmp_path)
    assert printed == load('[host]\nname = "dr-host-01"\n', tmp_path)


def test_uncommented_it_is_valid_and_the_defaults_in_it_are_true(tmp_path: Path) -> None:
    config = load(uncommented(), tmp_path)
    with_default = [item.name for item in fields(AgentSettings) if item.default is not None]
    assert all(getattr(config.agent, name) == getattr(AgentSettings(), name) for name in with_default)
    assert config.inputs.exec
    assert all(getattr(config.outputs, item.name) for item in fields(config.outputs))
    assert config.hosts
    assert config.hosts[0].inventory.reserved.memory
    assert config.sources


def test_no_line_is_wider_than_a_page() -> None:
    assert max(map(len, sample_config().splitlines())) <= 120


def keys_of(section: Any, seen: set[str]) -> set[str]:
    """The names of all settings, by walking the type hints."""
    for item in fields(section):
        hint = get_type_hints(section)[item.name]
        seen.add(item.name)
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                keys_of(part, seen)
    return seen


def test_every_setting_is_in_it() -> None:
    words = set(re.findall(r"[a-z0-9_]+", uncommented()))
    assert keys_of(Config, set()) <= words


def test_python_s_words_are_not_in_it() -> None:
    assert not re.search(r"\b(None|True|False)\b", sample_config())


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == sample_config(), "vdbmon agent config > deploy/vdbmon.toml.sample"
