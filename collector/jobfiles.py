"""The files in which jobs keep their metrics, `metrics/*.prom` of a volume, read by a child process.

What is refused, and how the files are opened, is in `collector.filesystem_child`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from collector.child import ChildPool, Unanswered


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file that was read. `modified` is in Unix seconds, and whatever the job makes of it."""

    text: str
    modified: float


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What a volume holds: the files, oldest first, and the reasons (one word each) why others were refused."""

    files: tuple[JobFile, ...] = ()
    refused: tuple[str, ...] = ()


def ask_job_files(children: ChildPool, volume: str) -> JobFiles:
    """The job files beneath a volume's path on the host."""
    answer = children.ask(volume, b"jobs\0" + os.fsencode(volume))
    if isinstance(answer, Unanswered):
        return JobFiles(refused=("hangs",) if answer is Unanswered.HANGS else ("not_asked",))
    found = json.loads(answer)
    if isinstance(found, dict):
        return JobFiles(refused=("unreadable",))
    files = [JobFile(item["text"], item["mtime"]) for item in found if "text" in item]
    refused = [item["refused"] for item in found if "refused" in item]
    return JobFiles(tuple(sorted(files, key=lambda file: file.modified)), tuple(refused))
