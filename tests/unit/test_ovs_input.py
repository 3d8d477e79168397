import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.containers import Container, Metadata
from collector.errors import VdbmonError
from collector.inputs import ovs
from collector.inputs.ovs import OvsInput, Reading, samples
from collector.kernelfile import SkippedLines
from collector.metrics import Metric
from collector.settings import OvsSettings
from collector.vswitch import COLUMNS, Switch, parse_switch

RECORDED = Path(__file__).parents[1] / "fixtures" / "ovs" / "transact.json"

Values = dict[tuple[Metric, tuple[str, ...]], float]


def recorded() -> dict[str, list[dict[str, Any]]]:
    """Open vSwitch 3.1: two bridges and a patch between them, p1 with all limits, a port whose device is gone."""
    results = json.loads(RECORDED.read_text())
    return {table: result["rows"] for table, result in zip(COLUMNS, results, strict=True)}


def row(tables: dict[str, list[dict[str, Any]]], table: str, name: str) -> dict[str, Any]:
    return next(row for row in tables[table] if row["name"] == name)


def parsed(tables: dict[str, list[dict[str, Any]]]) -> tuple[Switch, int]:
    skipped = SkippedLines()
    return parse_switch(tables, skipped), skipped.count


def container(number: int, name: str) -> Container:
    return Container(f"{number:064x}", f"/docker/{number:064x}", Metadata(name, "image:1"), (100 + number,))


def values(switch: Switch, *containers: Container, alive: bool = True, limit: int = 500) -> Values:
    found = list(samples(Reading(switch, alive), containers, limit))
    assert len({(sample.metric, sample.labels) for sample in found}) == len(found)
    assert all(len(sample.labels) == len(sample.metric.labels) for sample in found)
    return {(sample.metric, sample.labels): sample.value for sample in found}


P1 = ("br1", "p1", "p1", "system")


def test_a_recorded_database_is_read_without_a_rest() -> None:
    switch, skipped = parsed(recorded())
    assert skipped == 0
    found = values(switch)
    assert found[ovs.RX_BYTES, P1] == 1006
    assert found[ovs.TX_PACKETS, P1] == 13
    assert found[ovs.RX_MISSED, P1] == 0
    assert found[ovs.TX_DROPPED, ("br1", "br1", "br1", "internal")] == 568
    assert (found[ovs.ADMIN_STATE, P1], found[ovs.LINK_STATE, P1]) == (1, 1)
    assert (found[ovs.MTU, P1], found[ovs.LINK_SPEED, P1], found[ovs.LINK_RESETS, P1]) == (1500, 10**10, 0)
    assert found[ovs.LINK_STATE, ("br2", "br2", "br2", "internal")] == 0
    assert found[ovs.BRIDGE_PORTS, ("br1", "netdev")] == 4
    assert found[ovs.BRIDGE_PORTS, ("br2", "netdev")] == 3
    assert found[ovs.VSWITCHD_UP, ()] == 1
    assert found[ovs.CONFIG_PENDING, ()] == 0


def test_limits_are_read_and_absent_where_there_are_none() -> None:
    found = values(parsed(recorded())[0])
    assert (found[ovs.POLICING_RATE, P1], found[ovs.POLICING_BURST, P1]) == (20000, 2000)
    assert [labels for metric, labels in found if metric is ovs.POLICING_RATE] == [P1]
    assert found[ovs.VLAN_TAG, ("br1", "p1")] == 1
    assert (ovs.VLAN_TAG, ("br1", "br1")) not in found
    assert found[ovs.QOS_INFO, ("br1", "p1", "linux-htb")] == 1
    assert found[ovs.QOS_MAX_RATE, ("br1", "p1")] == 20_000_000
    rates = {(metric, labels[-1]): value for (metric, labels), value in found.items() if labels[:2] == ("br1", "p1")}
    assert rates[ovs.QUEUE_MIN_RATE, "0"] == 1_000_000
    assert (ovs.QUEUE_MAX_RATE, "0") not in rates
    assert (rates[ovs.QUEUE_MIN_RATE, "7"], rates[ovs.QUEUE_MAX_RATE, "7"]) == (2_000_000, 5_000_000)


def test_an_interface_without_a_state_says_so_and_its_figures_are_absent() -> None:
    found = values(parsed(recorded())[0])
    gone = ("br2", "gone0", "gone0", "system")
    assert {metric: value for (metric, labels), value in found.items() if labels == gone} == {
        ovs.FAULTY: 1,
        ovs.ADMIN_STATE: -1,
        ovs.LINK_STATE: -1,
    }
    assert (ovs.RX_DROPPED, ("br1", "patch1", "patch1", "patch")) not in found


def test_an_unknown_statistic_is_tolerated() -> None:
    assert any(key == "rx_novel_counter" for key, _ in row(recorded(), "Interface", "p2")["statistics"][1])
    switch, skipped = parsed(recorded())
    assert skipped == 0
    assert values(switch)[ovs.RX_BYTES, ("br1", "p2", "p2", "system")] == 1006


@pytest.mark.parametrize("bad", [-1, "1", True, 1.5, None, [], 2**64, 10**400])
def test_a_statistic_that_is_no_count_costs_itself(bad: object) -> None:
    tables = recorded()
    row(tables, "Interface", "p1")["statistics"] = ["map", [["rx_bytes", bad], ["tx_bytes", 5]]]
    switch, skipped = parsed(tables)
    found = values(switch)
    assert skipped == 1
    assert (ovs.RX_BYTES, P1) not in found


@pytest.mark.parametrize("bad", ["-1", "9" * 21, "9" * 5000, "\u0663", "1 000", 5])
def test_a_rate_that_is_no_number_costs_itself(bad: object) -> None:
    tables = recorded()
    for queue in tables["Queue"]:
        queue["other_config"] = ["map", [["max-rate", bad], ["min-rate", "7"]]]
    switch, skipped = parsed(tables)
    assert skipped == len(tables["Queue"])
    assert {(queue.min_rate, queue.max_rate) for queue in switch.queues.values()} == {(7, None)}


def test_a_bridge_or_a_port_that_is_listed_twice_gives_no_series_twice() -> None:
    tables = recorded()
    tables["Bridge"].append(tables["Bridge"][0])
    row(tables, "Port", "p1")["interfaces"] = ["set", [row(tables, "Port", "p1")["interfaces"]] * 2]
    assert values(parsed(tables)[0]) == values(parsed(recorded())[0])


def test_a_row_of_another_type_costs_itself_and_is_counted() -> None:
    tables = recorded()
    row(tables, "Interface", "p1")["mtu"] = "large"
    tables["Port"].append({"name": "no uuid"})
    switch, skipped = parsed(tables)
    assert skipped == 2
    found = values(switch)
    assert not [labels for _, labels in found if labels == P1]
    assert found[ovs.RX_BYTES, ("br1", "p2", "p2", "system")] == 1006


def test_dpdk_names_stand_in_for_what_is_missing() -> None:
    tables = recorded()
    row(tables, "Interface", "p1")["statistics"] = ["map", [["ovs_tx_failure_drops", 4], ["ovs_tx_retries", 9]]]
    found = values(parsed(tables)[0])
    assert (found[ovs.TX_ERRORS, P1], found[ovs.TX_RETRIES, P1]) == (4, 9)


def test_what_a_dead_vswitchd_left_in_the_database_is_not_shown() -> None:
    found = values(parsed(recorded())[0], alive=False)
    assert found[ovs.VSWITCHD_UP, ()] == 0
    assert {metric for metric, labels in found if labels == P1} == {ovs.POLICING_RATE, ovs.POLICING_BURST}
    assert found[ovs.VLAN_TAG, ("br1", "p1")] == 1


@pytest.mark.parametrize("word", [f"{1:064x}", f"{1 << 240:064x}"[:12], "db"])
def test_an_interface_is_linked_to_its_container_by_id_short_id_or_name(word: str) -> None:
    tables = recorded()
    row(tables, "Interface", "p1")["external_ids"] = ["map", [["container_id", word]]]
    db = container(1 if len(word) != 12 else 1 << 240, "db")
    found = values(parsed(tables)[0], db)
    assert found[ovs.CONTAINER_INFO, ("p1", "db", "image:1")] == 1
    assert found[ovs.WITHOUT_CONTAINER, ()] == 1  # p2's has ended
    assert not any(db.id in label for _, labels in found for label in labels)


def test_more_interfaces_than_allowed_are_counted_and_always_the_same_are_shown() -> None:
    tables = recorded()
    switch = parsed(tables)[0]
    tables["Interface"].reverse()
    tables["Port"].reverse()
    for other in (switch, parsed(tables)[0]):
        found = values(other, limit=3)
        shown = {labels[2] for metric, labels in found if metric is ovs.LINK_STATE}
        assert shown == {"br1", "p1", "p2"}
        assert found[ovs.LEFT_OUT, ("interface",)] == 4
    assert values(switch, limit=1)[ovs.LEFT_OUT, ("queue",)] == 0
    assert values(switch, limit=2)[ovs.LEFT_OUT, ("queue",)] == 0


def test_more_queues_than_allowed_are_counted() -> None:
    tables = recorded()
    uuid = tables["Queue"][0]["_uuid"]
    tables["QoS"][0]["queues"] = ["map", [[number, uuid] for number in range(600)]]
    found = values(parsed(tables)[0])
    assert len([1 for metric, _ in found if metric is ovs.QUEUE_MIN_RATE]) == 500
    assert found[ovs.LEFT_OUT, ("queue",)] == 100


def source(db_socket: Path) -> OvsInput:
    class NoContainers:
        containers = ()

    settings = OvsSettings(db_socket=db_socket, timeout=0.5)
    return OvsInput(settings, NoContainers(), SkippedLines(), lambda: 100.0)  # type: ignore[arg-type]


def test_a_host_without_open_vswitch_says_nothing(tmp_path: Path) -> None:
    assert source(tmp_path / "openvswitch" / "db.sock").gather() == []


def test_a_database_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VdbmonError, match=r"db\.sock"):
        source(tmp_path / "db.sock").gather()


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.floats(allow_nan=False, allow_infinity=False)
)
atom = scalars | st.text(max_size=6).map(lambda text: ["uuid", text])
cell = st.one_of(
    atom,
    st.lists(atom, max_size=3).map(lambda elements: ["set", elements]),
    st.lists(st.tuples(atom, atom).map(list), max_size=3).map(lambda elements: ["map", elements]),
    st.lists(scalars, max_size=3),
    st.dictionaries(st.text(max_size=3), scalars, max_size=2),
)


@given(data=st.data())
def test_any_row_is_read_or_counted(data: st.DataObject) -> None:
    tables = recorded()
    changed = 0
    for table, rows in tables.items():
        for changing in rows:
            column = data.draw(st.sampled_from([None, *COLUMNS[table]]))
            if column is not None:
                changing[column] = data.draw(cell)
                changed += 1
    before = copy.deepcopy(tables)
    switch, skipped = parsed(tables)
    assert tables == before
    total = sum(len(rows) for table, rows in tables.items() if table not in {"Open_vSwitch", "Bridge"})
    read = len(switch.ports) + len(switch.interfaces) + len(switch.qos) + len(switch.queues)
    assert read + skipped + changed >= total
    for sample in samples(Reading(switch, alive=True), (), 500):
        assert isinstance(sample.value, int | float)
        assert all(isinstance(label, str) for label in sample.labels)


strings = st.text(max_size=6)
counts = st.integers(min_value=0, max_value=2**63)


def optionally(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | strategy.map(lambda value: ["set", [value]]) | st.just(["set", []])


def mapping(keys: st.SearchStrategy[Any], elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(keys, elements, max_size=4).map(
        lambda found: ["map", [list(pair) for pair in found.items()]]
    )


interfaces = st.fixed_dictionaries(
    {
        "_uuid": st.uuids().map(lambda uuid: ["uuid", str(uuid)]),
        "name": strings,
        "type": strings,
        "external_ids": mapping(strings, strings),
        "ingress_policing_rate": counts,
        "ingress_policing_burst": counts,
        "error": optionally(strings),
        "admin_state": optionally(st.sampled_from(["up", "down"])),
        "link_state": optionally(st.sampled_from(["up", "down"])),
        "link_speed": optionally(counts),
        "link_resets": optionally(counts),
        "mtu": optionally(counts),
        "statistics": mapping(strings, counts),
    }
)


@given(st.lists(interfaces, max_size=5))
def test_every_well_typed_interface_is_read(rows: list[dict[str, Any]]) -> None:
    skipped = SkippedLines()
    switch = parse_switch({"Interface": rows}, skipped)
    assert skipped.count == 0
    assert set(switch.interfaces) == {row["_uuid"][1] for row in rows}
