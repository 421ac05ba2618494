"""
The process that is measured: `python -m benchmarks.failover.child PLAN`, with a plan as JSON, prints JSON.

It makes the calls and does nothing else; the servers are in its parent, so their work is not in the figures.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any

from .callers import PROMPT, Answered, AsyncOurs, AsyncRaw, Ours, Raw, config

__all__ = ["CLEAR_PEAK", "main"]

CLEAR_PEAK = Path("/proc/self/clear_refs")

Call = list[Any]  # who, start, first text, CPU seconds, requests sent, error


def calls(plan: dict[str, Any]) -> list[Call]:
    """
    Calls one after the other. `order`: who makes each of them; `reset`: llmswitch begins each with a clean slate;
    `pace`: seconds between their beginnings.
    """
    random.seed(plan["seed"])
    return _sync(plan) if plan["sync"] else asyncio.run(_async(plan))


def _sync(plan: dict[str, Any]) -> list[Call]:
    raw = Raw(plan["raw_urls"], plan["raw_timeouts"], stream=plan["stream"])
    ours = Ours(plan["urls"], plan["limits"], stream=plan["stream"])
    made: list[Call] = []
    for who in plan["order"]:
        if plan["reset"]:
            ours.reset()
        start, spent = monotonic(), process_time()
        answered = ours.ask() if who == "llmswitch" else raw.ask()
        made.append(_call(who, start, spent, answered))
        sleep(_rest(plan, start))
    return made


async def _async(plan: dict[str, Any]) -> list[Call]:
    raw = AsyncRaw(plan["raw_urls"], plan["raw_timeouts"], stream=plan["stream"])
    ours = AsyncOurs(plan["urls"], plan["limits"], stream=plan["stream"])
    made: list[Call] = []
    for who in plan["order"]:
        if plan["reset"]:
            ours.reset()
        start, spent = monotonic(), process_time()
        answered = await (ours.ask() if who == "llmswitch" else raw.ask())
        made.append(_call(who, start, spent, answered))
        await asyncio.sleep(_rest(plan, start))
    return made


def _call(who: str, start: float, spent: float, answered: Answered) -> Call:
    return [who, start, answered.first, process_time() - spent, answered.sent, answered.error]


def _rest(plan: dict[str, Any], start: float) -> float:
    pace: float = plan["pace"]
    return max(0.0, start + pace - monotonic())


def crowd(plan: dict[str, Any]) -> list[Call]:
    """`calls` of llmswitch, `at_once` at a time."""
    random.seed(plan["seed"])
    share = plan["calls"] // plan["at_once"]
    made: list[Call] = []
    if plan["sync"]:
        ours = Ours(plan["urls"], plan["limits"], stream=plan["stream"])

        def work() -> None:
            made.extend(_call("llmswitch", monotonic(), process_time(), ours.ask()) for _ in range(share))

        threads = [threading.Thread(target=work) for _ in range(plan["at_once"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return made

    async def task(client: AsyncOurs) -> None:
        for _ in range(share):
            answered = await client.ask()
            made.append(_call("llmswitch", monotonic(), process_time(), answered))

    async def tasks() -> None:
        client = AsyncOurs(plan["urls"], plan["limits"], stream=plan["stream"])
        await asyncio.gather(*(task(client) for _ in range(plan["at_once"])))

    asyncio.run(tasks())
    return made


def memory(plan: dict[str, Any]) -> dict[str, Any]:
    """One call in a warm process: by how many bytes its peak grew, and what came of the first target."""
    from llmswitch import Client, LLMSwitchError

    def ask(urls: Sequence[str]) -> str | None:
        client = Client.from_config(config(urls, plan["limits"]))
        try:
            if not plan["stream"]:
                reply = client.chat(PROMPT)
            else:
                with client.stream(PROMPT) as stream:
                    for _ in stream:
                        pass
                reply = stream.reply
        except LLMSwitchError as error:
            return type(error).__name__
        return reply.attempts[0].error

    ask(plan["warm_urls"])
    before = _forget_peak()
    error = ask(plan["urls"])
    return {"grown": peak() - before, "error": error}


def peak() -> int:
    """The most memory that this process has held, in bytes. Needs Linux's /proc."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process has held")


def _forget_peak() -> int:
    """Begin the peak anew at what is held now, and say what that is."""
    CLEAR_PEAK.write_text("5")
    return peak()


_MEASURES: dict[str, Callable[[dict[str, Any]], Any]] = {"calls": calls, "crowd": crowd, "memory": memory}


def main() -> None:
    """Do what the plan in the first argument says, and print what was measured."""
    plan = json.loads(sys.argv[1])
    print(json.dumps(_MEASURES[plan["measure"]](plan)))


if __name__ == "__main__":
    main()
