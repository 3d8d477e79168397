"""`top` as it runs: asks when it is time, takes what comes, draws; and the table that is printed once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vdbmon.top.agents import Agent, Questions
from vdbmon.top.controls import Controls, pressed, settled, split_keys
from vdbmon.top.fleet import Fleet, HostView
from vdbmon.top.frame import Size, screen_lines
from vdbmon.top.glyphs import Glyphs
from vdbmon.top.listing import list_rows
from vdbmon.top.terminal import Terminal

DEADLINE = 4.0  # seconds for an answer: an agent gives a collection of which a part hangs 3
FIRST_INTERVAL = 1.2  # seconds to the second reading: agents share collections younger than their min_age, 1 s
_FIRST_ROUNDS = 3
_SMALL_FLEET = 25  # agents; one refresh of 100 with 5 containers each takes 0.3 s of a CPU
_FRAME = 0.1  # seconds between two frames while answers come in
_CLOCK = 1.0  # seconds between two frames when nothing comes: ages go on


def usual_interval(agents: int) -> float:
    """Seconds between two readings: what leaves `top` below a tenth of a core."""
    return 2.0 if agents <= _SMALL_FLEET else 5.0


def read_once(agents: Sequence[Agent]) -> tuple[HostView, ...]:
    """Every agent after two readings, or what kept it from giving them. Takes between 1 s and two deadlines."""
    fleet = Fleet(agents)
    something = threading.Event()
    questions = Questions(DEADLINE, ready=something.set)
    for number in range(_FIRST_ROUNDS):
        if number:
            time.sleep(FIRST_INTERVAL)
        questions.ask(agents)
        while questions.pending:
            something.wait(_FRAME)
            something.clear()
            take_answers(fleet, questions)
        if fleet.has_rates:
            break
    return fleet.views(time.monotonic())


def watch(agents: Sequence[Agent], terminal: Terminal, glyphs: Glyphs, interval: float, controls: Controls) -> None:
    """Draw until the user has had enough.

    Raises:
        Ended: by a signal.
    """
    questions = Questions(DEADLINE, terminal.wake)
    screen = _Screen(Fleet(agents), terminal, glyphs, controls)
    ask_at, rounds = time.monotonic(), 0
    while not screen.controls.done:
        now = time.monotonic()
        if now >= ask_at:
            questions.ask(agents)
            rounds += 1
            first = rounds < _FIRST_ROUNDS and not screen.fleet.has_rates
            ask_at = now + (min(FIRST_INTERVAL, interval) if first else interval)
        changed = take_answers(screen.fleet, questions)
        screen.draw(now, changed=changed)
        screen.type(terminal.wait(min(ask_at, screen.due) - now))


def take_answers(fleet: Fleet, questions: Questions) -> bool:
    """Hand over to the fleet what has come; whether anything has."""
    changed = False
    for answer in questions.answers():
        changed = True
        if answer.reading is None:
            fleet.failed(answer.url, answer.problem)
        else:
            fleet.answered(answer.url, answer.reading)
    return changed


@dataclass(slots=True)
class _Screen:
    """What is on the screen and when it is drawn again."""

    fleet: Fleet
    terminal: Terminal
    glyphs: Glyphs
    controls: Controls
    due: float = 0.0
    _drawn: float = float("-inf")
    _size: Size | None = None

    def draw(self, now: float, *, changed: bool) -> None:
        """Draw if it is time to: soon after a change, at once in a new size, else when ages must go on."""
        if changed:
            self.due = min(self.due, self._drawn + _FRAME)
        size = self.terminal.size
        if now < self.due and size == self._size:
            return
        views = self.fleet.views(now)
        rows = list_rows(views, self.controls.sort, self.controls.wanted)
        self.controls = settled(self.controls, rows, size.room)
        clock = time.strftime("%H:%M:%S")
        self.terminal.draw(screen_lines(views, rows, self.controls, size=size, glyphs=self.glyphs, clock=clock))
        self._size, self._drawn, self.due = size, now, now + _CLOCK

    def type(self, typed: str) -> None:
        """Do what the keys say."""
        if not typed:
            return
        rows = list_rows(self.fleet.views(time.monotonic()), self.controls.sort, self.controls.wanted)
        for key in split_keys(typed):
            self.controls = pressed(self.controls, key, rows, self.terminal.size.room)
        self.due = 0.0
