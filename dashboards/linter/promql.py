"""Grafana's PromQL, made parseable: its variables stand where PromQL has durations and values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as promql

_DURATIONS = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "3h"}


def parse(expr: str) -> promql.Expr:
    """The expression with something in the place of each variable.

    Raises:
        ValueError: it is no PromQL.
    """
    for variable, duration in _DURATIONS.items():
        expr = expr.replace(variable, duration)
    return promql.parse(re.sub(r"\$\{?\w+(:\w+)?\}?", "value", expr))


def problem_of(expr: str) -> str | None:
    """Why it is no PromQL, or None."""
    try:
        parse(expr)
    except ValueError as error:
        return f"is no PromQL: {str(error).splitlines()[0]}"
    return None


def selectors(expr: promql.Expr, function: str = "") -> Iterator[tuple[promql.VectorSelector, str]]:
    """Every selector, with the function that takes it as a range; empty where it stands bare."""
    match expr:
        case promql.VectorSelector():
            yield expr, ""
        case promql.MatrixSelector():
            yield expr.vector_selector, function
        case promql.Call():
            for argument in expr.args:
                yield from selectors(argument, expr.func.name)
        case promql.BinaryExpr():
            yield from selectors(expr.lhs)
            yield from selectors(expr.rhs)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(expr.expr, function)
        case _:
            return


def matched_labels(selector: promql.VectorSelector) -> dict[str, str]:
    """The values that a selector asks for, by label; a label that it asks for twice has the last."""
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}
