"""A fleet of stand-ins for the shell's benchmark: engines that answer what a probe asks, one that hangs, a Prometheus.

Run as `python -m tests.bench.place_fleet HOSTS`: prints its ports as JSON (engines, hung, prometheus), serves until its
standard input ends. One process, one event loop: it must cost less than the command that is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from orchestrator.survey import telemetry
from tests.support.placing import GIB

INFO = {"ID": "STAND-IN", "DockerRootDir": "/var/lib/docker"}
ANSWERS = {
    "/_ping": "OK",
    "/version": json.dumps({"ApiVersion": "1.41", "Version": "20.10"}),
    "/containers/json": json.dumps([{"Id": f"c{number}", "Names": [f"/x{number}"]} for number in range(5)]),
    "/info": json.dumps(INFO),
}


def _engine(path: str) -> str:
    """The Docker Engine API, with or without a version in the path."""
    found = urlsplit(path).path
    return ANSWERS["/" + found.split("/", 2)[2] if found.startswith("/v1.") else found]


def _prometheus(path: str, hosts: int) -> str:
    """What `orchestrator.survey.gate` and `orchestrator.survey.telemetry` ask, for that many hosts."""
    parts, now = urlsplit(path), time.time()
    if parts.path.endswith("runtimeinfo"):
        return _success({"startTime": datetime.fromtimestamp(now - 3600, UTC).isoformat()})
    if parts.path.endswith("rules"):
        return _success({"groups": [_group(now)]})
    query = parse_qs(parts.query)["query"][0]
    if query == "time()":
        return _success({"result": [now, str(now)]})
    result = [
        {"metric": labels, "value": [now, value]} for number in range(hosts) for labels, value in _series(query, number)
    ]
    return _success({"result": result})


def _group(now: float) -> dict[str, object]:
    watchdog = {"state": "firing", "labels": {}, "annotations": {}}
    rules = [
        {"type": "alerting", "name": "Watchdog", "labels": {}, "alerts": [watchdog], "health": "ok"},
        {"type": "alerting", "name": "Full", "labels": {"gate": "place"}, "alerts": [], "health": "ok"},
    ]
    evaluated = datetime.fromtimestamp(now - 1, UTC).isoformat()
    return {"name": "vdbmon-place", "interval": 5, "lastEvaluation": evaluated, "rules": rules}


def _series(query: str, number: int) -> list[tuple[dict[str, str], str]]:
    host = {"host": f"db{number:03}"}
    if query == telemetry._UP:
        return [(host, "1")]
    if query in {telemetry._SCRAPE_AGE, telemetry._INPUT_AGE}:
        return [(host, "2.5")]
    if query == telemetry._MEMORY_AVAILABLE:
        return [(host, str(100 * GIB))]
    if query == telemetry._FS_AVAILABLE:
        return [({**host, "mountpoint": "/", "device": "/dev/vda"}, str(3000 * GIB))]
    if query == telemetry._NOW:
        return [({**host, "class": key.value}, "1") for key in telemetry.NOW]
    containers = [{**host, "name": f"x{one}"} for one in range(5)]
    return [({**labels, "class": key.value}, "1") for labels in containers for key in telemetry.NOW]


def _success(data: object) -> str:
    return json.dumps({"status": "success", "data": data})


async def _serve(hosts: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, prometheus: bool) -> None:
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            path = request.split()[1].decode()
            body = (_prometheus(path, hosts) if prometheus else _engine(path)).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    servers = {
        "engines": await asyncio.start_server(lambda r, w: answer(r, w, prometheus=False), "127.0.0.1", 0, backlog=512),
        "hung": await asyncio.start_server(hang, "127.0.0.1", 0),
        "prometheus": await asyncio.start_server(lambda r, w: answer(r, w, prometheus=True), "127.0.0.1", 0),
    }
    ports = {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
