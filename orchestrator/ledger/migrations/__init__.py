"""Alembic's environment for the ledger; ships inside the package and is applied when a ledger is opened."""
