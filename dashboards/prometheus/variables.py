"""The choices at the top of the dashboards, and the matchers that go with them.

A variable with one value is matched with `=`: Grafana escapes dots for regular expressions only where several values
can be chosen.
"""

from __future__ import annotations

from alerts.foreign import UP
from collector import catalogue
from collector.fleet_metrics import SERVE_JOB
from dashboards.prometheus.promql import Scope
from dashboards.spec import Variable

_JOB_MATCHER = 'job=~"$job"'
SOURCE_MATCHER = 'source=~"$source"'

JOB = Variable("job", "Job", f"label_values({catalogue.internal.BUILD_INFO.name}, job)", all_value=".+")
HOSTS = Variable("host", "Host", f"label_values({UP}{{{_JOB_MATCHER}}}, host)", all_value=".+")
HOST = Variable("host", "Host", f"label_values({UP}{{{_JOB_MATCHER}}}, host)")
NAME = Variable(
    "name",
    "Container",
    f'label_values({catalogue.cgroup.LAST_SEEN.name}{{{_JOB_MATCHER}, host="$host"}}, name)',
)
SOURCES = Variable(
    "source",
    "Source",
    f'label_values({catalogue.job.START.name}{{{_JOB_MATCHER}, host=~"$host"}}, source)',
    all_value=".+",
)

HOST_MATCHER = 'host=~"$host"'
EVERY_HOST = Scope(f'{_JOB_MATCHER}, host=~"$host"')
ONE_HOST = Scope(f'{_JOB_MATCHER}, host="$host"')
ONE_CONTAINER = Scope(ONE_HOST.target, 'name="$name"')
SERVE = Scope(f'job="{SERVE_JOB}"')
SERVE_HOSTS = Scope(SERVE.target, 'host=~"$host"')
SCHEDULES = Scope(SERVE.target, SOURCE_MATCHER)
EVERY_SOURCE = Scope(EVERY_HOST.target, SOURCE_MATCHER)

# An alert without a host closes the fleet, so it concerns every host that is looked at.
HOST_OR_FLEET = 'host=~"$host|"'
