"""One file as a tar stream of the Engine API: read as something that a container wrote, and written.

The daemon resolves links within the container alone, and hands over a link itself where the last part of the path is
one; so what is no regular file is none.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

_TAR_BLOCKS = 10 << 10
"""Headers and padding around one file: a stream that is longer than the file and this holds something else."""


def archive_of(name: str, content: bytes) -> bytes:
    """A stream with this one file, for its owner alone."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:") as archive:
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def only_file(chunks: Iterable[bytes], *, largest: int) -> bytes | None:
    """The content of a stream's first member; None if that is no regular file, or holds more than `largest` bytes."""
    stream = io.BytesIO()
    for chunk in chunks:
        stream.write(chunk)
        if stream.tell() > largest + _TAR_BLOCKS:
            return None
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            member = archive.next()
            file = archive.extractfile(member) if member is not None and member.isreg() else None
            return None if file is None or member is None or member.size > largest else file.read()
    except tarfile.TarError:
        return None
