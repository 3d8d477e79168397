"""Labels of sized volumes: a file beside each, where no container can write.

`FOLDER/.NAME.labels` is a JSON object for the volume that is mounted at `FOLDER/NAME`. The scheduler writes it, the
agent reads it: it says whose backup is in a volume when its container is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

_PREFIX, _SUFFIX = ".", ".labels"
_LARGEST = 64 * 1024


def labels_file(folder: Path, name: str) -> Path:
    """Where the labels of a volume are."""
    return folder / f"{_PREFIX}{name}{_SUFFIX}"


def remove_volume_labels(folder: Path, name: str) -> None:
    """Remove them, also half-written ones; nothing to do if there are none.

    Raises:
        OSError: the folder can't be written.
    """
    path = labels_file(folder, name)
    path.unlink(missing_ok=True)
    _new(path).unlink(missing_ok=True)


def write_volume_labels(folder: Path, name: str, labels: Mapping[str, str]) -> None:
    """Write them as a whole or not at all.

    Raises:
        OSError: the folder can't be written.
    """
    path = labels_file(folder, name)
    new = _new(path)
    new.write_text(json.dumps(dict(labels), sort_keys=True) + "\n")
    new.rename(path)


def read_volume_labels(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Path and labels of every volume that has some; a file of another shape is left out, a missing folder is empty."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIX) and path.name.startswith("."))
    except OSError:
        return
    for path in paths:
        try:
            with path.open("rb") as file:
                labels = json.loads(file.read(_LARGEST))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values()):
            yield str(folder / path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)), labels


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
