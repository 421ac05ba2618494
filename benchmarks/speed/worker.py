"""
The process in which one library is measured: `python -m benchmarks.speed.worker MODULE`.

It reads tasks from its input, one JSON line each, and answers each with one line. CPU is that of this process, user and
system; the vendor is in another one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.speed.asking import MESSAGES, Asking, large, tools
from benchmarks.speed.vendor import BURST, PACED
from benchmarks.worker import asker, introduce, tell

__all__ = ["main"]

_AT_ONCE, _STREAMS = 100, 50


def _calls(asker: Asking, count: int, messages: list[dict[str, Any]], given: list[dict[str, Any]] | None = None) -> int:
    for _ in range(count):
        assert asker.call(messages, given)
    return count


def _streams(asker: Asking, count: int, expected: int) -> int:
    for _ in range(count):
        assert expected == asker.stream(MESSAGES), "a stream lost some of its text"
    return count * expected


async def _acalls(asker: Asking, count: int) -> int:
    for _ in range(count):
        assert await asker.acall(MESSAGES)
    return count


async def _in_flight(asker: Asking, count: int) -> int:
    async def some() -> None:
        for _ in range(count):
            assert await asker.acall(MESSAGES)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return count * _AT_ONCE


async def _astreams(asker: Asking, count: int, expected: int, at_once: int = 1) -> int:
    async def one() -> None:
        assert expected == await asker.astream(MESSAGES), "a stream lost some of its text"

    for _ in range(count):
        await asyncio.gather(*(one() for _ in range(at_once)))
    return count * expected * at_once


async def _open(asker: Asking, count: int) -> list[object]:
    """So many streams at once, made a few at a time."""
    held: list[object] = []
    for _ in range(0, count, 50):
        held += await asyncio.gather(*(asker.aopen(MESSAGES) for _ in range(min(50, count - len(held)))))
    return held


async def _memory(asker: Asking, count: int) -> dict[str, float]:
    """Private memory of each of so many open streams, in KiB."""
    warm = await _open(asker, 20)
    before = _private()
    held = await _open(asker, count)
    grown = _private() - before
    return {"value": grown / len(held), "held": len(warm) + len(held)}


def _private() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("Private_"))


def _waited(measure: Callable[..., Awaitable[int]], *given: Any) -> Callable[[Asking, int], Awaitable[int]]:
    return lambda asker, count: measure(asker, count, *given)


_SYNC: dict[str, Callable[[Asking, int], int]] = {
    "sync": lambda asker, count: _calls(asker, count, MESSAGES),
    "messages": lambda asker, count: _calls(asker, count, large()),
    "tools": lambda asker, count: _calls(asker, count, MESSAGES, tools()),
    "burst-sync": lambda asker, count: _streams(asker, count, BURST),
    "paced-sync": lambda asker, count: _streams(asker, count, PACED),
}
_ASYNC: dict[str, Callable[[Asking, int], Awaitable[int]]] = {
    "async": _acalls,
    "in-flight": _in_flight,
    "burst-async": _waited(_astreams, BURST),
    "burst-many": _waited(_astreams, BURST, _STREAMS),
    "paced-async": _waited(_astreams, PACED),
    "paced-many": _waited(_astreams, PACED, _STREAMS),
}


async def _task(asker: Any, task: dict[str, Any]) -> dict[str, float]:
    """Microseconds of CPU for each call or piece of text; KiB for `memory`. The first quarter is not measured."""
    name, count = task["measure"], task["count"]
    if name == "memory":
        return await _memory(asker, count)
    warm = max(1, count // 4)
    if name in _SYNC:
        _SYNC[name](asker, warm)
        start = process_time()
        made = _SYNC[name](asker, count)
    else:
        await _ASYNC[name](asker, warm)
        start = process_time()
        made = await _ASYNC[name](asker, count)
    return {"value": (process_time() - start) * 1e6 / made}


async def _serve(asker_of: Any, answers: Any) -> None:
    """In one event loop, as a server would. What is sync blocks it: nothing else runs there."""
    askers: dict[str, Any] = {}
    while line := sys.stdin.readline():
        task = json.loads(line)
        try:
            asker = askers.get(task["url"]) or askers.setdefault(task["url"], asker_of(task["url"]))
            answer: dict[str, Any] = await _task(asker, task)
        except Exception as problem:  # noqa: BLE001 - what a library can't do is a line of the table
            answer = {"failed": "".join(traceback.format_exception(problem))[-1500:]}
        tell(answers, answer)


def main() -> None:
    """Say who is measured here, then do the tasks."""
    module, answers = asker("benchmarks.speed.askers")
    if module is None:
        return
    able = [name for name in ("call", "stream", "acall", "astream", "aopen") if hasattr(module.Asker, name)]
    introduce(answers, module, able=able, imports=module.IMPORT)
    asyncio.run(_serve(module.Asker, answers))


if __name__ == "__main__":
    main()
