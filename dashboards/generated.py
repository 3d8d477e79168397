"""The dashboards as files for Grafana's file provisioning: one JSON file per dashboard, named by its uid."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dashboards import influxdb, prometheus
from dashboards.linter.findings import lint_file
from dashboards.render import render
from dashboards.spec import Dashboard

LINT_FILE = ".lint"
_OURS = "vdbmon-*.json"


def all_dashboards() -> tuple[Dashboard, ...]:
    """Every dashboard, in the order in which a reader meets them."""
    return (*prometheus.dashboards(), *influxdb.dashboards())


def dashboard_files() -> dict[str, bytes]:
    """The dashboards by file name; the same bytes at each call."""
    return {f"{dashboard.uid}.json": render(dashboard).encode() for dashboard in all_dashboards()}


def folder_files() -> dict[str, bytes]:
    """All that belongs into the folder: the dashboards, and what dashboard-linter is told about them."""
    return dashboard_files() | {LINT_FILE: lint_file()}


def left_over(folder: Path, names: Collection[str]) -> list[str]:
    """One line per dashboard file of ours in `folder` that is not generated any more; Grafana would still show it."""
    return [f"{path} is left over" for path in sorted(folder.glob(_OURS)) if path.name not in names]
