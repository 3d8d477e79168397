"""Labels that vdbmon puts on the containers and volumes it makes; desired limits are in the ledger, not here."""

from __future__ import annotations

MANAGED = "io.vdbmon.managed"
NAME = "io.vdbmon.name"
REQUEST_ID = "io.vdbmon.request-id"
JOB = "io.vdbmon.job"
SOURCE = "io.vdbmon.source"
GENERATION = "io.vdbmon.generation"
SPEC_HASH = "io.vdbmon.spec-hash"
IMAGE = "io.vdbmon.image"
POOL = "io.vdbmon.pool"
VLAN = "io.vdbmon.vlan"
SIZE = "io.vdbmon.size"
"""Bytes that a volume was wanted with, where the volume itself has no size."""
