"""Generated files: writing them whole, and telling how a folder differs from them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from collector.errors import VdbmonError


def differences(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """One line per file below `folder` that is missing or not as generated.

    Raises:
        VdbmonError: a file exists and can't be read.
    """
    lines = []
    for name, content in files.items():
        path = folder / name
        try:
            if path.read_bytes() != content:
                lines.append(f"{path} differs")
        except (FileNotFoundError, NotADirectoryError):
            lines.append(f"{path} is missing")
        except OSError as error:
            raise _file_error("read", path, error) from error
    return lines


def write_files(folder: Path, files: Mapping[str, bytes], private: Collection[str] = ()) -> list[Path]:
    """Write the files below `folder`, each replaced at once so that no reader sees half of it; their paths.

    Those that are `private` hold secrets: only their owner can read them, at no time anybody else.

    Raises:
        VdbmonError: a file can't be written.
    """
    return [_replace(folder / name, content, 0o600 if name in private else 0o666) for name, content in files.items()]


def write_if_changed(path: Path, text: str, *, mode: int = 0o666) -> bool:
    """Replace a file at once, unless that is what it says already; whether it has changed.

    Raises:
        VdbmonError: the file can't be read or written.
    """
    content = text.encode()
    if not differences(path.parent, {path.name: content}):
        return False
    _replace(path, content, mode)
    return True


def _replace(path: Path, content: bytes, mode: int) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)
            partial.touch(mode, exist_ok=False)
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _file_error("write", path, error) from error
    return path


def _file_error(verb: str, path: Path, error: OSError) -> VdbmonError:
    return VdbmonError(f"files.{verb}", f"can't {verb} {path}: {error.strerror}", "check the path and its mode")
