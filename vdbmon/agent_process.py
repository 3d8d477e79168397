"""The agent as a process: signals, reloads, and what systemd is told."""

from __future__ import annotations

import logging
import queue
import signal
import time
from pathlib import Path

from collector.agent.service import AgentService
from collector.errors import VdbmonError
from vdbmon.config import load_config
from vdbmon.systemd import Supervisor

logger = logging.getLogger(__name__)

_PINGS = 3  # in the watchdog's time: one may be late, and one may be lost


def run_agent(path: Path) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the file again.

    Raises:
        VdbmonError: the file is bad, or the agent can't be started with it.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.put(received))
    supervisor = Supervisor()
    with AgentService(load_config(path).agent_config()) as service:
        logger.info("agent runs: %s", service.url)
        supervisor.ready(service.url)
        while _next_signal(signals, service, supervisor) == signal.SIGHUP:
            supervisor.reloading()
            status = reload_config(service, path)
            supervisor.ready(f"{service.url}; {status}")
        supervisor.stopping()


def reload_config(service: AgentService, path: Path) -> str:
    """Read the file again; how that went, in one line. Whatever is wrong with it, the agent runs on."""
    try:
        service.reload(load_config(path).agent_config())
    except VdbmonError as error:
        return _kept(service, " | ".join(str(error).splitlines()))
    except Exception as error:
        logger.debug("reload", exc_info=True)
        return _kept(service, repr(error))
    service.loaded.successful = True
    service.loaded.succeeded_at = time.time()
    logger.info("configuration reloaded: %s", path)
    return "configuration reloaded"


def _kept(service: AgentService, reason: str) -> str:
    service.loaded.successful = False
    message = f"configuration not reloaded, the old one runs on: {reason}"
    logger.error(message)
    return message


def _next_signal(signals: queue.SimpleQueue[int], service: AgentService, supervisor: Supervisor) -> int:
    """Wait for a signal. Meanwhile the watchdog hears of each collection: of none, if collecting hangs."""
    while True:
        pause = None if supervisor.watchdog is None else supervisor.watchdog / _PINGS
        try:
            return signals.get(timeout=pause)
        except queue.Empty:
            if pause is not None and service.collects(within=pause):
                supervisor.alive()
