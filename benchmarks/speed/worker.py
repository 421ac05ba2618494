"""
The process in which one library is measured: `python -m benchmarks.speed.worker MODULE`.

It reads tasks from its input, one JSON line each, and answers each with one line. CPU is that of this process, user and
system; the vendor is in another one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from benchmarks.speed.asking import BURST, MESSAGES, PACED, Asking, large, tools
from benchmarks.worker import asker, introduce, tell

__all__ = ["main"]

_AT_ONCE, _STREAMS = 100, 50
_FEWEST_OPEN = 200
_LARGE, _TOOLS = large(), tools()


@dataclass(frozen=True)
class Turns:
    """`count` turns, counted from 1; fewer where they take longer than these seconds, but one at least."""

    count: int
    seconds: float

    def __iter__(self) -> Iterator[int]:
        until = monotonic() + self.seconds
        yield 1
        for number in range(2, self.count + 1):
            if monotonic() > until:
                return
            yield number


def _calls(
    asker: Asking, turns: Turns, messages: list[dict[str, Any]], given: list[dict[str, Any]] | None = None
) -> int:
    made = 0
    for made in turns:  # noqa: B007 - the last is how many there were
        assert asker.call(messages, given)
    return made


def _streams(asker: Asking, turns: Turns, expected: int) -> int:
    made = 0
    for made in turns:  # noqa: B007 - the last is how many there were
        assert expected == asker.stream(MESSAGES), "a stream lost some of its text"
    return made * expected


async def _acalls(asker: Asking, turns: Turns) -> int:
    made = 0
    for made in turns:  # noqa: B007 - the last is how many there were
        assert await asker.acall(MESSAGES)
    return made


async def _in_flight(asker: Asking, turns: Turns) -> int:
    return sum(await asyncio.gather(*(_acalls(asker, turns) for _ in range(_AT_ONCE))))


async def _astreams(asker: Asking, turns: Turns, expected: int, at_once: int = 1) -> int:
    async def one() -> None:
        assert expected == await asker.astream(MESSAGES), "a stream lost some of its text"

    made = 0
    for made in turns:  # noqa: B007 - the last is how many there were
        await asyncio.gather(*(one() for _ in range(at_once)))
    return made * expected * at_once


async def _memory(asker: Asking, turns: Turns) -> dict[str, float]:
    """
    Private memory of each of so many open streams, in KiB, the first few apart, in a process that has done nothing
    before: what is left behind would be used again, and not be seen. Where they take too long, or the library has no
    more connections to give, those count that are open, 200 at least.
    """
    few = min(20, turns.count // 2)
    held: list[object] = await asyncio.gather(*(asker.aopen(MESSAGES) for _ in range(few)))
    gc.collect()
    before = grown = _private()
    until = monotonic() + turns.seconds
    while len(held) < turns.count and (len(held) < _FEWEST_OPEN or monotonic() < until):
        some = min(50, turns.count - len(held))
        try:
            async with asyncio.timeout(max(turns.seconds, 10)):
                held += await asyncio.gather(*(asker.aopen(MESSAGES) for _ in range(some)))
        except TimeoutError:
            if len(held) < _FEWEST_OPEN:
                raise
            break
        gc.collect()
        grown = _private()
    return {"value": (grown - before) / (len(held) - few), "made": len(held)}


def _private() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("Private_"))


_SYNC: dict[str, Callable[[Asking, Turns], int]] = {
    "sync": lambda asker, turns: _calls(asker, turns, MESSAGES),
    "messages": lambda asker, turns: _calls(asker, turns, _LARGE),
    "tools": lambda asker, turns: _calls(asker, turns, MESSAGES, _TOOLS),
    "burst-sync": lambda asker, turns: _streams(asker, turns, BURST),
    "paced-sync": lambda asker, turns: _streams(asker, turns, PACED),
}
_ASYNC: dict[str, Callable[[Asking, Turns], Coroutine[Any, Any, int]]] = {
    "async": _acalls,
    "in-flight": _in_flight,
    "burst-async": lambda asker, turns: _astreams(asker, turns, BURST),
    "burst-many": lambda asker, turns: _astreams(asker, turns, BURST, _STREAMS),
    "paced-async": lambda asker, turns: _astreams(asker, turns, PACED),
    "paced-many": lambda asker, turns: _astreams(asker, turns, PACED, _STREAMS),
}


def _task(runner: asyncio.Runner, asker: Any, task: dict[str, Any]) -> dict[str, float]:
    """
    Microseconds of CPU for each call or piece of text; KiB for `memory`. A quarter more comes before, unmeasured; a
    single stream before the fifty of a burst.
    """
    name, turns = task["measure"], Turns(task["count"], task["seconds"])
    if name == "memory":
        return runner.run(_memory(asker, turns))

    def measured(name: str, turns: Turns) -> int:
        return _SYNC[name](asker, turns) if name in _SYNC else runner.run(_ASYNC[name](asker, turns))

    measured("burst-async" if name == "burst-many" else name, Turns(max(1, turns.count // 4), turns.seconds))
    start = process_time()
    made = measured(name, turns)
    return {"value": (process_time() - start) * 1e6 / made, "made": made}


def _serve(asker_of: Any, answers: Any) -> None:
    """What is async all in one event loop, as a server would; what is sync outside of it."""
    askers: dict[str, Any] = {}
    with asyncio.Runner() as runner:
        while line := sys.stdin.readline():
            task = json.loads(line)
            try:
                asker = askers.get(task["url"]) or askers.setdefault(task["url"], asker_of(task["url"]))
                answer: dict[str, Any] = _task(runner, asker, task)
            except Exception as problem:  # noqa: BLE001 - what a library can't do is a cell of the table
                told = "".join(traceback.format_exception(problem))[-1500:]
                answer = {"failed": type(problem).__name__, "said": told}
            tell(answers, answer)


def main() -> None:
    """Say who is measured here, then do the tasks."""
    module, answers = asker("benchmarks.speed.askers")
    if module is None:
        return
    able = [name for name in ("call", "stream", "acall", "astream", "aopen") if hasattr(module.Asker, name)]
    introduce(answers, module, able=able, imports=module.IMPORT)
    _serve(module.Asker, answers)


if __name__ == "__main__":
    main()
