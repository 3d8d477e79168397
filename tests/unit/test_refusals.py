"""What an operator is told who asks for what can't be: one line, what was wrong, what to do."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.errors import VdbmonError
from orchestrator.ledger import Generations, open_ledger
from tests.support.ledger import INVENTORY, NEEDED, record
from vdbmon.cli import app

CONFIG = """
[host]
name = "db1"
[prometheus]
url = "http://127.0.0.1:9"
[ledger]
url = "sqlite:///{folder}/ledger.db"
[volumes]
dir = "{folder}/volumes"
[[hosts]]
name = "db1"
docker = "tcp://127.0.0.1:9"
inventory = {{cpus = 2, memory = "8GiB", disk = "20GiB", read_bps = "200MB", write_bps = "200MB"}}
[[sources]]
name = "orders"
reach = "stream"
address = "ssh://backup@orders"
credentials_file = "/etc/orders.cnf"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "vdbmon.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def refused(config: Path, *words: str) -> str:
    said = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert isinstance(said.exception, VdbmonError), said.output
    text = str(said.exception)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("place b1", "--source missing; give both, or --batch FILE"),
        ("place", "NAME and --source missing; give both, or --batch FILE"),
        ("place b1 --source other", "no source 'other'; known: orders"),
        ("place b1 --source orders --host db9", "no host 'db9'; known: db1"),
        ("place b1 --source orders --pool p", "no pool 'p'; known: none; describe them in [[pools]]"),
        ("limits set b1", "nothing to change; give --cpu, --memory or --pids"),
        ("limits set b1 --cpu 0", "--cpu: 0.0 is no number of cores; give for example 0.5 or 2"),
        ("limits set b1 --memory much", "--memory: 'much' is no size"),
        ("limits set b1 --cpu 2", "nothing called b1 was ever placed; see `vdbmon ps`"),
        ("uncordon db9", "no host 'db9'; known: db1"),
        ("cordon db9 --why x", "no host 'db9'; known: db1"),
        ("plan drain db9", "no host 'db9'; known: db1"),
        ("explain b1", "the record has no decision on b1; it was never asked for, only with --dry-run, or"),
        ("rm b1", "nothing called b1 was ever placed; see `vdbmon ps`"),
    ],
)
def test_a_refusal_says_what_was_wrong_and_what_to_do(config: Path, words: str, said: str) -> None:
    assert refused(config, *words.split()).startswith(said)


def test_a_plan_tells_of_a_job_whose_source_is_gone(config: Path, tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.allocate(
        record(source="gone"),
        NEEDED,
        inventory=INVENTORY,
        expected=Generations(host=0, source=0),
        max_readers=None,
        fingerprint="e",
        decision={},
    )
    ledger.close()
    said = CliRunner().invoke(app, ["plan", "drain", "db1", "--config", str(config)])
    assert said.exit_code == 3
    assert "b1 stays: its source gone is not in [[sources]] any more" in said.output
