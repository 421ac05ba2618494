"""`python -m benchmarks.speed`: tables of what llmswitch, raw httpx and every peer that is installed cost."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import llmswitch

from . import chains, costs, gateway, imports
from .measures import MEASURES
from .vendor import serving
from .worker_process import Worker

__all__ = ["main"]

_OURS = ("raw_httpx", "llmswitch_httpx", "llmswitch_httptools")
_PEERS = ("openai_sdk", "litellm_module", "langchain_model", "pydantic_ai_agent")
_PARTS = ("costs", "imports", "chains", "gateway")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(_PARTS)}; all without")
    parser.add_argument(
        "--only", action="append", default=[], help="of the costs: " + ", ".join(m.name for m in MEASURES)
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a moment of each: shows that they run, no figures")
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter that has benchmarks/peers.txt")
    parser.add_argument("--without-peers", action="store_true")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = given.parts or _PARTS
    rounds = 1 if given.quick else given.rounds
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"llmswitch {llmswitch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {load:.1f}, {rounds} rounds, {datetime.now(UTC):%Y-%m-%d}\n"
    )
    workers = _workers(given.peers_python, peers=not given.without_peers)
    try:
        with serving() as url:
            if "costs" in parts:
                found = costs.measured(workers, url, rounds=rounds, quick=given.quick, only=given.only)
                print(costs.table(found, workers, judged=not given.quick), end="\n\n", flush=True)
            if "imports" in parts:
                for python in dict.fromkeys((sys.executable, given.peers_python)):
                    known = [(w.name, w.imports) for w in workers if w.python == python and "httptools" not in w.name]
                    raw = next((w.name, w.imports) for w in workers)
                    rows = [*dict([raw, *known]).items(), *(imports.clients(url) if python == sys.executable else ())]
                    seen = imports.footprints(python, rows, rounds=rounds)
                    print(imports.table(seen, judged=not given.quick), end="\n\n", flush=True)
            if "chains" in parts:
                lines = chains.chains(url, rounds=rounds, count=3 if given.quick else 100)
                print(chains.table(lines, judged=not given.quick), end="\n\n", flush=True)
            if "gateway" in parts:
                told = gateway.gateway(url, count=5 if given.quick else 300)
                print(chains.table(told, judged=not given.quick), end="\n\n", flush=True)
    finally:
        for worker in workers:
            worker.stop()


def _workers(peers_python: str, *, peers: bool) -> list[Worker]:
    """Raw httpx first, then llmswitch, then those peers that are there."""
    workers = []
    for module in (*_OURS, *(_PEERS if peers else ())):
        worker = Worker(sys.executable if module in _OURS else peers_python, module)
        worker.start()
        if worker.missing is None:
            workers.append(worker)
        else:
            worker.stop()
            print(f"without {module}: {worker.missing}\n")
    return workers


if __name__ == "__main__":
    main()
