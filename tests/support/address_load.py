"""A scheduler that takes addresses of a pool and gives some back, for the test that runs several at once.

python -m tests.support.address_load URL LAUNCHES       waits for a line on stdin; prints what it has, as JSON
"""

from __future__ import annotations

import json
import sys
import uuid
from ipaddress import IPv4Address, IPv4Network

from collector.errors import VdbmonError
from orchestrator.ledger import ConcurrentUpdateError, open_ledger
from orchestrator.placement.fixed_addresses import FixedAddresses
from orchestrator.settings import PoolSettings
from tests.support.ledger import allocate, record

POOL = PoolSettings(name="net", range=IPv4Network("10.20.0.0/26"), gateway=IPv4Address("10.20.0.1"), quarantine=1000.0)


def main(url: str, launches: int) -> None:
    """Every third address is given back: it rests, so nobody may get it again."""
    ledger = open_ledger(url)
    book = FixedAddresses(ledger, {POOL.name: POOL}, lambda: 5.0)
    requests = [uuid.uuid4().hex for _ in range(launches)]
    for request_id in requests:
        _allocate_alone(url, request_id)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    taken, refused = [], 0
    for number, request_id in enumerate(requests):
        try:
            taken.append(book.take(request_id, "db1", POOL.name).ip)
        except VdbmonError as error:
            if error.code != "pool.full":
                raise
            refused += 1
        if number % 3 == 0:
            book.give_back(request_id)
    ledger.close()
    json.dump({"taken": taken, "refused": refused}, sys.stdout)


def _allocate_alone(url: str, request_id: str) -> None:
    """A launch of its own host, so that only the pool is fought for."""
    ledger = open_ledger(url)
    while True:
        try:
            launch = record(f"b-{request_id}", request_id, host=f"h-{request_id}", source=f"s-{request_id}")
            allocate(ledger, launch)
        except ConcurrentUpdateError:
            continue
        break
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
