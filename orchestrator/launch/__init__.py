"""Turn an allocation into a running container, step by step, so that nothing leaks."""

from orchestrator.launch.protocols import Address, Addresses, FoundNetwork, Networks, Volumes
from orchestrator.launch.run import Launch, Launched, LaunchFailedError, LaunchUnknownError, Step, remove_own

__all__ = [
    "Address",
    "Addresses",
    "FoundNetwork",
    "Launch",
    "LaunchFailedError",
    "LaunchUnknownError",
    "Launched",
    "Networks",
    "Step",
    "Volumes",
    "remove_own",
]
