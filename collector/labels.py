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
