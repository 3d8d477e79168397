"""The agent as a process: signals, reloads, and what systemd is told."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import threading
import time
from pathlib import Path

from collector.agent.service import AgentService
from collector.errors import VdbmonError
from collector.quantities import Seconds
from vdbmon.config import load_config
from vdbmon.signals import Signals, next_signal
from vdbmon.systemd import Supervisor

logger = logging.getLogger(__name__)

DESCRIPTORS = 65536  # as the unit file has it: enough for two thousand containers
_YOUNG_OBJECTS = 50_000  # more than a scrape of 200 containers makes and drops
_GARBAGE_EVERY: Seconds = 600.0


def run_agent(path: Path) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the file again.

    Raises:
        VdbmonError: the file is bad, or the agent can't be started with it.
    """
    _raise_descriptor_limit()
    _collect_garbage_apart()
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    supervisor = Supervisor()
    config = load_config(path).agent_config()
    with AgentService(config) as service:
        logger.info("vdbmon agent of %s: %s", config.host, service.url)
        supervisor.ready(service.url)
        while next_signal(signals.wait, service.collects, supervisor) == signal.SIGHUP:
            supervisor.reloading()
            status = reload_config(service, path)
            supervisor.ready(f"{service.url}; {status}")
        supervisor.stopping()


def _collect_garbage_apart() -> None:
    """Keep Python from looking for cycles in the middle of a scrape, where it takes 30 ms with 50 containers.

    Next to nothing is in cycles here: what there is, of exceptions mostly, goes every few minutes.
    """

    def collect() -> None:
        while not never.wait(_GARBAGE_EVERY):
            gc.collect()

    never = threading.Event()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, middle, _YOUNG_OBJECTS)
    threading.Thread(target=collect, name="garbage", daemon=True).start()


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as may be had: kernel files stay open, twenty or more for each container.

    The usual soft limit of 1024 is for programs that use select(2); for others it is meant to be raised
    (systemd, "File Descriptor Limits").
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
