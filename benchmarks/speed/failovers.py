"""A first target that answers 500, and a second that is well: what it costs a library to go from one to the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from benchmarks.peers.run import Gone, Worker
from benchmarks.worker_process import newest

__all__ = ["Failover", "failovers", "table"]

_OURS = ("httpx_by_hand", "llmswitch_chain")
_PEERS = (
    "openai_by_hand",
    "any_llm_by_hand",
    "mirascope_retries",
    "langchain_fallbacks",
    "pydantic_ai_fallback",
    "litellm_router",
)
_PATIENCE = 60.0
_SETTINGS = {"retries off": 30.0, "as it comes": None}
"""The limit of each target, in seconds, with which an asker switches retries off; without one it sets nothing."""


@dataclass(frozen=True)
class Failover:
    """Of one library, for each of the settings: milliseconds, those of CPU, and requests to the first target a call."""

    name: str
    measured: dict[str, tuple[float, float, float] | str]


def failovers(url: str, peers_pythons: Sequence[str], *, count: int) -> list[Failover]:
    """Each library that is there. `url`: that of the vendor; `count`: calls; a tenth where retries have their waits."""
    found = []
    for module in (*_OURS, *(_PEERS if peers_pythons else ())):
        worker = newest(Worker, module, [sys.executable] if module in _OURS else peers_pythons)
        try:
            if worker.missing is None:
                measured = {
                    name: _measured(worker, url, seconds, count if seconds else max(2, count // 10))
                    for name, seconds in _SETTINGS.items()
                }
                found.append(Failover(f"{worker.name} ({' '.join(worker.versions[0])})", measured))
        finally:
            worker.stop()
    return found


def _measured(worker: Worker, url: str, seconds: float | None, count: int) -> tuple[float, float, float] | str:
    task = {
        "urls": [f"{url}/fail/v1", f"{url}/whole/v1"],
        "seconds": seconds,
        "patience": _PATIENCE,
        "stream": False,
        "calls": count + 1,  # the first makes the connections
        "cancelled": 0,
        "forgets": True,
    }
    before = _failed(url)
    try:
        answer: dict[str, Any] = worker.do(task, _PATIENCE * 5)
    except Gone:
        return "failed: silence"
    if "failed" in answer:
        return f"failed: {answer['failed'].strip().splitlines()[-1].split(':')[0]}"
    calls = answer["calls"]
    for call in calls:
        if call["error"]:
            return f"failed: {call['error']['type']}"
    tries = (_failed(url) - before) / len(calls)
    return median(c["seconds"] for c in calls[1:]) * 1000, median(c["cpu"] for c in calls[1:]) * 1000, tries


def _failed(url: str) -> int:
    failed: int = httpx.get(f"{url}/failed", timeout=30).json()["failed"]
    return failed


def table(found: Sequence[Failover]) -> str:
    """As Markdown."""
    heads = [f"{name}: {what}" for name in _SETTINGS for what in ("ms", "CPU, ms", "tries at the first")]
    lines = ["| a 500, then the second target | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for each in found:
        cells: list[str] = []
        for name in _SETTINGS:
            measured = each.measured[name]
            if isinstance(measured, str):
                cells += [measured, "-", "-"]
            else:
                cells += [f"{measured[0]:.0f}", f"{measured[1]:.1f}", f"{measured[2]:.1f}"]
        lines.append(f"| {each.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
