"""What `vdbmon serve` says of the fleet: capacity, the ledger, decisions, and how serve itself fares.

Declared here because rules and panels refer to them, and those must not know the scheduler. `host` is the host that a
figure is about; what is about the whole fleet has none. `class` is a resource class (`slots`, `cpu`, `memory` ...) in
its base unit: slots, cores, bytes, bytes or operations per second.

Capacity, ledger, catalogue and placement come from the one serve that holds the lease; one that waits for it has only
`vdbmon_serve_*`. What could not be read lately is left out, never repeated.
"""

from __future__ import annotations

from collector.metrics import Unit, counter, gauge, info

SERVE_JOB = "vdbmon-serve"
"""The scrape job of serve, apart from that of the agents."""

_DIMENSION = ("host", "class")

INVENTORY = gauge("vdbmon_capacity_inventory", "What the host has in all.", *_DIMENSION)
RESERVED = gauge("vdbmon_capacity_reserved", "What stays free for the host itself.", *_DIMENSION)
SELLABLE = gauge(
    "vdbmon_capacity_sellable", "What may be allocated: all but the reserve, stretched by the ratio.", *_DIMENSION
)
ALLOCATED = gauge("vdbmon_capacity_allocated", "What the ledger has given away.", *_DIMENSION)
OTHERS = gauge("vdbmon_capacity_others", "What containers may take that vdbmon did not place.", *_DIMENSION)
USED = gauge("vdbmon_capacity_used", "What is really gone; absent where it isn't known.", *_DIMENSION)
FREE = gauge("vdbmon_capacity_free", "What can still be given away; below zero where overdrawn.", *_DIMENSION)
USED_AGE = gauge("vdbmon_capacity_used_age_seconds", "How old the host's `used` is.", "host", unit=Unit.SECONDS)
FULL_AT = gauge(
    "vdbmon_capacity_full_timestamp_seconds",
    "When the fleet is full at the growth of the last weeks; absent if it isn't within ten years.",
    "class",
    unit=Unit.TIMESTAMP,
)
ADDRESSES = gauge(
    "vdbmon_capacity_addresses",
    "Addresses of an address pool by state: free, held by launches, resting after they were given back.",
    "pool",
    "state",
)
HOST_OPEN = gauge("vdbmon_placement_host_open", "1 if nothing closes the host, whatever is left there.", "host")
HOST_CLOSED = gauge("vdbmon_placement_host_closed", "1 for each code of a reason that closes the host.", "host", "code")
ENGINE_UP = gauge("vdbmon_placement_engine_up", "1 if the host's engine answered the last survey.", "host")

LEDGER_UP = gauge("vdbmon_ledger_up", "1 if the ledger answered when it was last asked.")
LAUNCHES = gauge("vdbmon_ledger_launches", "Launches that hold something of a host, by state.", "host", "state")
OLDEST_LAUNCH = gauge(
    "vdbmon_ledger_oldest_launch_timestamp_seconds",
    "When the launch that is longest in this state got there.",
    "host",
    "state",
    unit=Unit.TIMESTAMP,
)
LEAKS = gauge("vdbmon_ledger_leaks", "What is on a host and belongs to no live launch, by kind.", "host", "kind")
OLDEST_LEAK = gauge(
    "vdbmon_ledger_oldest_leak_timestamp_seconds",
    "When the oldest of these leaks was first seen.",
    "host",
    "kind",
    unit=Unit.TIMESTAMP,
)
ENTRIES = counter("vdbmon_ledger_entries_total", "Entries of the record (docs/ledger.md), by kind.", "kind")
PRUNED = counter("vdbmon_ledger_pruned_total", "Old entries of the record that were deleted.")

_OF_A_JOB = ("host", "source", "backup_job")
BACKUPS = gauge(
    "vdbmon_catalogue_backups", "Backups in the catalogue whose volume is there, by state.", "source", "kind", "state"
)
LOGS_AWAITED = gauge(
    "vdbmon_catalogue_logs_awaited_since_timestamp_seconds",
    "When the last good backup ended, where binary logs are fetched and don't lead on from it yet.",
    "source",
    unit=Unit.TIMESTAMP,
)
CATALOGUE_LAST_SUCCESS = gauge(
    "vdbmon_catalogue_last_success_timestamp_seconds",
    "End of the last good run of a job whose volume is there.",
    *_OF_A_JOB,
    unit=Unit.TIMESTAMP,
)
CATALOGUE_LAST_VERIFIED = gauge(
    "vdbmon_catalogue_last_verified_timestamp_seconds",
    "When a restore of a backup whose volume is there was last found to be good.",
    "host",
    "source",
    unit=Unit.TIMESTAMP,
)
CATALOGUE_LAST_COPY = gauge(
    "vdbmon_catalogue_last_copy_timestamp_seconds",
    "When a backup was last copied to another place and found whole there.",
    "host",
    "source",
    unit=Unit.TIMESTAMP,
)
CATALOGUE_LAST_FAILURE = gauge(
    "vdbmon_catalogue_last_failure_timestamp_seconds",
    "Start of the last run that failed; its name is that of its volume.",
    "name",
    *_OF_A_JOB,
    unit=Unit.TIMESTAMP,
)

DECISIONS = counter("vdbmon_placement_decisions_total", "Requests by outcome: accepted or refused.", "outcome")
REFUSALS = counter(
    "vdbmon_placement_refusals_total",
    "Refused requests by code: so many had this reason against at least one host.",
    "code",
)
RECONCILED = counter(
    "vdbmon_placement_reconciled_total",
    "What reconciling did: launches finished or undone, removals finished, jobs settled that had ended, leaks removed.",
    "action",
)

LEASE_HELD = gauge("vdbmon_serve_lease_held", "1 if this serve holds the lease.")
LEASE_TOKEN = gauge("vdbmon_serve_lease_token", "Fencing token of the lease as last seen: how often it changed hands.")
LAST_BEAT = gauge("vdbmon_serve_last_beat_timestamp_seconds", "When the last beat ended.", unit=Unit.TIMESTAMP)
BEAT_DURATION = gauge("vdbmon_serve_beat_duration_seconds", "Time that the last beat took.", unit=Unit.SECONDS)
BEAT_SUCCESSFUL = gauge("vdbmon_serve_beat_successful", "1 if every task of the last beat ended well and in time.")
TASK_UP = gauge("vdbmon_serve_task_up", "1 if the task's last run ended well, and none hangs.", "task")
TASK_DURATION = gauge(
    "vdbmon_serve_task_duration_seconds",
    "Time of the task's last run, or of the one under way if that is longer.",
    "task",
    unit=Unit.SECONDS,
)
TASK_LAST_SUCCESS = gauge(
    "vdbmon_serve_task_last_success_timestamp_seconds", "When the task last ended well.", "task", unit=Unit.TIMESTAMP
)
TASK_ERRORS = counter("vdbmon_serve_task_errors_total", "Runs of the task that failed.", "task")
SERVE_INFO = info("vdbmon_serve_info", "Version of serve, and who it is in the lease.", "version", "holder")
