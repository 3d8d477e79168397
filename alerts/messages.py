"""The words of messages, as Go templates of Alertmanager ("Notification Template Reference").

A message is about one group: alerts of one name, of one host, source and container. Each of them is one line. WeChat
Work cuts off what is beyond 2048 bytes and Alertmanager does not shorten, so only so many lines are shown.
"""

from __future__ import annotations

_MOST_LINES = 5

_MARK = '{{ if eq .Status "firing" }}{{ .CommonLabels.severity | toUpper }}{{ else }}RESOLVED{{ end }}'
_FIRST = "{{ (index .Alerts 0).Annotations.summary }}"
_MORE = "{{ if gt (len .Alerts) 1 }} ({{ len .Alerts }} alerts){{ end }}"

SUMMARY = f"{_FIRST}{_MORE}"
SUBJECT = f"[{_MARK}] {SUMMARY}"

_LINES = (
    f"{{{{ range $i, $a := .Alerts }}}}{{{{ if lt $i {_MOST_LINES} }}}}"
    '{{ if eq $a.Status "firing" }}!{{ else }}ok{{ end }} {{ $a.Annotations.summary }}\n{{ end }}{{ end }}'
)


def text(runbook_base: str | None) -> str:
    """The whole message: what, since when, what to do, where to read on."""
    return (
        f"[{_MARK}] {{{{ .CommonLabels.alertname }}}}\n{_LINES}\n"
        "{{ (index .Alerts 0).Annotations.description }}\n"
        'Since: {{ (index .Alerts 0).StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC\n'
        f"Runbook: {runbook(runbook_base)}\n"
    )


def short_text(runbook_base: str | None) -> str:
    """The message without its description, for what shows little."""
    return f"[{_MARK}] {{{{ .CommonLabels.alertname }}}}\n{_LINES}Runbook: {runbook(runbook_base)}"


def runbook(base: str | None) -> str:
    """Where the runbook is."""
    return f"{base or ''}{{{{ (index .Alerts 0).Annotations.runbook }}}}"
