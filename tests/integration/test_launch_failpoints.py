"""A launch, a removal and a reconcile killed before and after every call: reconcile leaves nothing over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from alerts.thresholds import GATE_FOR
from collector import labels
from orchestrator.host.volumes import LoopVolumes
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.failpoints import BYSTANDER, gate_is_open
from tests.support.fleet import HOST, MIB
from tests.support.servers import Server
from tests.support.wait import wait_until

ROUNDS = int(os.environ.get("FAILPOINT_ROUNDS", "1"))  # `make soak-launch` takes three
STATES = (["running", "running"], ["failed", "exited"])
"""Of a launch that is left, and of its container: it was started, and runs or has ended by itself."""

LEDGER = {"ledger.allocate", "ledger.begin_step", "ledger.advance"}
MADE = {"command.mkfs.ext4", "command.losetup", "command.mount", "engine.create", "engine.start", "engine.inspect"}
GONE = {"engine.remove", "command.umount", "command.losetup", "ledger.advance", "address.give_back"}
CALLS = {
    "place": LEDGER | MADE | {"address.take", "network.ensure", "engine.probe"},
    "undo": LEDGER | MADE | GONE | {"ledger.record"},
    "remove": GONE | {"ledger.take_over"},
    "reconcile": GONE | {"ledger.take_over", "engine.managed"},
    "leaks": (GONE | {"ledger.see", "engine.managed"}) - {"ledger.advance", "address.give_back"},
}
"""What each act calls at least; it is killed before and after every call."""

WARM = GATE_FOR + 30.0
NOTHING: dict[str, list[str]] = {
    "launches": [],
    "containers": [],
    "volumes": [],
    "loops": [],
    "files": [],
    "addresses": [],
    "allocated": [],
}


def bystanders(client: docker.DockerClient, image: str, volumes: LoopVolumes) -> dict[str, str]:
    """What looks like ours, and isn't: a foreign container, and things of another ledger."""
    theirs = {labels.MANAGED: "true", labels.REQUEST_ID: "f" * 32, labels.NAME: "other", "test": BYSTANDER}
    plain = client.containers.run(image, ["sleep", "6000"], name="foreign", detach=True, network_mode="none")
    other = client.containers.run(
        image, ["sleep", "6000"], name="other", labels=theirs, detach=True, network_mode="none"
    )
    volume = volumes.create("other-volume", 16 * MIB, theirs)
    (volume.mountpoint / "data").write_text("kept")
    return {"foreign": str(plain.id), "other": str(other.id)}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("act", sorted(CALLS))
def test_killed_anywhere_nothing_is_left_over_and_nothing_else_is_touched(
    act: str, tmp_path: Path, own_dockerd: OwnDockerd, monitoring: Server
) -> None:
    wait_until(lambda: gate_is_open(monitoring.url, HOST), deadline=WARM, what="the gate is open", every=0.5)
    client = own_dockerd.client()
    image = import_busybox(client)
    volumes = LoopVolumes(tmp_path / "volumes")
    before = bystanders(client, image, volumes)
    command = [sys.executable, "-m", "tests.support.failpoints"]
    arguments = [str(tmp_path), own_dockerd.address, monitoring.url, image, act, str(ROUNDS)]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=1400)
        assert done.returncode == 0, done.stderr
        trials = [json.loads(line) for line in done.stdout.splitlines()]
        assert {trial["call"] for trial in trials} >= CALLS[act]
        for trial in trials:
            assert trial["died"], trial
            left = trial["left"]
            if left["launches"]:
                ((_, launch),), ((_, container),) = left["launches"], left["containers"]
                assert [launch, container] in STATES, trial
                assert [len(left[key]) for key in ("volumes", "loops", "addresses", "allocated")] == [1, 1, 1, 1], trial
            else:
                assert left == NOTHING, trial
            assert trial["cleaned"] == NOTHING, trial
        assert {name: client.containers.get(name).id for name in before} == before
        assert all(client.containers.get(name).status == "running" for name in before)
        kept = volumes.get("other-volume")
        assert kept is not None
        assert (kept.mountpoint / "data").read_text() == "kept"
    finally:
        volumes.remove("other-volume")
