"""Runs migrations on the connection of the ledger that is being opened; its transaction is the caller's."""

from __future__ import annotations

from alembic import context

from orchestrator.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
