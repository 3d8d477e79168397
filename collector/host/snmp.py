"""Counts of the IP protocols from /proc/net/snmp (net/ipv4/proc.c; the meanings are those of RFC 1213)."""

from __future__ import annotations

from itertools import pairwise

from collector.kernelfile import SkippedLines, complete_lines, is_number

# In the order of the kernel; `IcmpMsg` has a column for every type that came up and is left out.
SNMP_FIELDS = {
    "Ip": (
        *("Forwarding", "DefaultTTL", "InReceives", "InHdrErrors", "InAddrErrors", "ForwDatagrams", "InUnknownProtos"),
        *("InDiscards", "InDelivers", "OutRequests", "OutDiscards", "OutNoRoutes", "ReasmTimeout", "ReasmReqds"),
        *("ReasmOKs", "ReasmFails", "FragOKs", "FragFails", "FragCreates", "OutTransmits"),
    ),
    "Icmp": (
        *("InMsgs", "InErrors", "InCsumErrors", "InDestUnreachs", "InTimeExcds", "InParmProbs", "InSrcQuenchs"),
        *("InRedirects", "InEchos", "InEchoReps", "InTimestamps", "InTimestampReps", "InAddrMasks", "InAddrMaskReps"),
        *("OutMsgs", "OutErrors", "OutRateLimitGlobal", "OutRateLimitHost", "OutDestUnreachs", "OutTimeExcds"),
        *("OutParmProbs", "OutSrcQuenchs", "OutRedirects", "OutEchos", "OutEchoReps", "OutTimestamps"),
        *("OutTimestampReps", "OutAddrMasks", "OutAddrMaskReps"),
    ),
    "Tcp": (
        *("RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn", "ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets"),
        *("CurrEstab", "InSegs", "OutSegs", "RetransSegs", "InErrs", "OutRsts", "InCsumErrors"),
    ),
    **dict.fromkeys(
        ("Udp", "UdpLite"),
        (
            *("InDatagrams", "NoPorts", "InErrors", "OutDatagrams", "RcvbufErrors", "SndbufErrors", "InCsumErrors"),
            *("IgnoredMulti", "MemErrors"),
        ),
    ),
}
SNMP_GAUGES = frozenset({"Forwarding", "DefaultTTL", "RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn", "CurrEstab"})

_SIGNED = "MaxConn"  # -1 for no limit


def parse_snmp(data: bytes, skipped: SkippedLines) -> dict[tuple[str, str], int]:
    """Values by protocol and name: a line of names, then one of numbers, each behind the protocol."""
    values: dict[tuple[str, str], int] = {}
    lines = [line.partition(b":") for line in complete_lines(data, skipped)]
    heads: set[bytes] = set()
    for (name, _, names), (protocol, _, numbers) in pairwise(lines):
        if name in heads:  # `names` are numbers
            continue
        heads.add(name)
        keys, fields = names.decode(errors="replace").split(), numbers.split()
        if name != protocol or len(keys) != len(fields) or not all(map(_is_value, keys, fields)):
            skipped.add()
            continue
        for key, field in zip(keys, fields, strict=True):
            values[name.decode(errors="replace"), key] = int(field)
    return values


def _is_value(key: str, field: bytes) -> bool:
    return is_number(field) or (key == _SIGNED and field == b"-1")
