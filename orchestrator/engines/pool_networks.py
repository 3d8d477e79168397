"""A network of an engine per address pool: a bridge with the pool's range and gateway, made where it is missing.

The bridge takes the pool's gateway address. Where the host's uplink is to carry the pool (a VLAN, Open vSwitch), the
operator makes a network of this name and range himself, with the driver that fits; it is used as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from docker.errors import NotFound
from docker.types import IPAMConfig, IPAMPool

from collector import labels
from collector.errors import ConfigError, VdbmonError
from orchestrator.engines.connection import Connection
from orchestrator.engines.engine import EngineRefusedError
from orchestrator.launch.protocols import FoundNetwork
from orchestrator.settings import PoolSettings


class PoolNetworks:
    """The pools' networks on all hosts; see `Networks`."""

    def __init__(self, pools: Mapping[str, PoolSettings], connections: Mapping[str, Connection]) -> None:
        self._pools = pools
        self._connections = connections

    def ensure(self, host: str, pool: str) -> str:
        """See `Networks`. Once made it stays: launches to come need it, and it holds nothing.

        Raises:
            VdbmonError: also `network.differs`, one of that name has another range.
        """
        settings, connection = self._pools.get(pool), self._connections[host]
        if settings is None:
            raise ConfigError("request.pool", f"no pool {pool!r}", "describe it in [[pools]]")
        name = network_name(pool)
        found = _inspect(connection, name)
        if found is None:
            try:
                _create(connection, name, settings)
            except EngineRefusedError:
                # Two launches at once: the engine refuses the second one's range.
                found = _inspect(connection, name)
                if found is None:
                    raise
        if found is not None and settings.range not in _ranges(found):
            shown = ", ".join(map(str, _ranges(found))) or "no range"
            raise VdbmonError(
                "network.differs",
                f"network {name} on {host} has {shown}, pool {pool} has {settings.range}",
                "remove it there when nothing uses it, or mend [[pools]]",
            )
        return name

    def found(self, host: str) -> tuple[FoundNetwork, ...]:
        """See `Networks`."""
        connection = self._connections[host]
        with connection.answering():
            api = connection.client().api
            items = api.networks(filters={"label": f"{labels.MANAGED}=true"})
            return tuple(_found(api.inspect_network(item["Id"])) for item in sorted(items, key=lambda one: one["Name"]))


def network_name(pool: str) -> str:
    """What the network of a pool is called on every host."""
    return f"vdbmon-{pool}"


def _create(connection: Connection, name: str, pool: PoolSettings) -> None:
    ours = {labels.MANAGED: "true", labels.POOL: pool.name}
    if pool.vlan is not None:
        ours[labels.VLAN] = str(pool.vlan)
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(pool.range), gateway=str(pool.gateway))])
    with connection.answering():
        connection.client().api.create_network(name, driver="bridge", ipam=ipam, labels=ours, check_duplicate=True)


def _inspect(connection: Connection, name: str) -> dict[str, Any] | None:
    with connection.answering():
        try:
            found: dict[str, Any] = connection.client().api.inspect_network(name)
        except NotFound:
            return None
        return found


def _ranges(found: dict[str, Any]) -> list[IPv4Network]:
    configs = (found.get("IPAM") or {}).get("Config") or ()
    return [IPv4Network(item["Subnet"]) for item in configs if ":" not in item.get("Subnet", ":")]


def _found(answer: dict[str, Any]) -> FoundNetwork:
    containers: dict[str, dict[str, str]] = answer.get("Containers") or {}
    return FoundNetwork(
        name=answer["Name"],
        pool=(answer["Labels"] or {}).get(labels.POOL, ""),
        created_at=datetime.fromisoformat(answer["Created"]).timestamp(),
        addresses={key: item["IPv4Address"].partition("/")[0] for key, item in containers.items()},
    )
