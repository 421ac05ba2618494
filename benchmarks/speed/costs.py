"""CPU and memory of all libraries, measured in turn, as ratios to raw httpx in the same round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from .measures import MEASURES, Measure
from .worker_process import Worker

__all__ = ["Costs", "measured", "table"]

RAW = "httpx"


@dataclass
class Costs:
    """`values`: by measure and library, those of each round; `failed`: what a library could not do."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)

    def ratio(self, measure: Measure, name: str) -> float | None:
        """The median of the ratios of the rounds; of the values themselves, where it is memory."""
        mine, raw = self.values.get(measure.name, {}).get(name), self.values.get(measure.name, {}).get(RAW)
        if not mine or not raw:
            return None
        if measure.name == "memory":
            return median(mine)
        return median(one / other for one, other in zip(mine, raw, strict=False))


def measured(workers: Sequence[Worker], url: str, *, rounds: int, quick: bool, only: Sequence[str] = ()) -> Costs:
    """Each round asks every library in turn, the next one in the opposite order. Memory, which grows once, has one."""
    costs = Costs()
    for measure in MEASURES:
        count = measure.quick if quick else measure.count
        if not count or (only and measure.name not in only):
            continue
        able = [worker for worker in workers if measure.needs in worker.able]
        for number in range(1 if measure.name == "memory" else rounds):
            for worker in able if number % 2 == 0 else reversed(able):
                if (measure.name, worker.name) in costs.failed:
                    continue
                value = worker.measure(measure.name, f"{url}/{measure.serves}", count)
                if isinstance(value, str):
                    costs.failed[measure.name, worker.name] = value
                else:
                    costs.values.setdefault(measure.name, {}).setdefault(worker.name, []).append(value)
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
    for (measure_name, name), said in costs.failed.items():
        lines.append(f"\n{name}, {measure_name}: {said}")
    return "\n".join(lines)


def _cell(costs: Costs, measure: Measure, name: str, *, judged: bool) -> str:
    ratio = costs.ratio(measure, name)
    if ratio is None:
        return "failed" if (measure.name, name) in costs.failed else ""
    goal = {"llmswitch": measure.goals[0], "llmswitch (httptools)": measure.goals[1]}.get(name)
    said = f"{ratio:.2f}" if measure.name != "memory" else f"{ratio:.0f}"
    return f"**{said}**" if judged and goal is not None and ratio > goal else said
