"""Rules for dashboard files: those of Grafana's dashboard-linter that fit, and those that its schema can't say.

Source of the former: github.com/grafana/dashboard-linter, docs/rules. The two LogQL rules have no place here.
"""

from __future__ import annotations

from dashboards.linter.findings import EXCLUDED, Finding, lint

__all__ = ["EXCLUDED", "Finding", "lint"]
