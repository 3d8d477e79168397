"""Fields of /proc/meminfo and /proc/vmstat (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from collections.abc import Collection

from collector.kernelfile import SkippedLines, complete_lines, is_number

# In the order of fs/proc/meminfo.c and its architectures, kernels 4.x to 6.x.
MEMINFO_BYTES = (
    *("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached", "Active", "Inactive"),
    *("Active(anon)", "Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable", "Mlocked"),
    *("HighTotal", "HighFree", "LowTotal", "LowFree", "MmapCopy", "SwapTotal", "SwapFree", "Zswap", "Zswapped"),
    *("Dirty", "Writeback", "AnonPages", "Mapped", "Shmem", "KReclaimable", "Slab", "SReclaimable", "SUnreclaim"),
    *("KernelStack", "ShadowCallStack", "PageTables", "SecPageTables", "Quicklists", "NFS_Unstable", "Bounce"),
    *("WritebackTmp", "CommitLimit", "Committed_AS", "VmallocTotal", "VmallocUsed", "VmallocChunk", "Percpu"),
    *("EarlyMemtestBad", "HardwareCorrupted", "AnonHugePages", "ShmemHugePages", "ShmemPmdMapped", "FileHugePages"),
    *("FilePmdMapped", "CmaTotal", "CmaFree", "Unaccepted", "Balloon", "GPUActive", "GPUReclaim"),
    *("Hugepagesize", "Hugetlb", "DirectMap4k", "DirectMap64k", "DirectMap1M", "DirectMap2M", "DirectMap4M"),
    *("DirectMap1G", "DirectMap2G"),
)
MEMINFO_COUNTS = ("HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp")
# node_exporter's default of --collector.vmstat.fields: ^(oom_kill|pgpg|pswp|pg.*fault).*
VMSTAT_FIELDS = ("oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout")

_KIB = 1024
_WITH_UNIT = 3  # name, value, "kB"
_WITHOUT_UNIT = 2


def parse_meminfo(data: bytes, skipped: SkippedLines) -> dict[str, int]:
    """Values by field: bytes, or counts where the kernel writes no unit."""
    values: dict[str, int] = {}
    for line in complete_lines(data, skipped):
        fields = line.split()
        if len(fields) not in (_WITHOUT_UNIT, _WITH_UNIT) or fields[0][-1:] != b":" or not is_number(fields[1]):
            skipped.add()
        elif len(fields) == _WITHOUT_UNIT:
            values[fields[0][:-1].decode(errors="replace")] = int(fields[1])
        elif fields[2] == b"kB":
            values[fields[0][:-1].decode(errors="replace")] = int(fields[1]) * _KIB
        else:
            skipped.add()
    return values


def parse_vmstat(data: bytes, wanted: Collection[bytes], skipped: SkippedLines) -> dict[bytes, int]:
    """The wanted ones of the file's two hundred counts."""
    values: dict[bytes, int] = {}
    for line in complete_lines(data, skipped):
        key, _, value = line.partition(b" ")
        if key in wanted:
            if is_number(value):
                values[key] = int(value)
            else:
                skipped.add()
    return values
