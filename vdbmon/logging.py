"""Logging of long-running commands: one line an event, to standard error, for the supervisor or journald to keep."""

from __future__ import annotations

import logging


def configure_logging() -> None:
    """Set up the root logger once, at the start of a command."""
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
