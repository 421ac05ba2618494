"""The comparison as Markdown: who was asked with what, a cell for each fault and library, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .faults import MIB, Fault
from .judge import GOOD, OPEN, Verdict
from .run import Cell, Limits, Worker

__all__ = ["Run", "markdown", "rows"]

_UNJUDGED = "–"  # noqa: RUF001 - it is a dash
REMARKS = Path(__file__).with_name("remarks.md")

_WORDS: dict[Verdict, str] = {
    "answered": "T2",
    "recovered": "T1, well again",
    "reported": "error with the partial",
    "continued": "continued at T2",
    "incomplete": "incomplete, as if whole",
    "mixed": "T1's text and T2's",
    "wrong": "not an answer, as if one",
    "failed": "error",
    "lost": "error, text lost",
    "hung": "hangs",
    "leaked": "leak",
    "crashed": "process ended",
}

_EXPLAINED = """\
✓ the caller has nothing to complain of; ✗ he has. After the verdict: seconds until the call was over (the first, where
there are several), and in brackets how many requests the first target heard; where a second call follows, as *first
call + second call*. Where a library was not asked, or the harness can't judge what came, the cell begins with a dash.

- **T2**: the second target's whole answer, and nothing else.
- **error with the partial**: the stream broke after text had been handed over; the caller has that text, byte for byte,
  and an error that says that it is not all.
- **incomplete, as if whole**: no error, and text is missing. What the caller is told as finish reason is in quotation
  marks; a careful caller can tell from `None`, not from `stop`.
- **not an answer, as if one**: no error, and what came is nothing that a target was to say.
- **T1's text and T2's**: both, one after the other, without a word to the caller.
- **continued at T2**: the second target was handed what had arrived, to go on from there. Whether a real model goes on
  well is not to be seen here.
- **error**: the call failed, although the second target was well.
- **error, text lost**: it failed, and the caller does not have the text that had arrived.
- **hangs**: not over after {patience:g} s.
- **leak**: the key or the prompt reached a server that is none of the two.
"""


_ABOUT = """\
A chain of two targets, T1 and T2, both of the Chat Completions dialect, on scripted servers on loopback. T1 has a
fault, T2 is well. Each library is asked through its async interface, in a process of its own, for a whole answer and
for a stream. One judge, which knows no library, looks at what the caller saw and at what the servers heard. The number
of a row is the one that it has in `tests/faults/test_rows.py`.

Made on {date} ({where}) by

```sh
python3 -m venv .peers && .peers/bin/pip install -r benchmarks/peers.txt
{command}
```

Nothing in the tables is written by hand. The limit of each target is {seconds:g} s. Each cell is one run on a shared
machine: times are for orientation, not for comparison; [figures](figures.md) has those that were measured with care.
"""
_WITH_DEFAULTS = """\
The same for whole answers, with nothing set but targets and keys: each library's own retries and limits. Here a call
hangs if it is not over after 60 s.
"""


@dataclass
class Run:
    """What came out. `cells` by fault and way, then by the name of the library; `defaults`: with nothing set."""

    workers: Sequence[Worker]
    limits: Limits
    command: str
    where: str
    date: str
    cells: Mapping[tuple[str, bool], Mapping[str, Cell]]
    defaults: Mapping[str, Mapping[str, Cell]]
    faults: Mapping[str, Fault]


def markdown(run: Run) -> str:
    """The whole page."""
    names = [worker.name for worker in run.workers]
    head = ["fault", "row", "way", *names]
    parts = [
        "# The same faults, side by side",
        _intro(run),
        "## Who was asked, and with what",
        _asked(run),
        "## Summary",
        _table(["verdict", *names], _summary(run)),
        "## Fault by fault",
        _EXPLAINED.format(patience=run.limits.patience),
        _table(head, _cells(run)),
    ]
    if run.defaults:
        parts += [
            "## With nothing set",
            _WITH_DEFAULTS,
            _table(["fault", *names], [[name, *_row(cells, names)] for name, cells in run.defaults.items()]),
        ]
    if REMARKS.exists():
        parts += ["## Remarks", REMARKS.read_text("utf-8").strip()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _intro(run: Run) -> str:
    return _ABOUT.format(date=run.date, command=run.command, where=run.where, seconds=run.limits.seconds)


def _asked(run: Run) -> str:
    lines = []
    for worker in run.workers:
        if worker.missing:
            lines.append(f"- **{worker.name}**: not asked, since it is not installed ({worker.missing}).")
            continue
        versions = ", ".join(f"{name} {version}" for name, version in worker.hello["versions"].items())
        python = worker.hello["python"]
        lines.append(f"- **{worker.name}** ({versions}, Python {python}): {worker.hello['settings']}")
    return "\n".join(lines)


def _summary(run: Run) -> list[list[str]]:
    names = [worker.name for worker in run.workers]
    counted = {name: Counter(cells[name].verdict for cells in run.cells.values() if name in cells) for name in names}
    good = ["✓ as a caller would want it", *(str(sum(counted[name][word] for word in GOOD)) for name in names)]
    others: list[Verdict] = [word for word in _WORDS if word not in GOOD]
    lines = [
        [f"{_UNJUDGED if word in OPEN else '✗'} {_WORDS[word]}", *(str(counted[name][word]) for name in names)]
        for word in others
        if any(counted[name][word] for name in names)
    ]
    return [good, *lines, ["of", *(str(sum(counted[name].values())) for name in names)]]


def _cells(run: Run) -> list[list[str]]:
    names = [worker.name for worker in run.workers]
    return [
        [fault, run.faults[fault].row, "stream" if stream else "whole", *_row(cells, names, run.faults[fault])]
        for (fault, stream), cells in run.cells.items()
    ]


def _row(cells: Mapping[str, Cell], names: Sequence[str], fault: Fault | None = None) -> list[str]:
    return [_cell(cells[name], fault) if name in cells else _UNJUDGED for name in names]


def _cell(cell: Cell, fault: Fault | None) -> str:
    mark = "✓" if cell.good else _UNJUDGED if cell.verdict in OPEN else "✗"
    said = _WORDS[cell.verdict]
    if cell.verdict in ("failed", "lost") and cell.error:
        said += f" `{cell.error}`"
    if cell.verdict in ("incomplete", "wrong"):
        said += f" “{cell.finish}”"
    if cell.verdict == "leaked":
        said += f" of the {' and the '.join(cell.leaked)}"
    if cell.key_in_error:
        said += ", the key in its text"
    parts = [f"{mark} {said}"]
    if cell.verdict != "crashed":
        parts.append(f"{cell.seconds:.2f} s")
    if cell.first:
        parts.append(f"({' + '.join(map(str, cell.first))})")
    if fault is not None and fault.heavy:
        parts.append(f"{cell.grown / MIB:.0f} MiB")
    return " ".join(parts)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    made = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in made)


def rows(run: Run) -> list[list[object]]:
    """Every cell, for the CSV."""
    found: list[list[object]] = []
    for (fault, stream), cells in run.cells.items():
        for name, cell in cells.items():
            found.append(_csv(fault, "stream" if stream else "whole", "limits", name, cell))
    for fault, cells in run.defaults.items():
        for name, cell in cells.items():
            found.append(_csv(fault, "whole", "defaults", name, cell))
    return found


def _csv(fault: str, way: str, settings: str, name: str, cell: Cell) -> list[object]:
    heard = "+".join(map(str, cell.first))
    said = cell.said.replace("\n", " ")
    return [fault, way, settings, name, cell.verdict, round(cell.seconds, 4), heard, cell.error, cell.finish, said]
