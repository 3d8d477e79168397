"""Which alerts are held back while another fires that says more: the page names the cause, once.

An inhibition stops a message only: the alert is still there in Prometheus, and what it gates stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alerts.rule import AlertRule, Closes
from alerts.rules import RULES
from alerts.rules.agent import AGENT_GONE
from alerts.thresholds import DOCKER_DAEMON_NOT_ANSWERING

_FILESYSTEM = ("host", "device", "mountpoint")
_FOLLOWS_FROM_DAEMON = ("DockerDaemonSlow", "DockerGoroutineLeak", "EngineUnreachable", "LaunchStuck")


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `source` fires, `targets` with the same values of `equal` are held back."""

    source: str
    targets: tuple[str, ...]
    equal: tuple[str, ...]


def _about_a_host(rules: Iterable[AlertRule]) -> tuple[str, ...]:
    """Alerts of what runs on a host, which nobody can know about while its agent is gone."""
    return tuple(
        rule.name
        for rule in rules
        if "$labels.host" in rule.summary and rule.closes is not Closes.FLEET and rule.name != AGENT_GONE
    )


INHIBITIONS: tuple[Inhibition, ...] = (
    Inhibition("ManyAgentsGone", (AGENT_GONE,), ()),
    Inhibition(AGENT_GONE, _about_a_host(RULES), ("host",)),
    Inhibition("DockerDaemonHung", (DOCKER_DAEMON_NOT_ANSWERING, *_FOLLOWS_FROM_DAEMON), ("host",)),
    Inhibition(DOCKER_DAEMON_NOT_ANSWERING, _FOLLOWS_FROM_DAEMON, ("host",)),
    # What is full over what fills up.
    Inhibition("HostFilesystemFull", ("HostDiskLow", "HostDiskFilling"), _FILESYSTEM),
    Inhibition("HostDiskLow", ("HostDiskFilling",), _FILESYSTEM),
    Inhibition("HostInodesFull", ("HostInodesLow",), _FILESYSTEM),
    Inhibition("VolumeFull", ("VolumeFilling",), ("host",)),
    Inhibition("ThinPoolFull", ("ThinPoolLow",), ("host", "pool")),
    Inhibition("HostFileHandlesFull", ("HostFileHandlesLow",), ("host",)),
    Inhibition("NeighbourTableFull", ("NeighbourTableLow",), ("host", "family")),
    Inhibition("ConntrackFull", ("ConntrackLow",), ("host",)),
    Inhibition("DockerDescriptorsFull", ("DockerDescriptorsLow", "DockerDescriptorLeak"), ("host", "process")),
    Inhibition("ReplicationFarBehind", ("ReplicationLagging",), ("host", "name")),
    # The cause over what comes of it.
    Inhibition("ContainerOOMKilled", ("HostOOMKill",), ("host",)),
    Inhibition("ContainerOOMKilled", ("ContainerMemoryNearLimit", "ContainerMemoryStalled"), ("host", "name")),
    Inhibition("OvsSwitchDown", ("OvsConfigPending", "OvsInterfaceFaulty"), ("host",)),
    Inhibition("OutputDropping", ("OutputBehind", "OutputFailing"), ("host", "output")),
    Inhibition("OutputFailing", ("OutputBehind",), ("host", "output")),
    Inhibition("BackupTooOld", ("ScheduleMissed",), ("source", "backup_job")),
    Inhibition("LedgerDown", ("ServeWithoutLease", "ServeBeatStale", "ServeTaskFailing"), ()),
    Inhibition("ServeGone", ("ServeWithoutLease",), ()),
    Inhibition("GateRulesFailing", ("PrometheusRuleFailures",), ("instance",)),
    Inhibition("AlertmanagerPagesLost", ("AlertmanagerNotificationsFailing",), ("integration",)),
)
