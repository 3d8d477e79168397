"""One cgroup read again and again, whatever its version; which files make which part is in `v1` and `v2`."""

from __future__ import annotations

from collections.abc import Mapping

from collector.cgroup.files import Part
from collector.cgroup.reading import (
    CgroupReading,
    CpuLimits,
    CpuReading,
    DeviceLimit,
    IoReading,
    MemoryReading,
    Tasks,
)


class CgroupReader:
    """The parts of a reading, each with its kept-open files."""

    def __init__(
        self,
        *,
        cpu: Part[CpuReading],
        cpu_limits: Part[CpuLimits],
        memory: Part[MemoryReading],
        io: Part[IoReading],
        io_limits: Part[dict[str, DeviceLimit]],
        tasks: Part[Tasks],
        pressure: Part[Mapping[tuple[str, str], float]],
    ) -> None:
        self._cpu = cpu
        self._cpu_limits = cpu_limits
        self._memory = memory
        self._io = io
        self._io_limits = io_limits
        self._tasks = tasks
        self._pressure = pressure

    def read(self) -> CgroupReading:
        """What the kernel says now; all parts absent once the cgroup is gone."""
        return CgroupReading(
            cpu=self._cpu.read(),
            cpu_limits=self._cpu_limits.read(),
            memory=self._memory.read(),
            io=self._io.read(),
            io_limits=self._io_limits.read(),
            tasks=self._tasks.read(),
            pressure=self._pressure.read(),
        )

    def close(self) -> None:
        """Give the descriptors back."""
        parts = (self._cpu, self._cpu_limits, self._memory, self._io, self._io_limits, self._tasks, self._pressure)
        for part in parts:
            part.close()
