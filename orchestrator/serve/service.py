"""Serve as it runs: the lease kept, the beat going while it is held, pages answered with it or without."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

from collector import fleet_metrics as metrics
from collector.errors import VdbmonError
from collector.metrics import Sample
from collector.projections.prometheus import Exposition, TextFormat
from collector.quantities import Seconds
from collector.web.pages import metrics_page, text_page
from collector.web.server import Answer, Page, Request, WebServer
from collector.web.web_config import WebConfig
from orchestrator.ledger import Ledger, check_url, open_ledger
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.serve.api import Decisions, api_page, capacity_answer, json_answer, parse_decision_query
from orchestrator.serve.beat import Beat, Watch
from orchestrator.serve.discovery import targets
from orchestrator.serve.fence import fenced_ledger, fenced_scheduler
from orchestrator.serve.holding import Holding, holder_name
from orchestrator.serve.lease import LeaseKeeper
from orchestrator.serve.metrics import beat_samples, fleet_samples
from orchestrator.serve.periodic import new_findings, periodic_tasks
from orchestrator.serve.settings import ServeSettings
from orchestrator.serve.tasks import TaskRunner
from orchestrator.settings import FleetSettings

SECTION = "serve"
CLOSE_SECONDS: Seconds = 5.0
"""What tasks under way may take when serve ends, and giving back the lease after that."""


class ServeService:
    """Runs while its `with` block does.

    Raises:
        VdbmonError: code `serve.port_held`, something else listens on `[serve] listen`.
        ConfigError: the address, the web configuration file or the ledger's URL can't be used.
    """

    def __init__(self, settings: ServeSettings, fleet: FleetSettings, local_host: str) -> None:
        check_url(fleet.ledger.url)
        self._settings = settings
        self._fleet = fleet
        self._local_host = local_host
        self._hosts = tuple(host.name for host in fleet.hosts)
        self._web_config = WebConfig(settings.web_config_file) if settings.web_config_file else None
        self._server = WebServer(settings.listen, self._pages(), section=SECTION, web_config=self._web_config)
        self._holding = Holding(partial(open_ledger, fleet.ledger.url), holder_name(local_host))
        self._beat = Beat(self._watch, settings.interval)
        self._exposition = Exposition(None)
        self._decisions = Decisions()
        self._current: Watch | None = None
        self._schedulers = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Where it answers."""
        host = self._settings.listen.rpartition(":")[0] or "localhost"
        scheme = "https" if self._web_config and self._web_config.protection.tls else "http"
        return f"{scheme}://{host}:{self._server.port}"

    def __enter__(self) -> Self:
        """Answer, and ask for the lease."""
        self._server.start()
        self._holding.start()
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the tasks, then give the lease back, so that nobody else begins before."""
        self._beat.stop(CLOSE_SECONDS)
        self._holding.stop(CLOSE_SECONDS)
        self._schedulers.close()
        self._server.close()

    def lives(self, within: Seconds) -> bool:
        """Whether the beat's loop has gone round in the last seconds."""
        return self._beat.turned(within)

    def _watch(self) -> Watch | None:
        """What is done under the lease of now; anew after each change of hands. Called by the beat."""
        grant, opened = self._holding.grant(), self._holding.opened()
        if grant is None or opened is None:
            return None
        if self._current is None or self._current.token != grant.token:
            findings = new_findings(self._settings.interval)
            runners = tuple(TaskRunner(task) for task in periodic_tasks(findings))
            self._current = Watch(grant.token, self._scheduler(*opened, grant.token), findings, runners)
        return self._current

    def _scheduler(self, ledger: Ledger, keeper: LeaseKeeper, token: int) -> Scheduler:
        """One that acts under this token, with engines of its own: a call of an earlier one holds up nothing."""
        behind = fenced_ledger(ledger, keeper, token)
        self._schedulers.close()
        opened = self._schedulers.enter_context(open_scheduler(self._fleet, self._local_host, ledger=behind))
        return fenced_scheduler(opened, keeper, token)

    def _held(self) -> Watch | None:
        """What is done under the lease, as long as it is held."""
        grant, current = self._holding.grant(), self._current
        return current if grant and current and current.token == grant.token else None

    def _pages(self) -> dict[str, Page]:
        return {
            "/metrics": metrics_page(self._scrape),
            "/sd": lambda _request: json_answer(targets(self._fleet.hosts)),
            "/api/capacity": api_page(self._capacity),
            "/api/decisions": api_page(self._asked_decisions),
            "/": text_page("vdbmon serve: /metrics, /sd, /api/capacity, /api/decisions"),
            "/-/healthy": text_page("healthy"),
            "/-/ready": self._ready,
        }

    def _scrape(self, text_format: TextFormat) -> bytes:
        return self._exposition.render(self._samples(), text_format=text_format)

    def _samples(self) -> Iterator[Sample]:
        held, row = self._held(), self._holding.seen()
        yield metrics.SERVE_INFO.sample(1, version("vdbmon"), self._holding.holder)
        yield metrics.LEASE_HELD.sample(float(self._holding.grant() is not None))
        yield metrics.LEDGER_UP.sample(float(self._holding.error is None))
        if row is not None:
            yield metrics.LEASE_TOKEN.sample(row.token)
        if held is not None:
            yield from beat_samples(self._beat.state(), self._beat.tasks())
            yield from fleet_samples(held.findings, self._hosts, time.time())

    def _capacity(self, _request: Request) -> Any:
        held = self._held()
        if held is None:
            raise self._standby()
        return capacity_answer(held.findings, now=time.time())

    def _asked_decisions(self, request: Request) -> Any:
        query = parse_decision_query(request.query)
        opened = self._holding.opened()
        if opened is None:
            raise VdbmonError("ledger.unavailable", self._holding.error or "the ledger isn't open yet")
        return self._decisions.answer(opened[0], query)

    def _ready(self, _request: Request) -> Answer:
        """For a load balancer before two: the one that holds the lease and has beaten."""
        if self._held() is not None and self._beat.state() is not None:
            return Answer(b"ready\n")
        return Answer(f"{self._standby().message}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)

    def _standby(self) -> VdbmonError:
        row = self._holding.seen()
        who = row.holder if row and row.holder and row.holder != self._holding.holder else None
        if who is not None:
            return VdbmonError("serve.standby", f"this serve waits: {who} holds the lease", "ask that one")
        return VdbmonError("serve.no_lease", f"nobody holds the lease yet: {self._holding.error or 'it is asked for'}")
