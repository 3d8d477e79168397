"""Run an act under a deadline, also one that hangs in the kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError

from orchestrator.launch.errors import StepOverdueError

STEP_THREAD = "launch step"


def act_within(seconds: float, act: Callable[[], None]) -> None:
    """Run it in a thread of its own, which is left behind if it takes longer.

    An interrupt lets the act end first: halfway through, nobody could say what there is to undo.

    Raises:
        StepOverdueError: it didn't end in time; it may still do so later.
        KeyboardInterrupt: somebody asked for an end, and the act has ended.
        Exception: whatever the act raised.
    """
    done: Future[None] = Future()
    until = time.monotonic() + seconds
    thread = threading.Thread(target=_run, args=(act, done), name=STEP_THREAD, daemon=True)
    try:
        thread.start()
        done.result(seconds)
    except FutureTimeoutError:
        if done.done():
            raise  # the act's own
        raise StepOverdueError(seconds) from None
    except KeyboardInterrupt:
        if thread.ident is not None and wait([done], max(until - time.monotonic(), 0.0)).not_done:
            raise StepOverdueError(seconds) from None
        raise


def _run(act: Callable[[], None], done: Future[None]) -> None:
    try:
        act()
    except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
        done.set_exception(error)
    else:
        done.set_result(None)
