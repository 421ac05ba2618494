"""`python -m benchmarks.peers`: plays the faults to every library that is installed, and writes docs/comparison.md."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .faults import FAULTS, Fault
from .report import Run, markdown, rows
from .run import Cell, Limits, Worker, play, warm_up, workers

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
OURS = "llmswitch_chain"
PEERS = ("litellm_router", "pydantic_ai_fallback", "langchain_fallbacks")
_QUICK = ("connection refused", "401", "clean end after 40 tokens, no finish")
_WITH_DEFAULTS = ("connection refused", "429, Retry-After: 20", "401", "500", "503")
_CSV_COLUMNS = ("fault", "way", "settings", "who", "verdict", "seconds", "requests_t1", "error", "finish", "said")


def main(arguments: list[str] | None = None) -> None:
    """Play what was asked for, to whom is there."""
    given = _parser().parse_args(arguments)
    command = "python -m benchmarks.peers --peers-python .peers/bin/python --out docs/comparison.md"
    limits = Limits()
    faults = [fault for fault in FAULTS if fault.name in _QUICK] if given.quick else FAULTS
    if given.faults:
        faults = [fault for fault in FAULTS if any(wanted in fault.name for wanted in given.faults)]
    modules = [(OURS, sys.executable), *((peer, given.peers_python) for peer in PEERS)]
    if given.only:
        modules = [(module, python) for module, python in modules if module in given.only]
    with workers(modules) as made:
        there = [worker for worker in made if not worker.missing]
        for worker in there:
            warm_up(worker)
        run = Run(
            workers=made,
            limits=limits,
            command=command,
            where=f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores",
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            cells=_with_limits(there, faults, limits),
            defaults={} if given.quick or given.faults else _with_defaults(there),
            faults={fault.name: fault for fault in FAULTS},
        )
        _log(there)
    if given.out is not None:
        given.out.write_text(markdown(run), "utf-8")
    else:
        print(markdown(run))
    if given.csv is not None:
        given.csv.parent.mkdir(parents=True, exist_ok=True)
        with given.csv.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_CSV_COLUMNS)
            writer.writerows(rows(run))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has benchmarks/peers.txt")
    parser.add_argument("--only", nargs="*", metavar="MODULE", help=f"some of {OURS}, {', '.join(PEERS)}")
    parser.add_argument("--faults", nargs="*", metavar="TEXT", help="those whose name holds one of these texts")
    parser.add_argument("--quick", action="store_true", help="three faults: shows that it runs")
    parser.add_argument("--out", type=Path, help="where the page goes (docs/comparison.md); printed without")
    parser.add_argument("--csv", type=Path, help="where every cell goes")
    return parser


def _with_limits(
    there: Sequence[Worker], faults: Sequence[Fault], limits: Limits
) -> dict[tuple[str, bool], dict[str, Cell]]:
    cells: dict[tuple[str, bool], dict[str, Cell]] = {}
    for fault in faults:
        for stream in (False, True):
            if not (fault.stream if stream else fault.whole):
                continue
            print(f"{fault.name}, {'stream' if stream else 'whole'}", file=sys.stderr)
            cells[fault.name, stream] = {worker.name: play(worker, fault, limits, stream=stream) for worker in there}
    return cells


def _with_defaults(there: Sequence[Worker]) -> dict[str, dict[str, Cell]]:
    cells: dict[str, dict[str, Cell]] = {}
    for fault in FAULTS:
        if fault.name in _WITH_DEFAULTS:
            print(f"{fault.name}, with nothing set", file=sys.stderr)
            patient = Limits(None, 60.0)
            cells[fault.name] = {worker.name: play(worker, fault, patient, stream=False) for worker in there}
    return cells


def _log(there: Sequence[Worker]) -> None:
    for worker in there:
        if worker.leaked():
            print(f"{worker.name}: a key or the prompt is in what it wrote to its log", file=sys.stderr)


if __name__ == "__main__":
    main()
