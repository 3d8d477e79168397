"""How all tests run: interrupts count, Hypothesis has no stopwatch, and the longest files are handed out first."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shell that runs tests in the background has them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is decided by what else the machine does.
settings.register_profile("vdbmon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vdbmon")

LONGEST = (
    "integration/test_place_backups.py",  # makes the backup image; the others that need it come when it is there
    "integration/test_launch_failpoints.py",
    "unit/test_torn_files.py",
    "integration/test_three_engines.py",
    "integration/test_launch_faults.py",
    "integration/test_serve_lease.py",
    "integration/test_two_hosts.py",
    "integration/test_place_jobs.py",
    "integration/test_demonstration.py",
    "integration/test_stack.py",
    "integration/test_serve.py",
    "integration/test_alerts_promtool.py",
    "integration/test_backup_image.py",
    "integration/test_dashboards_live.py",
    "integration/test_place.py",
    "integration/test_stack_openvswitch.py",
    "integration/test_cgroup2_guest.py",
    "integration/test_agent.py",
    "integration/test_agent_reload.py",
    "integration/test_agent_volumes.py",
    "integration/test_reconcile.py",
    "integration/test_stack_dockerd.py",
    "integration/test_zabbix.py",
    "integration/test_paging.py",
    "integration/test_top.py",
    "integration/test_backup_followed.py",
    "integration/test_backup_streamed.py",
    "integration/test_backup_damage.py",
    "integration/test_ledger_rebuild.py",
    "unit/test_answers_hypothesis.py",
    "unit/test_parsers_hypothesis.py",
    "unit/test_fleet_model.py",
    "unit/test_serve_lease.py",
    "unit/test_dashboards_files.py",
)
"""Files that take 20 s and more, longest first; `pytest --durations=0` tells."""

IMAGE_SECONDS = 600
"""For a test that may have to make the backup image, or to wait for it; on two busy cores it takes three minutes."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no test process is left alone with it; each file stays in one piece."""
    order = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    for item in items:
        if "backup_image" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(IMAGE_SECONDS))
    items.sort(key=lambda item: order.get(item.path, len(order)))
