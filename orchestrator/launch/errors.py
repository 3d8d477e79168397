"""How a launch can end otherwise than well; each class tells what is left of it."""

from __future__ import annotations

from collector.errors import VdbmonError


class LaunchFailedError(VdbmonError):
    """The launch failed and is undone; the code is the cause's."""


class LaunchUnknownError(VdbmonError):
    """The launch stopped halfway; its allocation is kept until `vdbmon reconcile` has finished or undone it."""


class StepOverdueError(VdbmonError):
    """A step didn't end within its deadline: what it did, or will still do, is unknown."""

    def __init__(self, seconds: float) -> None:
        super().__init__("launch.overdue", f"it didn't end within {seconds:g} s")


class HostClosedError(VdbmonError):
    """An alert or an operator closed the host between decision and launch; the code is the reason's."""
