"""The whole disk under a folder of another host: as the configuration tells it, else as its agent does.

The agent's `node_filesystem_*` series have the device of every mounted filesystem. blkio limits name disks, not
partitions, so a partition's number is taken off its name; names of partitions: Documentation/admin-guide/devices.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from collector.catalogue import host
from collector.errors import VdbmonError
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.survey.prometheus import PrometheusClient

_PARTITION = re.compile(r"(?P<disk>/dev/(?:(?:s|v|h|xv)d[a-z]+|(?:nvme\d+n\d+|mmcblk\d+|loop\d+|nbd\d+)(?=p\d)))p?\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDisks:
    """Disks of one host. Called with a folder of it.

    Attributes:
        told: the configuration's: disks by folder.
    """

    name: str
    told: Mapping[str, Path]
    prometheus: PrometheusClient

    def __call__(self, folder: Path) -> BlockDevice:
        """The disk under a folder.

        Raises:
            VdbmonError: `volume.no_disk`, nobody tells; or Prometheus doesn't answer.
        """
        found = disk_of_host(folder, self.told, {}) or disk_of_host(folder, self.told, self._mounted())
        if found is None:
            raise VdbmonError(
                "volume.no_disk",
                f"the disk under {folder} of {self.name} is not known: its agent shows no filesystem of a disk there",
                f"tell it in [hosts.disks]: {str(folder)!r} = '/dev/...'",
            )
        return BlockDevice(path=Path(found), number=found)

    def _mounted(self) -> Mapping[PurePath, str]:
        series = self.prometheus.vector(f'min by (mountpoint, device) ({host.FS_AVAIL.name}{{host="{self.name}"}})')
        return mounted(labels for labels, _ in series)


def mounted(series: Iterable[Mapping[str, str]]) -> Mapping[PurePath, str]:
    """Devices by mount point, from labels of `node_filesystem_*`."""
    return {
        PurePath(labels["mountpoint"]): labels["device"]
        for labels in series
        if "mountpoint" in labels and "device" in labels
    }


def disk_of_host(folder: PurePath, told: Mapping[str, Path], filesystems: Mapping[PurePath, str]) -> str | None:
    """The path of the disk under a folder: what was told goes before what was seen; None where neither knows."""
    found = _longest(folder, {PurePath(path): str(disk) for path, disk in told.items()})
    return found or disk_under(folder, filesystems)


def disk_under(folder: PurePath, filesystems: Mapping[PurePath, str]) -> str | None:
    """The path of the disk under a folder; None where that filesystem is on no disk, or on none that is shown."""
    device = _longest(folder, filesystems)
    if device is None or not device.startswith("/dev/"):
        return None
    partition = _PARTITION.fullmatch(device)
    return partition["disk"] if partition else device


def _longest(folder: PurePath, by_folder: Mapping[PurePath, str]) -> str | None:
    above = [path for path in by_folder if folder.is_relative_to(path)]
    return by_folder[max(above, key=lambda path: len(path.parts))] if above else None
