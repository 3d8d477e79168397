"""Debian's Zabbix server on a PostgreSQL of its own, with the web frontend's API; ready in about 4 seconds.

The packaged data set takes half a minute to load, nearly all of it templates for devices. Only what the server and the
API can't do without is loaded here.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from zabbix_utils import ItemValue, Sender, ZabbixAPI
from zabbix_utils.exceptions import ProcessingError

from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

DEADLINE = 30.0
TRAPPER, ACTIVE_AGENT = 2, 7  # types of items
FLOAT, UNSIGNED, TEXT = 0, 3, 4  # types of values

_SQL = Path("/usr/share/zabbix-server-pgsql")
_FRONTEND = Path("/usr/share/zabbix")
_NEEDED_TABLES = (
    "config|config_autoreg_tls|expressions|globalmacro|hstgrp|regexps|role|role_rule|users|usrgrp|users_groups"
)
_PROBE = "vdbmon.probe"
_GROUP = "vdbmon"


@dataclass(slots=True)
class Zabbix:
    """A server that can be stopped and started again; its database and API stay."""

    folder: Path
    port: int
    api: Any
    _server: subprocess.Popen[bytes] | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def address(self) -> str:
        """Where values are sent."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run the server, as root; it listens when this returns."""
        command = ["zabbix_server", "-f", "-c", str(self.folder / "server.conf")]
        self._server = self._stack.enter_context(process(command, self.folder / "server.log"))
        wait_until(self._answers, deadline=DEADLINE, what="Zabbix answers")

    def stop(self) -> None:
        """End the server; it writes what it has in memory."""
        self._stack.close()

    def pids(self) -> list[int]:
        """The server's processes."""
        assert self._server is not None
        return [self._server.pid, *(child.pid for child in psutil.Process(self._server.pid).children())]

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        for pid in self.pids():
            os.kill(pid, number)

    def create_host(
        self, name: str, items: dict[str, int] | None = None, *, item_type: int = TRAPPER, **more: object
    ) -> dict[str, str]:
        """A host with items of these keys and value types; ids by key. The server knows them when this returns."""
        group = self.api.hostgroup.get(filter={"name": _GROUP}) or self.api.hostgroup.create(name=_GROUP)
        groupid = group["groupids"][0] if isinstance(group, dict) else group[0]["groupid"]
        hostid = self.api.host.create(host=name, groups=[{"groupid": groupid}], **more)["hostids"][0]
        delay = "0" if item_type == TRAPPER else "1m"
        wanted = {key: {"type": item_type, "value_type": kind, "delay": delay} for key, kind in (items or {}).items()}
        wanted[_PROBE] = {"type": TRAPPER, "value_type": FLOAT}
        created = self.api.item.create(
            [{"hostid": hostid, "name": key, "key_": key, **settings} for key, settings in wanted.items()]
        )
        wait_until(lambda: self.knows(name, _PROBE), deadline=DEADLINE, what=f"{name} in Zabbix' cache")
        return {"hostid": hostid, **dict(zip(wanted, created["itemids"], strict=True))}

    def knows(self, host: str, key: str) -> bool:
        """Whether the server takes a value of this item."""
        return bool(self._processed(host, key))

    def items(self, hostid: str) -> dict[str, dict[str, Any]]:
        """The host's items by key."""
        found = self.api.item.get(hostids=hostid, output=["key_", "lastvalue", "lastclock", "lastns", "error"])
        return {item["key_"]: item for item in found}

    def history(self, itemid: str, value_type: int = FLOAT) -> list[tuple[int, str]]:
        """What is stored: nanoseconds and value, sorted."""
        rows = self.api.history.get(itemids=itemid, history=value_type, output=["clock", "ns", "value"])
        return sorted((int(row["clock"]) * 10**9 + int(row["ns"]), row["value"]) for row in rows)

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "server.log").read_text()[-2000:]
        return self._processed("nobody", "nothing") is not None

    def _processed(self, host: str, key: str) -> int | None:
        """How many of one value of this item the server took; None if it doesn't answer."""
        try:
            return int(Sender("127.0.0.1", self.port, timeout=5).send([ItemValue(host, key, "0")]).processed)
        except (OSError, ProcessingError):
            return None


@contextlib.contextmanager
def zabbix() -> Iterator[Zabbix]:
    """A Zabbix server with an empty configuration and the user Admin."""
    # Not in pytest's folder: PostgreSQL runs as another user, and paths of its sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="vdbmon-zabbix-"))
    folder.chmod(0o755)
    try:
        with _postgres(folder), _frontend(folder) as url:
            api = ZabbixAPI(url=url)
            wait_until(lambda: _logged_in(api), deadline=DEADLINE, what="Zabbix' API")
            running = Zabbix(folder, _free_low_port(), api)
            (folder / "server.conf").write_text(_server_settings(folder, running.port))
            running.start()
            try:
                yield running
            finally:
                running.stop()
    finally:
        shutil.rmtree(folder)


def _free_low_port() -> int:
    """A free port below 32768, the highest that Zabbix listens on; those that the kernel gives away lie above."""
    for port in random.sample(range(20_000, 32_767), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def _logged_in(api: ZabbixAPI) -> bool:
    api.login(user="Admin", password="zabbix")  # noqa: S106 - what the packaged data set has
    return True


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[None]:
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data = folder / "pg"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    initdb = [*as_postgres, str(programs / "initdb"), "-D", str(data), "-A", "trust", "--no-sync", "--no-instructions"]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd=data)
    server = [*as_postgres, str(programs / "postgres"), "-D", str(data), "-k", str(data), "-F", "-c"]
    with process([*server, "listen_addresses="], folder / "postgres.log"):
        sql = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(data), "-U", "postgres"]
        wait_until(lambda: _run(sql, "select 1") == 0, deadline=DEADLINE, what="PostgreSQL")
        assert _run(sql, "create role zabbix superuser login; create database zabbix owner zabbix") == 0
        assert _run([*sql[:-1], "zabbix", "-1", "zabbix"], _schema()) == 0, (folder / "postgres.log").read_text()
        yield


def _run(command: list[str], sql: str) -> int:
    return subprocess.run(
        command, input=sql.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode


def _schema() -> str:
    data = gzip.decompress((_SQL / "data.sql.gz").read_bytes()).decode()
    rows = re.findall(rf"^INSERT INTO (?:{_NEEDED_TABLES}) .*;$", data, re.MULTILINE)
    return "\n".join((gzip.decompress((_SQL / "schema.sql.gz").read_bytes()).decode(), *rows))


@contextlib.contextmanager
def _frontend(folder: Path) -> Iterator[str]:
    web, port = folder / "web", free_port()
    shutil.copytree(_FRONTEND, web, ignore=shutil.ignore_patterns("assets", "locale"))
    settings = folder / "zabbix.conf.php"
    settings.write_text(
        f"<?php $DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '{folder / 'pg'}', 'PORT' => '5432', 'DATABASE' => 'zabbix',"
        " 'USER' => 'zabbix', 'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'DOUBLE_IEEE754' => true];"
    )
    config_file = web / "include/classes/core/CConfigFile.php"
    config_file.write_text(config_file.read_text().replace("/etc/zabbix/zabbix.conf.php", str(settings)))
    command = ["php", "-d", "date.timezone=UTC", "-d", "post_max_size=16M", "-d", "opcache.enable_cli=1"]
    with process([*command, "-S", f"127.0.0.1:{port}", "-t", str(web)], folder / "php.log"):
        url = f"http://127.0.0.1:{port}/"
        wait_until(lambda: http_get(f"{url}robots.txt") is not None, deadline=DEADLINE, what="PHP's server")
        yield url


def _server_settings(folder: Path, port: int) -> str:
    settings = {
        "DBHost": folder / "pg",
        "DBName": "zabbix",
        "DBUser": "zabbix",
        "ListenIP": "127.0.0.1",
        "ListenPort": port,
        "LogType": "console",
        "PidFile": folder / "server.pid",
        "SocketDir": folder,
        "AllowRoot": 1,
        "CacheUpdateFrequency": 1,
        "StartTrappers": 2,
        "StartDBSyncers": 1,
        "StartPollers": 1,
        "StartPingers": 0,
        "StartDiscoverers": 0,
        "StartHTTPPollers": 0,
        "StartHistoryPollers": 0,
        "StartODBCPollers": 0,
        "StartPreprocessors": 1,
        "StartLLDProcessors": 1,
        "StartTimers": 1,
        "StartAlerters": 1,
        "StartEscalators": 1,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
