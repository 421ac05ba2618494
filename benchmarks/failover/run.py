"""What all measures share: the ways to ask, the process that is measured, and a table with a CSV beside it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

__all__ = ["CSV_COLUMNS", "HEAD", "WAYS", "Figure", "Results", "Settings", "Way", "figures", "measured", "quantile"]

ROOT = Path(__file__).parents[2]
_MOST_SECONDS = 600.0

CSV_COLUMNS = ("figure", "fault", "way", "who", "unit", "values")


@dataclass(frozen=True)
class Settings:
    """`quick`: a moment of each measure, for CI: it shows that the measure works, and no figure worth having."""

    quick: bool = False
    seed: int = 1
    calls: int = 400


@dataclass(frozen=True)
class Way:
    """One of the four ways to ask."""

    sync: bool
    stream: bool

    def __str__(self) -> str:
        return f"{'sync' if self.sync else 'async'}-{'stream' if self.stream else 'whole'}"


WAYS = [Way(sync, stream) for sync in (True, False) for stream in (False, True)]


@dataclass(frozen=True)
class Figure:
    """One line of the table. `met`: whether the goal is; `None` where the figure has none."""

    figure: str
    fault: str
    way: str
    measured: str
    goal: str = ""
    met: bool | None = None


@dataclass
class Results:
    """What came out, and every value that it was made of."""

    figures: list[Figure] = field(default_factory=list)
    values: list[Sequence[object]] = field(default_factory=list)

    def add(self, figure: Figure, unit: str = "", values: Mapping[str, Sequence[float]] | None = None) -> None:
        """`values`: by who was measured, in the order of the calls."""
        self.figures.append(figure)
        self.keep(figure.figure, figure.fault, figure.way, unit, values or {})

    def keep(self, figure: str, fault: str, way: str, unit: str, values: Mapping[str, Sequence[float]]) -> None:
        """Values alone, for the CSV: a row for each series."""
        for who, series in values.items():
            self.values.append((figure, fault, way, who, unit, " ".join(str(round(value, 3)) for value in series)))

    def write(self, path: Path) -> None:
        """Every value as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(CSV_COLUMNS)
            writer.writerows(self.values)


def measured(plan: dict[str, Any]) -> Any:
    """Have a process of its own carry out this plan. Raises `RuntimeError` with what it said where it fails."""
    command = [sys.executable, "-m", "benchmarks.failover.child", json.dumps(plan)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=_MOST_SECONDS, check=False)
    if run.returncode:
        raise RuntimeError(f"the measured process failed:\n{run.stderr[-4000:]}")
    return json.loads(run.stdout)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not less than this share of them."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


HEAD = "| figure | fault | way | measured | goal | met |\n|---|---|---|---|---|---|"


def figures(found: Sequence[Figure], *, judged: bool = True) -> str:
    """Lines of the table, as Markdown. `judged`: they say which goals are met."""
    lines = []
    for figure in found:
        met = {True: "yes", False: "**no**", None: ""}[figure.met if judged else None]
        cells = (figure.figure, figure.fault, figure.way, figure.measured, figure.goal, met)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
