from pathlib import Path

from collector import labels
from collector.errors import VdbmonError
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.engine import ContainerState, ManagedContainer
from orchestrator.ledger import LaunchState
from orchestrator.placement.rebuild import FoundHost, FoundVolume, Rebuilt, rebuild

MIB = 2**20


def own(name: str, request_id: str, *, generation: str = "3") -> dict[str, str]:
    return {
        labels.MANAGED: "true",
        labels.NAME: name,
        labels.REQUEST_ID: request_id,
        labels.JOB: "backup",
        labels.SOURCE: "demo",
        labels.GENERATION: generation,
        labels.SPEC_HASH: "hash",
    }


def container(
    name: str, request_id: str, *, status: str = "running", found: dict[str, str] | None = None, generation: str = "3"
) -> ManagedContainer:
    return ManagedContainer(
        state=ContainerState(
            id=f"id-{request_id}",
            name=name,
            status=status,
            labels=own(name, request_id, generation=generation) if found is None else found,
        ),
        image="backup:1",
        command=("backup",),
        created_at=50.0,
        cpu=500,
        memory=64 * MIB,
        read_bps=10_000,
        write_bps=0,
        mounts={Path("/backup"): Path(f"/var/lib/vdbmon/volumes/{name}-{request_id}")},
    )


def host(
    *containers: ManagedContainer, name: str = "db1", volumes: dict[str, FoundVolume] | None = None
) -> dict[str, FoundHost | VdbmonError | None]:
    sizes = {f"{item.state.name}-{item.state.id[3:]}": FoundVolume(size_bytes=16 * MIB) for item in containers}
    return {
        name: FoundHost(name=name, fingerprint=f"engine-{name}", containers=containers, volumes=sizes | (volumes or {}))
    }


def rebuilt(found: dict[str, FoundHost | VdbmonError | None]) -> Rebuilt:
    return rebuild(found, who="ann", at=99.0)


def test_a_container_is_a_launch_with_what_it_was_made_with() -> None:
    found = rebuilt(host(container("b1", "r1")))
    (record,) = found.restored.launches
    assert (record.request_id, record.name, record.host, record.source, record.job) == (
        "r1",
        "b1",
        "db1",
        "demo",
        "backup",
    )
    assert (record.state, record.container_id, record.volume) == (LaunchState.RUNNING, "id-r1", "b1-r1")
    assert (record.created_at, record.updated_at, record.spec_hash) == (50.0, 99.0, "hash")
    assert found.restored.amounts["r1"] == {
        ResourceClass.SLOTS: 1,
        ResourceClass.CPU: 500,
        ResourceClass.MEMORY: 64 * MIB,
        ResourceClass.READ_BPS: 10_000,
        ResourceClass.DISK: 16 * MIB,
    }
    assert found.restored.fingerprints == {"db1": "engine-db1"}
    assert found.unknown == {}
    assert found.restored.cordons == ()


def test_an_ended_container_is_left_to_be_settled_and_one_that_never_started_is_half_done() -> None:
    found = rebuilt(host(container("b1", "r1", status="exited"), container("b2", "r2", status="created")))
    assert [record.state for record in found.restored.launches] == [LaunchState.RUNNING, LaunchState.CREATED]


def test_the_newest_generation_of_a_host_counts_and_an_unreadable_one_does_not() -> None:
    found = rebuilt(
        host(
            container("b1", "r1", generation="7"),
            container("b2", "r2", generation="12"),
            container("b3", "r3", generation="x"),
        )
    )
    assert found.restored.generations == {"db1": 12}


def test_a_volume_without_a_container_is_a_kept_backup_and_its_name_is_free() -> None:
    kept = FoundVolume(size_bytes=32 * MIB, labels=own("b1", "r0"))
    found = rebuilt(host(container("b1", "r1"), volumes={"b1-r0": kept}))
    states = {record.request_id: (record.state, record.volume) for record in found.restored.launches}
    assert states == {"r1": (LaunchState.RUNNING, "b1-r1"), "r0": (LaunchState.REMOVED, "b1-r0")}
    assert found.restored.amounts["r0"] == {ResourceClass.DISK: 32 * MIB}


def test_what_has_no_labels_is_said_and_its_host_is_cordoned() -> None:
    bare = container("b1", "r1", found={labels.MANAGED: "true"})
    found = rebuilt(host(bare))
    assert found.restored.launches == ()
    assert found.unknown["db1"][0] == "whose container b1 is: it has no label io.vdbmon.request-id"
    (cordon,) = found.restored.cordons
    assert (cordon.host, cordon.who, cordon.until, cordon.since) == ("db1", "ann", None, 99.0)
    assert "whose container b1 is" in cordon.why


def test_a_volume_that_cannot_be_seen_from_here_is_said() -> None:
    far = FoundHost(name="db2", fingerprint="e", containers=(container("b1", "r1"),), volumes=None)
    found = rebuilt({"db2": far})
    assert found.unknown == {"db2": ("the size of volume b1-r1 of b1: it can't be seen from here",)}
    assert ResourceClass.DISK not in found.restored.amounts["r1"]


def test_a_host_that_did_not_answer_is_cordoned() -> None:
    found = rebuilt({"db1": VdbmonError("engine.unreachable", "engine tcp://x doesn't answer: timeout"), "db2": None})
    assert found.restored.generations == {"db1": 0, "db2": 0}
    assert [cordon.host for cordon in found.restored.cordons] == ["db1", "db2"]
    assert found.unknown["db1"] == ("nothing is known of it: engine tcp://x doesn't answer: timeout",)
    assert found.unknown["db2"] == ("nothing is known of it: it doesn't answer",)


def test_of_two_containers_of_one_name_the_first_counts_and_the_other_is_said() -> None:
    found = rebuilt(host(container("b1", "r1")) | host(container("b1", "r2"), name="db2"))
    assert [record.host for record in found.restored.launches] == ["db1"]
    assert found.unknown == {"db2": ("why there is another b1, on db1; the one here is left out",)}
