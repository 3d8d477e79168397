"""Turn an allocation into a running container, step by step, so that nothing leaks."""

from orchestrator.launch.errors import HostClosedError, LaunchFailedError, LaunchUnknownError, StepOverdueError
from orchestrator.launch.protocols import Address, Addresses, FoundNetwork, Networks, Volumes
from orchestrator.launch.run import Launch, Launched
from orchestrator.launch.steps import STEP_SECONDS, Step, Steps, Tools, Undo, remove_own
from orchestrator.launch.verify import Verifier

__all__ = [
    "STEP_SECONDS",
    "Address",
    "Addresses",
    "FoundNetwork",
    "HostClosedError",
    "Launch",
    "LaunchFailedError",
    "LaunchUnknownError",
    "Launched",
    "Networks",
    "Step",
    "StepOverdueError",
    "Steps",
    "Tools",
    "Undo",
    "Verifier",
    "Volumes",
    "remove_own",
]
