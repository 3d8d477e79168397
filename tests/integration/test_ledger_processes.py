"""Several schedulers on one SQLite file: nothing is oversold, nothing is lost, no lock error comes out."""

import subprocess
import sys
from pathlib import Path

from orchestrator.ledger import open_ledger
from orchestrator.resources import ResourceClass

SLOTS = 30
PROCESSES = 4
ATTEMPTS = 15

SCHEDULER = """
import sys
from orchestrator.ledger import ConcurrentUpdateError, LaunchRecord, LaunchState, open_ledger
from orchestrator.resources import InventoryRow, ResourceClass

url, prefix, slots, attempts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
ledger = open_ledger(url)
inventory = {ResourceClass.SLOTS: InventoryRow(slots)}
won = 0
for number in range(attempts):
    record = LaunchRecord(request_id=f"{prefix}{number}", name=f"{prefix}-{number}", host="db1", source="demo",
                          job="backup", state=LaunchState.INTENT, spec={}, spec_hash="", created_at=0.0, updated_at=0.0)
    while True:
        view = ledger.view()
        if view.allocated.get("db1", {}).get(ResourceClass.SLOTS, 0) >= slots:
            break
        try:
            ledger.allocate(record, {ResourceClass.SLOTS: 1}, inventory=inventory,
                            expected_generation=view.generations.get("db1", 0), fingerprint="e", decision=None)
        except ConcurrentUpdateError:
            continue
        won += 1
        break
print(won)
"""


def test_four_processes_sell_each_slot_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    command = [sys.executable, "-c", SCHEDULER, url]
    processes = [
        subprocess.Popen([*command, f"p{number}", str(SLOTS), str(ATTEMPTS)], stdout=subprocess.PIPE, text=True)
        for number in range(PROCESSES)
    ]
    try:
        won = [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    ledger = open_ledger(url)
    assert all(process.returncode == 0 for process in processes)
    assert sum(won) == SLOTS
    assert len(ledger.launches()) == SLOTS
    assert ledger.view().allocated["db1"] == {ResourceClass.SLOTS: SLOTS}
    assert ledger.view().generations["db1"] == SLOTS
    ledger.close()
