"""Secrets stand in files that only their owner may use: mode 0600, or 0400 as systemd's credentials have."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from collector.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: Path, key: str) -> str:
    """The one line in a file; `key` is the setting that names the file.

    Raises:
        ConfigError: unreadable, empty, not one printable line of ASCII, or not for its owner alone.
    """
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not plain text"
        raise ConfigError("secrets.unreadable", f"{key} {path}: {reason}", "check path and owner") from error
    _check_mode(path, mode, key)
    if not secret or not secret.isprintable():
        raise ConfigError("secrets.empty", f"{key} {path} holds no secret", "write it into the file, on one line")
    return secret


def check_owner_only(path: Path, key: str) -> None:
    """Make sure that a secret which a library reads itself, as a private key, is for its owner alone.

    Raises:
        ConfigError: it can't be found, or others may use it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError("secrets.unreadable", f"{key} {path}: {error.strerror}", "check path and owner") from error
    _check_mode(path, mode, key)


def others_may_use(mode: int) -> bool:
    """Whether anybody but the owner may do anything with a file of this mode."""
    return bool(mode & _OTHERS)


def _check_mode(path: Path, mode: int, key: str) -> None:
    if others_may_use(mode):
        raise ConfigError("secrets.mode", f"{key} {path} has mode {mode:04o}", f"chmod 600 {path}")
