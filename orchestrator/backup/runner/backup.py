"""The backup job: one physical backup of a server, from this host or from the source's half of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .attempt import Attempt, Result, Surroundings
from .directio import DirectWriter
from .errors import Code, JobFailedError
from .facts import parse_facts
from .jobs import BackupJob, Server
from .mariadb_backup import Hearer, Produced, info_of, produce_backup
from .pipeline import Sink
from .progress import Progress
from .record import ENCRYPTED_SUFFIX, STREAM_NAME, Record, ServerFacts, StoredFile
from .remote import receive_backup
from .volume import write_sums


@dataclass(frozen=True, slots=True)
class _Hearer:
    """Passes on what the producing side tells, with the bytes that were stored."""

    to: Progress
    writer: DirectWriter

    def progress(self, raw: int, expected: int | None, /) -> None:
        self.to.expected_raw = expected
        self.to.update(raw=raw, stored=self.writer.bytes_written)

    def say(self, text: str, /) -> None:
        self.to.say(text)

    def copied(self) -> None:
        self.to.copied()


def run_backup(job: BackupJob, surroundings: Surroundings) -> Record:
    """Make the backup; its record."""
    attempt = Attempt(job, job.kind, surroundings, parent=job.parent)
    return attempt.run(lambda folder: _fill(job, surroundings, folder))


def _fill(job: BackupJob, surroundings: Surroundings, folder: Path) -> Result:
    name = STREAM_NAME + (ENCRYPTED_SUFFIX if job.request.recipients else "")
    progress = surroundings.progress
    with DirectWriter(folder / name) as writer:
        produced = _produce(job, writer.write, _Hearer(progress, writer))
        stream = StoredFile(name=name, bytes=writer.bytes_written, sha256=writer.finish())
    progress.update(raw=produced.bytes_raw, stored=stream.bytes)
    for path, text in produced.files.items():
        (folder / path).parent.mkdir(mode=0o700, exist_ok=True)
        (folder / path).write_text(text)
    facts = parse_facts(info_of(produced.files), lock_seconds=produced.lock_seconds)
    _check_lsn(job, facts)
    sums = write_sums(folder, {name: stream.sha256})
    return Result(
        facts=facts,
        files=(stream, sums),
        recipients=job.request.recipients,
        tables=produced.tables,
        tools=produced.tools,
    )


def _produce(job: BackupJob, sink: Sink, hear: Hearer) -> Produced:
    if isinstance(job.origin, Server):
        return produce_backup(job.origin, job.request, sink, hear)
    return receive_backup(job.origin, job.request, sink, hear, silence=job.silence)


def _check_lsn(job: BackupJob, facts: ServerFacts) -> None:
    """An increment must begin where its parent ends, on the same server's log."""
    wanted = job.request.from_lsn or 0
    if facts.to_lsn is None or facts.from_lsn != wanted:
        raise JobFailedError(Code.TOOL_FAILED, f"the backup is from LSN {facts.from_lsn}, not from {wanted}")
    if facts.to_lsn < wanted:
        text = f"the source is at LSN {facts.to_lsn}, before its parent's end at {wanted}: it is another server now"
        raise JobFailedError(Code.SOURCE_REPLACED, text)
