"""What sysfs knows of network interfaces (Documentation/ABI/testing/sysfs-class-net)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from collector.clock import Clock
from collector.host.files import KeptFiles
from collector.kernelfile import SkippedLines, parse_limit

# Seconds. Reading `speed` takes the kernel's one lock for all network configuration and may ask the card's firmware.
SPEED_EVERY = 60.0

_WORD = re.compile(rb"[a-z]+\n")


@dataclass(frozen=True, slots=True)
class Link:
    """One interface; None where it doesn't tell.

    Attributes:
        carrier: 1 or 0; not known while the interface is down.
        mtu: bytes.
        speed: Mbit/s.
    """

    operstate: str | None
    carrier: int | None
    mtu: int | None
    speed: int | None


def parse_attribute(data: bytes | None, skipped: SkippedLines) -> int | None:
    """A number of 0 or more; a speed of -1 says that it isn't known."""
    return None if data is None else parse_limit(data, skipped)


def parse_word(data: bytes | None, skipped: SkippedLines) -> str | None:
    """A single word."""
    if data is None:
        return None
    if _WORD.fullmatch(data):
        return data[:-1].decode()
    skipped.add()
    return None


class LinkReader:
    """Reads the attributes of interfaces; gives the files of those back that are gone."""

    def __init__(self, folder: Path, skipped: SkippedLines, monotonic: Clock) -> None:
        self._folder = folder
        self._skipped = skipped
        self._monotonic = monotonic
        self._files: dict[str, KeptFiles] = {}
        self._links: dict[str, Link] = {}
        self._speeds_read = float("-inf")

    def read(self, devices: Iterable[str]) -> dict[str, Link]:
        """The state of each of these interfaces; a speed is read anew when the rest has changed, or a minute later."""
        names = list(devices)
        for gone in self._files.keys() - set(names):
            self._files.pop(gone).close()
        now = self._monotonic()
        speeds_are_old = now - self._speeds_read >= SPEED_EVERY
        if speeds_are_old:
            self._speeds_read = now
        self._links = {name: self._link(name, read_speed=speeds_are_old) for name in names}
        return self._links

    def close(self) -> None:
        """Give all descriptors back."""
        for files in self._files.values():
            files.close()
        self._files.clear()

    def _link(self, device: str, *, read_speed: bool) -> Link:
        files = self._files.get(device)
        if files is None:
            files = self._files[device] = KeptFiles(self._folder / device)
        operstate = parse_word(files.read_optional("operstate"), self._skipped)
        carrier = parse_attribute(files.read_optional("carrier"), self._skipped)
        mtu = parse_attribute(files.read_optional("mtu"), self._skipped)
        before = self._links.get(device)
        if read_speed or before is None or (before.operstate, before.carrier) != (operstate, carrier):
            speed = parse_attribute(files.read_optional("speed"), self._skipped)
        else:
            speed = before.speed
        return Link(operstate, carrier, mtu, speed)
