"""What a panel asks its data source, in the two languages: targets, variables, annotations.

grafanalib knows Prometheus' target; what InfluxDB's lacks there is added by hand. Sources: the plugins' query types of
Grafana 12 (`PromQuery`, `InfluxQuery`) and their annotation support, which the core schema leaves open.
"""

from __future__ import annotations

from typing import Any

from grafanalib import core
from grafanalib.influxdb import InfluxDBTarget

from dashboards.clean import ALL_VALUES
from dashboards.spec import Annotation, Query, Source, Variable

DATASOURCE_VARIABLE = "datasource"

PROVISIONED = {Source.PROMETHEUS: "vdbmon-prometheus", Source.INFLUXDB: "vdbmon-influxdb"}
"""Uids of the provisioned data sources, chosen first: others of the same type may hold other names."""

_ON_TIME_RANGE_CHANGE = 2
_ANNOTATION_STEP = "30s"


def data_source(source: Source) -> dict[str, str]:
    """The reference to what the reader chose at the top of the dashboard."""
    return {"type": source.value, "uid": f"${{{DATASOURCE_VARIABLE}}}"}


def target(query: Query, letter: str, source: Source, *, as_table: bool = False) -> Any:
    """One query of a panel; as a table it gives the current values only."""
    form = "table" if as_table else "time_series"
    if source is Source.INFLUXDB:
        return InfluxDBTarget(
            query=query.expr, alias=query.legend, refId=letter, format=form, datasource=data_source(source)
        )
    return core.Target(
        expr=query.expr,
        legendFormat=query.legend,
        refId=letter,
        instant=as_table,
        format=form,
        datasource=data_source(source),
    )


def data_source_variable(source: Source) -> core.Template:
    """The choice of the data source, first on every dashboard."""
    return core.Template(
        name=DATASOURCE_VARIABLE,
        label="Data source",
        type="datasource",
        query=source.value,
        default=PROVISIONED[source],
    )


def query_variable(variable: Variable, source: Source) -> core.Template:
    """A choice that is filled from the data source."""
    several = variable.all_value is not None
    return core.Template(
        name=variable.name,
        label=variable.label,
        query=variable.query,
        dataSource=data_source(source),
        refresh=_ON_TIME_RANGE_CHANGE,
        multi=several,
        includeAll=several,
        allValue=variable.all_value,
        default=ALL_VALUES if several else None,
    )


def annotation(mark: Annotation, source: Source) -> dict[str, Any]:
    """Marks in the graphs."""
    common = {
        "name": mark.name,
        "datasource": data_source(source),
        "enable": True,
        "hide": False,
        "iconColor": mark.color,
    }
    if source is Source.INFLUXDB:
        words = {"query": mark.expr, "refId": "Anno", "fromAnnotations": True, "textColumn": mark.title}
        return common | {"target": words | {"tagsColumn": ",".join(mark.tags)}}
    return common | {
        "target": {"expr": mark.expr, "interval": _ANNOTATION_STEP, "refId": "Anno"},
        "titleFormat": mark.title,
        "tagKeys": ",".join(mark.tags),
        "useValueForTime": mark.is_moment,
    }
