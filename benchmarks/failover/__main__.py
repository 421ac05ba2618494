"""`python -m benchmarks.failover`: a table of what was measured against the goals, and every value as CSV."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx

import llmswitch

from .memory import worst_bodies
from .outage import breaker, total
from .run import HEAD, Results, Settings, figures
from .times import at_once, silent

__all__ = ["main"]

_MEASURES: dict[str, Callable[[Settings, Results], None]] = {
    "times": at_once,
    "silence": silent,
    "outage": total,
    "breaker": breaker,
    "memory": worst_bodies,
}


def main(arguments: list[str] | None = None) -> None:
    """Run what was asked for, one measure after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("measures", nargs="*", help=f"some of {', '.join(_MEASURES)}; all without")
    parser.add_argument("--quick", action="store_true", help="a moment of each: shows that they run, no figures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=400, help="calls of each of both for each fault and way")
    parser.add_argument("--csv", type=Path, help="where every value goes")
    given = parser.parse_args(arguments)
    unknown = set(given.measures) - set(_MEASURES)
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    settings, results = Settings(given.quick, given.seed, given.calls), Results()
    print(
        f"llmswitch {llmswitch.__version__}, httpx {httpx.__version__}, Python {platform.python_version()}, "
        f"{platform.system()}, {os.cpu_count()} cores, load {_load()}, seed {given.seed}, {datetime.now(UTC):%Y-%m-%d}"
    )
    print(HEAD)
    try:
        for name, measure in _MEASURES.items():
            if not given.measures or name in given.measures:
                before = len(results.figures)
                measure(settings, results)
                print(figures(results.figures[before:], judged=not given.quick), flush=True)
    finally:
        if given.csv is not None:
            results.write(given.csv)


def _load() -> str:
    """How busy the machine is before anything is measured: what a reader needs to judge the times."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    main()
