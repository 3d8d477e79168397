import re
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.decision.reasons import Code
from orchestrator.placement.batch_file import read_batch
from vdbmon.config import load_config

ROOT = Path(__file__).parents[2]


def test_the_configuration_in_the_readme_is_a_good_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "vdbmon.toml"
    path.write_text(example)
    config = load_config(path)
    assert config.hosts[0].name == config.host.name == config.sources[0].host


def test_every_link_and_path_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"`((?:deploy|docs|alerts)/[^` ]*)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_code_of_a_refusal_is_explained() -> None:
    text = (ROOT / "docs" / "placement.md").read_text()
    assert [code.value for code in Code if f"`{code}`" not in text] == []


def test_the_batch_in_the_docs_is_a_good_one(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "placement.md").read_text(), re.DOTALL)
    (example,) = [text for text in examples if "[[containers]]" in text]
    path = tmp_path / "batch.toml"
    path.write_text(example)
    assert [item.name for item in read_batch(path, datetime.now(UTC))] == ["orders-full", "users-full"]
