"""Serve as a process: signals, a changed configuration, and what systemd is told."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from collector.errors import VdbmonError
from orchestrator.serve.service import ServeService
from vdbmon.config import Config, load_config
from vdbmon.signals import Signals, next_signal
from vdbmon.systemd import Supervisor

logger = logging.getLogger(__name__)


def run_serve(path: Path) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the file again.

    Raises:
        VdbmonError: the file is bad, or serve can't be started with it.
    """
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    supervisor = Supervisor()
    config: Config | None = load_config(path)
    while config is not None:
        with ServeService(config.serve, config.fleet(), config.host.name) as service:
            logger.info("vdbmon serve on %s: %s", config.host.name, service.url)
            supervisor.ready(service.url)
            config = _next_config(signals, service, supervisor, path)
    supervisor.stopping()


def _next_config(signals: Signals, service: ServeService, supervisor: Supervisor, path: Path) -> Config | None:
    """What to go on with when a signal came: the file as it is now, or None to end. A bad file changes nothing."""
    while next_signal(signals.wait, service.lives, supervisor) == signal.SIGHUP:
        try:
            return load_config(path)
        except VdbmonError as error:
            logger.error("configuration not reloaded, the old one runs on: %s", " | ".join(str(error).splitlines()))  # noqa: TRY400
    return None
