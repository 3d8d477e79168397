"""`make bench`: all benchmarks, as a table and as build/bench.json. Ratios are of one run, side by side."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import churn, exposition, gather, influx, top

BENCHMARKS = {
    "exposition": exposition.run,
    "gather": gather.run,
    "churn": churn.run,
    "influx": influx.run,
    "top": top.run,
}
RESULTS = Path("build/bench.json")


def main() -> None:
    """Run them one after the other and print what they found."""
    results = {name: run() for name, run in BENCHMARKS.items()}
    table = Table("benchmark", "figure", "value")
    for name, figures in results.items():
        for figure, value in figures.items():
            table.add_row(name, figure, f"{value:.4g}")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
