"""Progress for people: one line per step with the time it took, and what is waited for meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from collector.clock import Clock

Progress = Callable[[str], None]
"""Takes one line about what a long step does just now."""

_WIDTH = 7


class Steps:
    """Prints steps to a console: live on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    @contextmanager
    def step(self, title: str) -> Iterator[Progress]:
        """Time a block; yields the function that tells what it is about. A block that fails prints no line."""
        start = self._clock()
        with self._console.status(f"{title} ...") as status:

            def tell(text: str) -> None:
                status.update(f"{title}: {text}")
                if not self._console.is_terminal:
                    self.line(text)

            yield tell
        self._print(f"{self._clock() - start:{_WIDTH}.1f} s", title)

    def line(self, text: str) -> None:
        """Print a line that took no time."""
        self._print(" " * (_WIDTH + 2), text)

    def lines(self, texts: Iterable[str]) -> None:
        """Print several such lines."""
        for text in texts:
            self.line(text)

    def _print(self, margin: str, text: str) -> None:
        self._console.print(f"{margin}  {text}", markup=False, highlight=False, soft_wrap=True)
