"""Dashboards of a folder, as files."""

from __future__ import annotations

from pathlib import Path

from collector.errors import VdbmonError


def read_folder(folder: Path) -> dict[str, bytes]:
    """Its `*.json` files by name.

    Raises:
        VdbmonError: one can't be read, or there is none.
    """
    files = {}
    for path in sorted(folder.glob("*.json")):
        try:
            files[path.name] = path.read_bytes()
        except OSError as error:
            raise VdbmonError(
                "dashboards.unreadable", f"can't read {path}: {error.strerror}", "check its mode"
            ) from error
    if not files:
        raise VdbmonError("dashboards.none", f"{folder} holds no *.json", "name the folder of the dashboards")
    return files
