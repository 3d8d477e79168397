"""A container's volumes, and the job that runs in it."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, PERCENT_UNIT

from alerts import thresholds
from collector import catalogue
from dashboards.colours import below
from dashboards.panels import lines
from dashboards.prometheus.promql import Scope
from dashboards.spec import Panel, Query

_volume, _job = catalogue.volume, catalogue.job
_RAW, _STORED = 'kind="raw"', 'kind="stored"'


def volume_and_job_panels(scope: Scope) -> tuple[Panel, ...]:
    """Space in the volumes, and how far the job has come."""
    available = f"{scope.gauge(_volume.AVAIL)} / ({scope.gauge(_volume.SIZE)} > 0)"
    done = f"{scope.gauge(_job.PROGRESS, _RAW)} / ({scope.gauge(_job.EXPECTED, _RAW)} > 0)"
    return (
        lines(
            "volume-available",
            "Space available in volumes",
            "Available to size. Below the line the job's next write is about to fail: grow the volume while it runs.",
            Query(f"max by (destination) ({available})", "{{destination}}"),
            unit=PERCENT_UNIT,
            steps=below(thresholds.VOLUME_AVAIL_CRITICAL),
        ),
        lines(
            "volume-used",
            "Used in volumes",
            "A backup adds steadily, a prepare rewrites. Flat while the job runs: it waits for source or network.",
            Query(f"max by (destination) ({scope.gauge(_volume.USED)})", "{{destination}}"),
            Query(f"max by (destination) ({scope.gauge(_volume.SIZE)})", "{{destination}} size", is_limit=True),
            unit=BYTES_IEC,
        ),
        lines(
            "job-done",
            "Job done",
            "Bytes so far to those expected. A flat line is a job that waits: compare CPU, disk and network above.",
            Query(f"max by (source, backup_job) ({done})", "{{source}} {{backup_job}}"),
            unit=PERCENT_UNIT,
        ),
        lines(
            "job-bytes",
            "Bytes of the job",
            "Before and after compression. Both flat: the source gives nothing; raw alone: the volume takes nothing.",
            Query(f"max by (source) ({scope.gauge(_job.PROGRESS, _RAW)})", "{{source}} raw"),
            Query(f"max by (source) ({scope.gauge(_job.PROGRESS, _STORED)})", "{{source}} stored"),
            unit=BYTES_IEC,
            width=24,
        ),
    )
