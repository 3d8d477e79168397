"""Who gives a command: what the record says of every act of an operator."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping


def this_operator(environment: Mapping[str, str] = os.environ) -> str:
    """The login name; behind sudo the name of the one who called it."""
    return environment.get("SUDO_USER") or getpass.getuser()
