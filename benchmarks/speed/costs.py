"""CPU and memory of all libraries, measured in turn, as ratios to raw httpx in the same round."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic

from .measures import MEASURES, Measure
from .worker_process import Failed, Worker

__all__ = ["Costs", "measured", "peers_table", "table", "write"]

RAW = "httpx"


@dataclass
class Costs:
    """
    By measure and library. `values`: those of each round; `failed`: what a library could not do; `notes`: of which
    there was no time for all that was asked.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[tuple[str, str], Failed] = field(default_factory=dict)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)

    def ratio(self, measure: Measure, name: str) -> float | None:
        """The median of the ratios of the rounds; of the values themselves, where it is memory."""
        mine, raw = self.values.get(measure.name, {}).get(name), self.values.get(measure.name, {}).get(RAW)
        if not mine or not raw:
            return None
        if measure.name == "memory":
            return median(mine)
        return median(one / other for one, other in zip(mine, raw, strict=False))


def measured(
    workers: Sequence[Worker], url: str, *, rounds: int, quick: bool, seconds: float, only: Sequence[str] = ()
) -> Costs:
    """
    Each round asks every library in turn, the next one in the opposite order. Memory, which grows once, has one.

    `seconds`: what a library is given for all rounds of a measure. It does what there is time for: one round at least,
    and in each round one call or stream at least.
    """
    costs = Costs()
    for measure in MEASURES:
        count = measure.quick if quick else measure.count
        if not count or (only and measure.name not in only):
            continue
        able = [worker for worker in workers if measure.needs in worker.able]
        most = 1 if measure.name == "memory" else rounds
        spent = dict.fromkeys((worker.name for worker in able), 0.0)
        for number in range(most):
            for worker in able if number % 2 == 0 else reversed(able):
                at = (measure.name, worker.name)
                if at in costs.failed:
                    continue
                if number and spent[worker.name] > seconds:
                    costs.notes.setdefault(at, f"{number} of {most} rounds")
                    continue
                if measure.name == "memory":
                    worker.start()  # what earlier measures have left in memory would hide what this one takes
                start = monotonic()
                found = worker.measure(measure.name, f"{url}/{measure.serves}", count, seconds / most)
                spent[worker.name] += monotonic() - start
                print(f"{measure.name}, {worker.name}: {monotonic() - start:.1f} s", file=sys.stderr)
                if isinstance(found, Failed):
                    costs.failed[at] = found
                    continue
                costs.values.setdefault(measure.name, {}).setdefault(worker.name, []).append(found.value)
                if measure.name == "memory" and found.made < count:
                    costs.notes[at] = f"{found.made} streams"
    return costs


def table(costs: Costs, workers: Sequence[Worker], *, judged: bool) -> str:
    """As Markdown: a line for each measure, and the goals. `judged`: what misses its goal stands out."""
    names = [worker.name for worker in workers]
    lines = [
        f"| | {RAW}, us | " + " | ".join(names[1:]) + " | goals |",
        "|---" * (len(names) + 2) + "|",
    ]
    for measure in MEASURES:
        raw = costs.values.get(measure.name, {}).get(RAW)
        if not raw:
            continue
        cells = [measure.title, f"{median(raw):.1f}"]
        cells += [_cell(costs, measure, name, judged=judged) for name in names[1:]]
        lines.append("| " + " | ".join((*cells, "{:g}, {:g}".format(*measure.goals))) + " |")
    return "\n".join(lines + _told(costs, names))


def peers_table(costs: Costs, workers: Sequence[Worker]) -> str:
    """The same of all libraries, as Markdown: a line for each, and the versions beneath."""
    measures = [measure for measure in MEASURES if costs.values.get(measure.name, {}).get(RAW)]
    lines = ["| | " + " | ".join(measure.title for measure in measures) + " |", "|---" * (len(measures) + 1) + "|"]
    for worker in workers:
        cells = [_cell(costs, measure, worker.name, judged=False) for measure in measures]
        lines.append(f"| {worker.name} {worker.versions[0][1]} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += ["- " + ", ".join(" ".join(each) for each in worker.versions) for worker in workers]
    return "\n".join(lines + _told(costs, [worker.name for worker in workers]))


def write(costs: Costs, workers: Sequence[Worker], path: Path, run: str) -> None:
    """Add a row for each measure and library to a CSV, with the value of each round. `run`: when that was."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(("run", "measure", "who", "versions", "unit", "values"))
        for measure in MEASURES:
            unit = "KiB" if measure.name == "memory" else "us"
            for worker in workers:
                values = costs.values.get(measure.name, {}).get(worker.name, [])
                versions = " ".join(f"{name}={version}" for name, version in worker.versions)
                if values:
                    said = " ".join(f"{value:.2f}" for value in values)
                    writer.writerow((run, measure.name, worker.name, versions, unit, said))


def _told(costs: Costs, names: Sequence[str]) -> list[str]:
    """What was cut short, and what went wrong."""
    told = [f"{name}, {measure}: {said}" for (measure, name), said in costs.notes.items() if name in names]
    for (measure, name), failed in costs.failed.items():
        if name in names:
            last = failed.said.strip().splitlines()[-1][:200]
            told.append(f"{name}, {measure}: {last}")
    return [f"\n{each}" for each in told]


def _cell(costs: Costs, measure: Measure, name: str, *, judged: bool) -> str:
    ratio = costs.ratio(measure, name)
    if ratio is None:
        failed = costs.failed.get((measure.name, name))
        return f"failed: {failed.name}" if failed else "-"
    goal = {"llmswitch": measure.goals[0], "llmswitch (httptools)": measure.goals[1]}.get(name)
    said = f"{ratio:.2f}" if measure.name != "memory" else f"{ratio:.0f}"
    return f"**{said}**" if judged and goal is not None and ratio > goal else said
