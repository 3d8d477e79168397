"""Item values into Debian's Zabbix server, read back through its API."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from collector.outputs.settings import ZabbixSettings
from collector.outputs.sink import OutputError
from collector.outputs.zabbix import ZabbixOutput
from collector.projections.point import FieldValue, Point
from tests.support.agent import VDBMON
from tests.support.delivery import deliver, deliver_across_restart
from tests.support.everything import collections
from tests.support.servers import free_port, freeze, http_get, process
from tests.support.wait import wait_until
from tests.support.zabbix import ACTIVE_AGENT, FLOAT, TEXT, UNSIGNED, Zabbix, zabbix

PATIENCE = 30.0
SECOND = 10**9
TEMPLATE = Path(__file__).parents[2] / "deploy" / "zabbix" / "vdbmon.yaml"
HOSTILE = (
    "plain",
    "with space",
    " led by a space",
    "followed by one ",
    "comma,equals=",
    "[brackets]",
    'quote"d',
    '"quoted"',
    "back\\slash",
    "back\\",
    "comma,back\\",
    "ünïcode ☃",
    "{#MACRO}",
    "{$USER}",
    "new\nline",
    "nul\0",
    "not unicode \udcff",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Zabbix]:
    with zabbix() as running:
        yield running


def output(server: Zabbix, **settings: object) -> ZabbixOutput:
    return ZabbixOutput(ZabbixSettings(address=server.address, **settings))  # type: ignore[arg-type]


def now_ns() -> int:
    return time.time_ns() // SECOND * SECOND


def records(sink: ZabbixOutput, *points: Point) -> list[bytes]:
    """Without discovery data."""
    return [record for record in sink.encode(points) if b".lld." not in record]


def test_values_come_back_with_their_nanoseconds_once(server: Zabbix) -> None:
    taken = now_ns() + 123_456_789
    fields: dict[str, FieldValue] = {"used": 2**63, "percent": 12.5, "words": 'two "lines"\nünï', "nan": float("nan")}
    items = {"telegraf.m.used": UNSIGNED, "telegraf.m.percent": FLOAT, "telegraf.m.words": TEXT}
    ids = server.create_host("values", items)
    sink = output(server)
    batch = records(sink, Point("m", (("host", "values"),), fields, taken))
    deliver(sink, batch)
    deliver(sink, batch)  # as after an answer that was lost
    for field, key in (("used", "telegraf.m.used"), ("percent", "telegraf.m.percent"), ("words", "telegraf.m.words")):
        found = wait_until(
            lambda key=key: server.history(ids[key], items[key]),  # type: ignore[misc]
            deadline=PATIENCE,
            what=key,
        )
        assert [(at, type(fields[field])(value)) for at, value in found] == [(taken, fields[field])]
    assert sink.rejected == 0


def test_what_zabbix_has_no_item_for_is_counted(server: Zabbix) -> None:
    ids = server.create_host("known", {"telegraf.m.a": FLOAT})
    sink = output(server)
    taken = now_ns()
    batch = records(
        sink,
        Point("m", (("host", "known"),), {"a": 1, "b": 2}, taken),
        Point("m", (("host", "unknown"),), {"a": 1, "b": 2}, taken),
    )
    sink.write(batch)
    assert sink.rejected == 3
    assert wait_until(lambda: server.history(ids["telegraf.m.a"]), deadline=PATIENCE, what="a") == [(taken, "1")]


def test_items_are_discovered_whatever_their_tags_hold(server: Zabbix) -> None:
    hostid = server.create_host("hostile")["hostid"]
    rule = server.api.discoveryrule.create(
        hostid=hostid, name="hostile", key_="telegraf.lld.m.container_name.path", type=2, delay="0"
    )["itemids"][0]
    server.api.itemprototype.create(
        hostid=hostid,
        ruleid=rule,
        name="m",
        key_="telegraf.m.v[{#CONTAINER_NAME},{#PATH}]",
        type=2,
        value_type=0,
        delay=0,
    )
    wait_until(
        lambda: server.knows("hostile", "telegraf.lld.m.container_name.path"), deadline=PATIENCE, what="the rule"
    )
    sink = output(server)
    points = [
        Point("m", (("container_name", text), ("host", "hostile"), ("path", "end")), {"v": number}, now_ns())
        for number, text in enumerate(HOSTILE)
    ]
    batch = list(sink.encode(points))
    assert b".lld." in batch[-1]
    sink.write(batch)
    values = batch[:-1]
    wait_until(
        lambda: len([key for key in server.items(hostid) if key.startswith("telegraf.m.v")]) == len(HOSTILE),
        deadline=PATIENCE,
        what="all items",
    )

    def all_accepted() -> bool:
        before = sink.rejected
        sink.write(values)
        return sink.rejected == before

    wait_until(all_accepted, deadline=PATIENCE, what="the new items are in Zabbix' cache", every=0.3)
    expected = {json.loads(value)["key"]: str(number) for number, value in enumerate(values)}
    wait_until(
        lambda: expected.items() <= {key: item["lastvalue"] for key, item in server.items(hostid).items()}.items(),
        deadline=PATIENCE,
        what="all values",
    )


def test_the_template_gets_values_for_all_its_items(server: Zabbix) -> None:
    rules = {name: {"createMissing": True, "updateExisting": True} for name in ("templates", "items", "discoveryRules")}
    rules |= {name: {"createMissing": True} for name in ("groups", "triggers")}
    server.api.configuration.import_(format="yaml", source=TEMPLATE.read_text(), rules=rules)
    (template,) = server.api.template.get(filter={"host": "vdbmon"})
    hostid = server.create_host("dr-01", templates=[{"templateid": template["templateid"]}])["hostid"]
    sink = output(server)
    taken = collections("dr-01", now_ns() - 600 * SECOND, 60)
    sink.write(list(sink.encode(taken[0])))
    prototypes = server.api.itemprototype.get(hostids=hostid, output=["key_"])
    wait_until(
        lambda: len(server.api.item.get(hostids=hostid, filter={"flags": 4}, output=["key_"])) >= len(prototypes),
        deadline=PATIENCE,
        what="every prototype has an item",
    )
    rest = iter(taken[1:])

    def all_have_values() -> bool:
        sink.write(list(sink.encode(next(rest))))
        return not [key for key, item in server.items(hostid).items() if item["error"] or item["lastclock"] == "0"]

    wait_until(all_have_values, deadline=PATIENCE, what="every item has a value", every=0.5)
    reads = server.items(hostid)["telegraf.diskio.reads[device]"]
    assert float(reads["lastvalue"]) == pytest.approx(0.1), "a counter that rises by one in ten seconds"


def test_active_agent_items_take_agent_data(server: Zabbix) -> None:
    ids = server.create_host("active", {"telegraf.m.a": FLOAT}, item_type=ACTIVE_AGENT)
    taken = now_ns()
    sink = output(server, agent_active=True)
    sink.write(records(sink, Point("m", (("host", "active"),), {"a": 7}, taken)))
    assert sink.rejected == 0
    assert wait_until(lambda: server.history(ids["telegraf.m.a"]), deadline=PATIENCE, what="a") == [(taken, "7")]


def test_a_host_that_registers_itself_is_created(server: Zabbix) -> None:
    group = server.api.hostgroup.create(name="registered")["groupids"][0]
    server.api.action.create(
        name="vdbmon hosts",
        eventsource=2,
        filter={"evaltype": 0, "conditions": [{"conditiontype": 24, "operator": 2, "value": "vdbmon"}]},
        operations=[{"operationtype": 4, "opgroup": [{"groupid": group}]}],
    )
    server.create_host("later")  # which Zabbix knows after the action
    clock = iter([0.0, 0.0, 0.0, 1.0, 1801.0, 1801.0]).__next__
    settings = ZabbixSettings(address=server.address, autoregister="vdbmon mariadb")
    sink = ZabbixOutput(settings, clock)
    batch = records(sink, Point("m", (("host", "newcomer"),), {"a": 7}, now_ns()))
    sink.write(batch)
    wait_until(lambda: server.api.host.get(filter={"host": "newcomer"}), deadline=PATIENCE, what="the host")
    sink.write(batch)
    sink.write(batch)
    with pytest.raises(StopIteration):
        clock()


def test_nothing_is_lost_when_the_server_is_restarted(server: Zabbix) -> None:
    keys = [f"telegraf.m.v[{number}]" for number in range(20)]
    ids = server.create_host("restarted", dict.fromkeys(keys, FLOAT))
    sink = output(server, timeout=2.0)
    first = now_ns() - 200 * SECOND
    batches = [
        records(
            sink,
            *(
                Point("m", (("host", "restarted"), ("n", str(n))), {"v": second}, first + second * SECOND + n)
                for n in range(20)
            ),
        )
        for second in range(60)
    ]
    deliver_across_restart(sink, batches, stop=server.stop, start=server.start)
    for number, key in enumerate(keys):
        expected = [(first + second * SECOND + number, str(second)) for second in range(60)]
        wait_until(lambda key=key, all_=expected: server.history(ids[key]) == all_, deadline=PATIENCE, what=key)  # type: ignore[misc]
    assert sink.rejected == 0


def test_the_agent_feeds_zabbix(server: Zabbix, tmp_path: Path) -> None:
    ids = server.create_host("dr 02", {"telegraf.mem.total": FLOAT})
    port = free_port()
    config = tmp_path / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "dr 02"\n[agent]\nlisten = "127.0.0.1:{port}"\ninterval = "1s"\nflush_interval = "100ms"\n'
        f'buffer_directory = "{tmp_path / "spool"}"\n'
        f'[[outputs.zabbix]]\naddress = "{server.address}"\nlld_send_interval = "1m"\n'
    )
    with process([VDBMON, "agent", "run", "--config", str(config)], tmp_path / "agent.log"):
        rows = wait_until(
            lambda: server.history(ids["telegraf.mem.total"]), deadline=PATIENCE, what="memory of the host"
        )
        # All other values have no item.
        rejected = re.compile(rf'vdbmon_output_rejected_values_total{{output="zabbix:{server.address}",.*}} [1-9]')
        wait_until(
            lambda: rejected.search(http_get(f"http://127.0.0.1:{port}/metrics") or ""),
            deadline=PATIENCE,
            what="the count of refused values",
        )
    assert float(rows[0][1]) == psutil.virtual_memory().total


def test_a_server_that_hangs_is_left_after_the_timeout(server: Zabbix) -> None:
    sink = output(server, timeout=0.3)
    for pid in server.pids():
        freeze(pid)
    try:
        with pytest.raises(OutputError, match="no answer: timed out") as caught:
            sink.write([b'{"host":"h","key":"k","value":"1"}'])
    finally:
        server.signal(signal.SIGCONT)
    assert caught.value.retryable


def test_what_zabbix_can_not_read_is_not_tried_again(server: Zabbix) -> None:
    with pytest.raises(OutputError, match="refused: cannot parse") as caught:
        output(server).write([b'{"host":'])
    assert not caught.value.retryable
