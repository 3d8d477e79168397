"""Runs all rules over a folder of dashboards, and knows which findings are meant and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dashboards.linter import dashboard_rules, panel_rules, target_rules
from dashboards.linter.document import Document
from dashboards.linter.shape import misshapen

EXCLUDED: dict[str, str] = {
    "template-instance-rule": "A host is keyed by `host`, which outlives a change of the agent's address.",
    "target-instance-rule": "A host is keyed by `host`, which outlives a change of the agent's address.",
}
"""Rules of dashboard-linter that are not followed, with the reason; `.lint` beside the dashboards says so to it."""

NARROWED: dict[str, str] = {
    "target-job-rule": "Alerts and what recording rules stored have lost the job; all other series are matched by it.",
}
"""Rules that it would apply where ours doesn't."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What is wrong where; `rule` is dashboard-linter's name where it has one."""

    file: str
    place: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.message} ({self.rule})"


def lint(files: Mapping[str, bytes]) -> list[Finding]:
    """All findings in a folder's dashboards by file name, in order."""
    contents = {name: _parse(content) for name, content in files.items()}
    broken = [
        Finding(name, place, "valid-json", message)
        for name, content in contents.items()
        for place, message in misshapen(content)
    ]
    unreadable = {finding.file for finding in broken}
    documents = {name: Document(content) for name, content in contents.items() if name not in unreadable}
    found = (
        Finding(name, place, rule, message)
        for name, document in documents.items()
        for rule, place, message in _findings(document, documents)
        if rule not in EXCLUDED
    )
    return sorted([*broken, *found])


def lint_file() -> bytes:
    """`.lint`, from which dashboard-linter learns what is excluded and why."""
    rules = {rule: {"reason": reason} for rule, reason in (EXCLUDED | NARROWED).items()}
    return yaml.safe_dump({"exclusions": rules}, width=1000).encode()


def _parse(content: bytes) -> Any:
    """Anything that is no object where it is no JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _findings(document: Document, documents: Mapping[str, Document]) -> Iterator[tuple[str, str, str]]:
    yield from dashboard_rules.findings(document, documents.values())
    for panel in document.panels():
        yield from panel_rules.findings(document, panel)
        for target in panel.get("targets", []):
            yield from target_rules.findings(document, panel, target)
