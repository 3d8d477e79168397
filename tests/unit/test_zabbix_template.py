import json
from pathlib import Path
from typing import Any

import yaml

from collector.projections.zabbix import Discovery, ZabbixEncoder
from collector.zabbix_template import zabbix_template
from tests.support.everything import collections

FILE = Path(__file__).parents[2] / "deploy" / "zabbix" / "vdbmon.yaml"
NOW = 1_795_410_700 * 10**9


def template() -> dict[str, Any]:
    (found,) = yaml.safe_load(zabbix_template())["zabbix_export"]["templates"]
    return dict(found)


def test_the_file_is_what_the_names_give() -> None:
    assert FILE.read_text() == zabbix_template(), "run `vdbmon agent zabbix-template > deploy/zabbix/vdbmon.yaml`"


def test_every_item_and_prototype_gets_a_value() -> None:
    encoder = ZabbixEncoder("telegraf.", "host", "", Discovery(600, 3600))
    (collection,) = collections("h", NOW, 1)
    sent = json.loads(b"[" + b",".join(encoder.encode(collection)) + b"]")
    values = {value["key"]: value["value"] for value in sent}
    found = template()
    assert {item["key"] for item in found["items"]} <= values.keys()
    for rule in found["discovery_rules"]:
        rows = json.loads(values[rule["key"]])["data"]
        for prototype in rule["item_prototypes"]:
            keys = {with_macros(prototype["key"], row) for row in rows}
            assert keys & values.keys(), prototype["key"]


def with_macros(key: str, row: dict[str, str]) -> str:
    for macro, value in row.items():
        key = key.replace(macro, value)
    return key


def test_names_say_which_container_they_are_of() -> None:
    names = [
        prototype["name"]
        for rule in template()["discovery_rules"]
        for prototype in rule["item_prototypes"]
        if "container" in rule["key"] or "destination" in rule["key"]
    ]
    assert names
    assert all("{#CONTAINER_NAME}" in name or "{#NAME}" in name for name in names)


def test_no_two_things_have_one_uuid() -> None:
    found: list[str] = []

    def gather(part: object) -> None:
        if isinstance(part, dict):
            found.extend([part["uuid"]] if "uuid" in part else [])
            for child in part.values():
                gather(child)
        elif isinstance(part, list):
            for child in part:
                gather(child)

    gather(yaml.safe_load(zabbix_template()))
    assert len(found) == len(set(found)) > 50
