"""What the ledger says about a host, read after the host was looked at."""

from __future__ import annotations

from orchestrator.launch import Addresses
from orchestrator.ledger import Ledger
from orchestrator.reconcile.findings import Findings
from orchestrator.reconcile.leaks import Book, named_requests


def book_of(found: Findings, ledger: Ledger, addresses: Addresses | None, pools: frozenset[str]) -> Book:
    """All launches that the host's things can belong to.

    Raises:
        LedgerError: the ledger doesn't answer.
    """
    taken = tuple(item for item in addresses.taken() if item.host == found.host) if addresses is not None else ()
    launches = {record.request_id: record for record in ledger.launches()}
    for request_id in {*named_requests(found), *(item.request_id for item in taken)} - launches.keys():
        record = ledger.launch(request_id)
        if record is not None:
            launches[request_id] = record
    return Book(launches=launches, addresses=taken, pools=pools)
