"""`vdbmon backup` on a catalogue and real sized volumes of a test's own; no engine is asked, for nothing runs."""

from __future__ import annotations

import time
from pathlib import Path

from typer.testing import CliRunner, Result

from collector.errors import VdbmonError
from orchestrator.backup.entries import entry_of
from orchestrator.backup.runner.record import RECORD_NAME, Kind, Record
from orchestrator.host.volumes import SMALLEST_BYTES, LoopVolumes, SizedVolume
from orchestrator.ledger import Hindrance, Ledger, open_ledger
from tests.support.backups import record
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
docker = "unix://{folder}/nobody.sock"
inventory = {{ cpus = 8, memory = "32GiB", disk = "1TiB", read_bps = "200MB", write_bps = "200MB" }}
[[sources]]
name = "demo"
reach = "local"
host = "db1"
address = "unix:///run/mysqld/mysqld.sock"
data_dir = "/var/lib/mysql"
credentials_file = "/etc/vdbmon/demo.cnf"
retention = {{ count = 1 }}
"""


SCHEDULE = """
[[schedules]]
name = "nightly"
source = "demo"
cron = "30 2 * * *"
verify = "8d"
"""
FULL_HOST = Hindrance(
    why="slots: 1 needed, 0 free, 1 short (db1)",
    against={"db1": (("capacity.slots", "slots: 1 needed, 0 free, 1 short"),)},
)


class Site:
    """`vdbmon backup` with a configuration, ledger and volumes of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volumes = LoopVolumes(folder / "volumes")
        self.ledger: Ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
        self._config = folder / "vdbmon.toml"
        self._config.write_text(CONFIG.format(folder=folder))

    def append(self, text: str) -> None:
        """Write more into the configuration."""
        self._config.write_text(self._config.read_text() + text)

    def run(self, *words: str) -> Result:
        words = ("backup", *words, "--config", str(self._config))
        return CliRunner().invoke(app, words, env={"SUDO_USER": "ann", "COLUMNS": "200"})

    def said(self, *words: str, code: int = 0) -> str:
        result = self.run(*words)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    def refusal(self, *words: str) -> VdbmonError:
        result = self.run(*words)
        assert isinstance(result.exception, VdbmonError), result.output
        return result.exception

    def place_refusal(self, *words: str) -> tuple[str, int]:
        result = CliRunner().invoke(app, ("place", "x1", "--source", "demo", *words, "--config", str(self._config)))
        assert isinstance(result.exception, VdbmonError), result.output
        return result.exception.code, result.exception.exit_code

    def rm(self, name: str) -> Result:
        return CliRunner().invoke(app, ("rm", name, "--volume", "--config", str(self._config)))

    def rm_refusal(self, name: str) -> tuple[str, str]:
        error = self.rm(name).exception
        assert isinstance(error, VdbmonError)
        return error.code, error.message

    def stored(self, name: str, kind: Kind = Kind.FULL, *, age: float = 0.0, **changes: object) -> Record:
        """A backup in a volume of its own, as its job leaves it; the catalogue doesn't know it yet."""
        volume = self.volumes.create(name, SMALLEST_BYTES)
        made = record(name, kind, at=time.time() - age, **changes)
        self.leave(volume, made)
        return made

    def leave(self, volume: SizedVolume, made: Record) -> None:
        folder = volume.mountpoint / made.backup_id
        folder.mkdir()
        (folder / RECORD_NAME).write_text(made.to_json())

    def known(self, *records: Record) -> None:
        for made in records:
            self.ledger.backups.put(entry_of(made, host="db1", volume=made.backup_id))
