"""What a host has, compared with what the ledger says."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from collector import labels
from orchestrator.engines.engine import ContainerState, ManagedContainer
from orchestrator.host.volumes import FoundVolume
from orchestrator.launch import Address, FoundNetwork
from orchestrator.ledger import LaunchRecord, LaunchState
from orchestrator.reconcile.findings import Findings
from orchestrator.reconcile.leaks import SILENT_AFTER, Book, Leak, find_leaks
from tests.support.ledger import record

NOW = 10_000.0
HOST = "db1"
RUNNING = replace(record(), state=LaunchState.RUNNING, container_id="c1", volume="b1-r1", updated_at=NOW)
REMOVED = replace(RUNNING, state=LaunchState.REMOVED, volume=None)


def container(request_id: str | None = "r1", *, identity: str = "c1") -> ManagedContainer:
    own = {labels.MANAGED: "true"} | ({labels.REQUEST_ID: request_id} if request_id else {})
    return ManagedContainer(
        state=ContainerState(id=identity, name="b1", status="running", labels=own),
        image="x",
        command=(),
        created_at=NOW - 60.0,
        cpu=0,
        memory=0,
        read_bps=0,
        write_bps=0,
        mounts={},
    )


def volume(request_id: str | None = "r1", *, size: int = 1 << 24, devices: tuple[str, ...] = ()) -> FoundVolume:
    own = {labels.REQUEST_ID: request_id} if request_id else {}
    return FoundVolume(name="b1-r1", labels=own, created_at=NOW - 90.0, size_bytes=size, devices=devices)


def found(
    containers: tuple[ManagedContainer, ...] = (),
    volumes: tuple[FoundVolume, ...] = (),
    networks: tuple[FoundNetwork, ...] = (),
) -> Findings:
    return Findings(host=HOST, fingerprint="e", containers=containers, volumes=volumes, networks=networks)


def book(*launches: LaunchRecord, addresses: tuple[Address, ...] = (), pools: tuple[str, ...] = ()) -> Book:
    by_id: Mapping[str, LaunchRecord] = MappingProxyType({item.request_id: item for item in launches})
    return Book(launches=by_id, addresses=addresses, pools=frozenset(pools))


def only(findings: Findings, told: Book) -> Leak:
    (leak,) = find_leaks(findings, told, now=NOW)
    return leak


def test_what_a_live_launch_accounts_for_is_no_leak() -> None:
    assert find_leaks(found((container(),), (volume(),)), book(RUNNING), now=NOW) == ()


def test_a_kept_backup_is_no_leak() -> None:
    kept = replace(REMOVED, volume="b1-r1")
    assert find_leaks(found((), (volume(),)), book(kept), now=NOW) == ()


def test_what_a_removed_launch_left_goes() -> None:
    one, other = find_leaks(found((container(),), (volume(),)), book(REMOVED), now=NOW)
    assert (one.code, one.identity, one.mendable, one.since) == ("container.orphan", "c1", True, NOW - 60.0)
    assert (other.code, other.identity, other.mendable, other.since) == ("volume.orphan", "b1-r1", True, NOW - 90.0)


@pytest.mark.parametrize("launches", [(), (replace(REMOVED, host="db2"),), (replace(RUNNING, host="db2"),)])
def test_what_this_ledger_did_not_make_here_is_told_and_left_alone(launches: tuple[LaunchRecord, ...]) -> None:
    leaks = find_leaks(found((container(),), (volume(),)), book(*launches), now=NOW)
    assert [(leak.code, leak.mendable) for leak in leaks] == [("container.unknown", False), ("volume.unknown", False)]


def test_labels_that_are_lost_leave_a_thing_alone() -> None:
    leaks = find_leaks(found((container(None),), (volume(None),)), book(REMOVED), now=NOW)
    assert not any(leak.mendable for leak in leaks)


def test_a_second_container_of_a_live_launch_is_told_and_left_alone() -> None:
    leak = only(found((container(identity="c2"),), (volume(),)), book(RUNNING))
    assert (leak.code, leak.mendable) == ("container.double", False)


def test_pieces_of_a_volume_and_loop_devices_of_deleted_files_go() -> None:
    leak = only(found((), (volume(size=0, devices=("/dev/loop7",)),)), book(REMOVED))
    assert (leak.code, leak.mendable) == ("loop_device.orphan", True)
    assert "/dev/loop7" in leak.name


def test_a_launch_is_half_done_only_when_its_owner_was_silent_for_too_long() -> None:
    begun = replace(record(), step="create", volume="b1-r1")
    assert find_leaks(found(), book(replace(begun, updated_at=NOW - SILENT_AFTER)), now=NOW) == ()
    leak = only(found(), book(replace(begun, updated_at=NOW - SILENT_AFTER - 1)))
    assert (leak.code, leak.mendable) == ("launch.half_done", False)
    assert "step create" in leak.text


def test_a_volume_that_is_gone_is_told_for_a_launch_that_ended() -> None:
    ended = replace(RUNNING, state=LaunchState.DONE)
    assert only(found(), book(ended)).code == "launch.volume_gone"


def test_an_address_of_a_removed_launch_goes_and_one_that_nobody_gave_is_told() -> None:
    address = Address(request_id="r1", host=HOST, pool="a", ip="10.0.0.2")
    leak = only(found(), book(REMOVED, addresses=(address,)))
    assert (leak.code, leak.mendable) == ("address.orphan", True)
    network = FoundNetwork(name="vdbmon-a", pool="a", created_at=1.0, addresses={"c1": "10.0.0.2"})
    told = book(RUNNING, addresses=(address,), pools=("a",))
    assert find_leaks(found((container(),), (volume(),), (network,)), told, now=NOW) == ()
    other = replace(network, addresses={"c1": "10.0.0.3"})
    leak = only(found((container(),), (volume(),), (other,)), told)
    assert (leak.code, leak.mendable) == ("address.unknown", False)


def test_a_network_of_no_pool_is_told_when_nobody_uses_it() -> None:
    network = FoundNetwork(name="vdbmon-a", pool="a", created_at=1.0, addresses={})
    assert find_leaks(found(networks=(network,)), book(pools=("a",)), now=NOW) == ()
    assert only(found(networks=(network,)), book()).code == "network.unused"
