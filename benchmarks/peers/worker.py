"""
The process in which one library is asked: `python -m benchmarks.peers.worker MODULE`.

It reads tasks from its input, one JSON line each, and answers each with one line. It needs nothing but the library and
this checkout; the servers, the clock that counts and the judge are in its parent.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from benchmarks.peers.asking import GIVEN_UP, PROMPT, Asking, Given
from benchmarks.worker import asker, introduce, tell

__all__ = ["main"]

_SAID = 300
# In waves that every library can send off in time, so that it is in their wait for an answer that calls are given up.
_WAVE = 50
_CANCELLED_AFTER = (1.0, 2.0)


async def _call(asker: Asking, task: dict[str, Any]) -> dict[str, Any]:
    """One call, as its caller saw it."""
    pieces: list[str] = []
    finish: str | None = None
    error: dict[str, Any] | None = None
    start, spent, hung = monotonic(), process_time(), False
    try:
        async with asyncio.timeout(task["patience"]) as patience:
            if task["stream"]:
                finish = await asker.stream(PROMPT, pieces)
            else:
                text, finish = await asker.whole(PROMPT)
                pieces.append(text)
    except Exception as problem:  # noqa: BLE001 - whatever a library raises is what is to be told
        hung = patience.expired()
        told = "".join(traceback.format_exception(problem)) + repr(problem)
        error = {"type": type(problem).__name__, "said": str(problem)[:_SAID], "key": "CANARY-key" in told}
    took = {"seconds": monotonic() - start, "cpu": process_time() - spent}
    return {"text": "".join(pieces), "finish": finish, "error": error, "hung": hung, **took}


async def _cancelled(asker: Asking, task: dict[str, Any]) -> None:
    """So many calls, a wave at a time, each given up after a while of its own."""
    shortest, longest = _CANCELLED_AFTER

    async def give_up(index: int) -> None:
        running = asyncio.ensure_future(asker.whole(GIVEN_UP))
        await asyncio.sleep(shortest + (longest - shortest) * index / _WAVE)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    for start in range(0, task["cancelled"], _WAVE):
        await asyncio.gather(*(give_up(index) for index in range(min(_WAVE, task["cancelled"] - start))))


async def _task(asker_of: Any, task: dict[str, Any]) -> dict[str, Any]:
    """
    `calls` calls one after the other, after `cancelled` others. `forgets`: what a library remembers of its targets is
    taken back before each, where it can be.
    """
    asker = asker_of(Given((task["urls"][0], task["urls"][1]), task["seconds"]))
    if task["cancelled"]:
        async with asyncio.timeout(task["patience"] * 5):
            await _cancelled(asker, task)
    before = _forget_peak()
    calls = []
    for _ in range(task["calls"]):
        if task.get("forgets") and hasattr(asker, "forget"):
            asker.forget()
        calls.append(await _call(asker, task))
    return {"calls": calls, "grown": _peak() - before}


def _peak() -> int:
    """The most memory that this process has held, in bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _forget_peak() -> int:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak()


async def _serve(asker_of: Any, answers: Any) -> None:
    """In one event loop, as a server would: libraries keep clients by loop."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            answer = await _task(asker_of, json.loads(line))
        except Exception as problem:  # noqa: BLE001 - the asker could not even be made
            answer = {"failed": "".join(traceback.format_exception(problem))[-2000:]}
        tell(answers, answer)


def main() -> None:
    """Say who is asked here, then do the tasks."""
    module, answers = asker("benchmarks.peers.askers")
    if module is None:
        return
    introduce(answers, module, settings=module.SETTINGS, python=sys.version.split()[0])
    asyncio.run(_serve(module.Asker, answers))


if __name__ == "__main__":
    main()
