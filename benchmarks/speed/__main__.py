"""`python -m benchmarks.speed`: tables of what llmswitch, raw httpx and every peer that is installed cost."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import llmswitch
from benchmarks.worker_process import newest

from . import chains, costs, failovers, gateway, imports
from .measures import MEASURES
from .vendor import serving
from .worker_process import Worker

__all__ = ["main"]

_OURS = ("raw_httpx", "llmswitch_httpx", "llmswitch_httptools")
_PEERS = (
    "raw_httpx2",
    "raw_niquests",
    "raw_aiohttp",
    "raw_pyreqwest",
    "openai_sdk",
    "anthropic_sdk",
    "instructor_client",
    "aisuite_client",
    "any_llm_provider",
    "mirascope_model",
    "langchain_model",
    "pydantic_ai_agent",
    "litellm_module",
)
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
    parser.add_argument("--seconds", type=float, default=60.0, help="of each library for each of the costs")
    parser.add_argument("--peers", nargs="+", default=_PEERS, metavar="MODULE", help=f"some of {', '.join(_PEERS)}")
    parser.add_argument(
        "--peers-python", nargs="+", default=[sys.executable], help="the interpreters that have benchmarks/peers*.txt"
    )
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--csv", type=Path, help="a file to which every value of the costs is added")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = given.parts or _PARTS
    rounds = 1 if given.quick else given.rounds
    begun = datetime.now(UTC)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"llmswitch {llmswitch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {load:.1f}, {rounds} rounds, {begun:%Y-%m-%d}\n"
    )
    workers = _workers(given.peers_python, () if given.without_peers else given.peers)
    try:
        with serving() as url:
            if "costs" in parts:
                found = costs.measured(
                    workers, url, rounds=rounds, quick=given.quick, seconds=given.seconds, only=given.only
                )
                print(costs.table(found, workers[: len(_OURS)], judged=not given.quick), end="\n\n", flush=True)
                if workers[len(_OURS) :]:
                    print(costs.peers_table(found, workers), end="\n\n", flush=True)
                if given.csv is not None:
                    costs.write(found, workers, given.csv, f"{begun:%Y-%m-%d %H:%M}")
            if "imports" in parts:
                print(_imports(workers, url, rounds, judged=not given.quick), end="\n\n", flush=True)
            if "chains" in parts:
                lines = chains.chains(url, rounds=rounds, count=3 if given.quick else 100)
                print(chains.table(lines, judged=not given.quick), end="\n\n", flush=True)
                pythons = () if given.without_peers else given.peers_python
                seen = failovers.failovers(url, pythons, count=2 if given.quick else 40)
                print(failovers.table(seen), end="\n\n", flush=True)
            if "gateway" in parts:
                told = gateway.gateway(url, count=5 if given.quick else 300)
                print(chains.table(told, judged=not given.quick), end="\n\n", flush=True)
    finally:
        for worker in workers:
            worker.stop()


def _workers(peers_pythons: Sequence[str], peers: Sequence[str]) -> list[Worker]:
    """Raw httpx first, then llmswitch, then those peers that are there, each where its newest version is."""
    workers = []
    for module in (*_OURS, *peers):
        worker = newest(Worker, module, [sys.executable] if module in _OURS else peers_pythons)
        if worker.missing is None:
            workers.append(worker)
        else:
            worker.stop()
            print(f"without {module}: {worker.missing}\n")
    return workers


def _imports(workers: Sequence[Worker], url: str, rounds: int, *, judged: bool) -> str:
    """A line for the import of each library; for httpx and the peers one for that, a client and its first call."""
    rows: list[tuple[str, str]] = []
    pythons: dict[str, str] = {}
    for worker in workers:
        called = f"{worker.name}, first call"
        pythons |= dict.fromkeys((worker.name, called), worker.python)
        if worker.module != "llmswitch_httptools":
            rows.append((worker.name, worker.imports))
        if not worker.module.startswith("llmswitch"):
            rows.append((called, worker.first_call(f"{url}/whole")))
    rows += imports.clients(url)
    return imports.table(imports.footprints(sys.executable, rows, rounds=rounds, pythons=pythons), judged=judged)


if __name__ == "__main__":
    main()
