"""`/metrics` of the agent over HTTP or HTTPS, for Prometheus to scrape."""

from __future__ import annotations

from collector.web.pages import Scrape, metrics_page, text_page
from collector.web.server import DEFAULT_LIMITS, Limits, WebServer
from collector.web.web_config import WebConfig

SECTION = "agent"


class PrometheusServer(WebServer):
    """Serves `scrape()` on an address; it renders the exposition in threads of the server, a few at a time.

    Raises:
        ConfigError, VdbmonError: as `WebServer`; code `agent.port_held`, something else listens there.
    """

    def __init__(
        self, listen: str, scrape: Scrape, limits: Limits = DEFAULT_LIMITS, web_config: WebConfig | None = None
    ) -> None:
        pages = {
            "/metrics": metrics_page(scrape),
            "/": text_page("vdbmon agent: metrics are at /metrics"),
            "/-/healthy": text_page("healthy"),
        }
        super().__init__(listen, pages, section=SECTION, limits=limits, web_config=web_config)
