"""What the chain itself costs: longer ones, a failover, and many targets whose health is known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import httpx

from llmswitch import Client
from llmswitch._health import Health

from .askers.llmswitch_httpx import config
from .asking import KEY, MESSAGES, text_of, whole

__all__ = ["Line", "chains", "table"]


@dataclass(frozen=True)
class Line:
    """One line of the table. `met`: whether its goal is, where it has one."""

    title: str
    measured: str
    goal: str = ""
    met: bool | None = None


def _in_turn(calls: dict[str, Callable[[], object]], count: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds of CPU of each of them, for each round."""
    for call in calls.values():
        for _ in range(max(2, count // 4)):
            call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls) if number % 2 == 0 else reversed(list(calls)):
            start = process_time()
            for _ in range(count):
                calls[name]()
            found[name].append((process_time() - start) * 1e6 / count)
    return found


def _ratio(found: dict[str, list[float]], name: str, of: str) -> float:
    return median(one / other for one, other in zip(found[name], found[of], strict=True))


def chains(url: str, *, rounds: int, count: int) -> list[Line]:
    """All of it. `url`: that of the vendor."""
    with ExitStack() as stack:

        def client(*urls: str) -> Client:
            return stack.enter_context(Client.from_config(config(urls[0], "httpx", *urls[1:])))

        return [
            *_lengths(client, url, rounds, count),
            *_failover(client, url, rounds, count),
            *_many_targets(client, url, rounds, count),
        ]


def _lengths(client_of: Callable[..., Client], url: str, rounds: int, count: int) -> list[Line]:
    healthy = f"{url}/whole"
    clients = {n: client_of(*(healthy for _ in range(n))) for n in (1, 5, 20)}
    found = _in_turn({str(n): partial(client.chat, MESSAGES) for n, client in clients.items()}, count, rounds)
    lines = [Line("a call to one target, us of CPU", f"{median(found['1']):.0f}")]
    for n in (5, 20):
        ratio = _ratio(found, str(n), "1")
        lines.append(
            Line(f"a chain of {n}, the first healthy: ratio to one target", f"{ratio:.3f}", "1.03", ratio <= 1.03)
        )
    return lines


def _failover(client_of: Callable[..., Client], url: str, rounds: int, count: int) -> list[Line]:
    client = client_of(f"{url}/fail", f"{url}/whole")
    body = whole(MESSAGES)

    def by_hand() -> str:
        for kind in ("fail", "whole"):
            try:
                answer = raw.post(f"{url}/{kind}/v1/chat/completions", json=body)
                answer.raise_for_status()
                return text_of(answer.json())
            except httpx.HTTPError:
                pass
        raise AssertionError("nobody answered")

    def ours() -> str:
        for target in ("t1:m", "t2:m"):
            client.reset(target)
        return client.chat(MESSAGES).text

    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as raw:
        found = _in_turn({"by hand": by_hand, "llmswitch": ours}, count, rounds)
    more = median(one - other for one, other in zip(found["llmswitch"], found["by hand"], strict=True)) / 1000
    said = f"{more:.2f} ms over {median(found['by hand']) / 1000:.2f}"
    return [Line("a 500, then the second target: CPU over httpx by hand", said, "1 ms", more <= 1.0)]


def _many_targets(client_of: Callable[..., Client], url: str, rounds: int, count: int) -> list[Line]:
    """The same call, with the health of 10,000 targets known."""
    plain, full = client_of(f"{url}/whole"), client_of(f"{url}/whole")
    _fill(full._health, full, 10_000)
    found = _in_turn({"1": lambda: plain.chat(MESSAGES), "10,000": lambda: full.chat(MESSAGES)}, count, rounds)
    ratio = _ratio(found, "10,000", "1")
    return [Line("10,000 targets known, ratio to one", f"{ratio:.3f}", "1.03", ratio <= 1.03)]


def _fill(health: Health, client: Client, number: int) -> None:
    for index in range(number):
        target: Any = client._setup.target(f"t1:m{index}")
        admission: Any = health.admit(target, 30.0)
        health.succeeded(admission, stream=False, seconds=0.1)
        health.released(admission)


def table(lines: list[Line], *, judged: bool) -> str:
    """As Markdown."""
    rows = ["| | measured | goal |", "|---|---|---|"]
    for line in lines:
        said = f"**{line.measured}**" if judged and line.met is False else line.measured
        rows.append(f"| {line.title} | {said} | {line.goal} |")
    return "\n".join(rows)
