"""Allowances counted in Redis: the script `counters.lua` carries out a batch of orders in one step, by its clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ._allowance import CLOSED_AT_MOST, Allowance, Charge, Denied, Seen, Want
from ._counter_store import Give, Order, Report, Result, Shut, Take, Taken
from ._counters import lease_length
from ._window import Sliding, Until

__all__ = ["ALIVE", "RedisCounters"]

ALIVE = 20_000  # milliseconds for which a process counts as there after it last said so
GRACE = 3_600_000  # milliseconds after the end of a lease in which it is still known what was reserved


class RedisCounters:
    """
    A `CounterStore`. Raises what redis-py raises. A script is named by its hash; where the server has forgotten it,
    redis-py sends it anew.

    `process`: this one's name, by which it is counted. `clock`: in place of the server's, for a test.
    """

    def __init__(self, client: Any, prefix: str, process: str, clock: Callable[[], int] | None = None) -> None:
        self._client = client
        self._prefix = f"{prefix}:1:"
        self._process = process
        self._clock = clock
        self._run = client.register_script(_script())

    def carry_out(self, orders: Sequence[Order], *, beat: bool = False, leave: bool = False) -> Report:
        """`CounterStore.carry_out`."""
        keys = _Keys(self._prefix)
        payload: dict[str, Any] = {"orders": [_encoded(order, keys) for order in orders]}
        if beat or leave:
            payload.update(beat=beat, leave=leave, process=self._process, alive=ALIVE)
        if self._clock is not None:
            payload["now"] = self._clock()
        now, processes, answers = self._run(keys.all, [json.dumps(payload, separators=(",", ":"))])
        report = Report(now, max(1, processes), [])
        for order, (kind, *told) in zip(orders, answers, strict=True):
            report.results.append(_result(order, kind.decode(), told))
            if told and isinstance(told[-1], list):
                names = [allowance.name for allowance in _allowances(order)]
                report.seen.update((name, Seen(*state)) for name, state in zip(names, told[-1], strict=True))
        return report

    def close(self) -> None:
        """`CounterStore.close`."""
        self._client.close()

    def __repr__(self) -> str:
        return "RedisCounters()"  # an address may hold a password


@cache
def _script() -> str:
    return files("llmswitch").joinpath("counters.lua").read_text("utf-8")


class _Keys:
    """The keys that a batch has to do with; an order names them by their number."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = {f"{prefix}processes": 1}

    def number(self, kind: str, name: str) -> int:
        return self._numbers.setdefault(f"{self._prefix}{kind}:{name}", len(self._numbers) + 1)

    @property
    def all(self) -> list[str]:
        return list(self._numbers)


def _allowances(order: Order) -> list[Allowance]:
    if isinstance(order, Take):
        return [want.allowance for want in order.wants]
    if isinstance(order, Give):
        return [charge.allowance for charge in order.charges]
    return [order.allowance]


def _encoded(order: Order, keys: _Keys) -> dict[str, Any]:
    if isinstance(order, Take):
        length, grain = lease_length(order.lease)
        wanted = zip(order.wants, order.edges, order.known, strict=True)
        return {
            "kind": "take",
            "record": keys.number("reservation", order.token),
            "lease": length,
            "grain": grain,
            "grace": GRACE,
            "items": [_wanted(want, given, known, keys) for want, given, known in wanted],
        }
    if isinstance(order, Give):
        actuals = order.actuals or [None] * len(order.charges)
        return {
            "kind": "give",
            "record": keys.number("reservation", order.token),
            "open": order.actuals is None,
            "kept": order.kept,
            "mark": order.mark,
            "items": [_charged(charge, actual, keys) for charge, actual in zip(order.charges, actuals, strict=True)],
        }
    if isinstance(order, Shut):
        item = _item(order.allowance, order.edges, keys)
        return {"kind": "shut", "items": [item], "until": order.until, "longest": CLOSED_AT_MOST}
    return {"kind": "look", "items": [_item(order.allowance, order.edges, keys, order.known)]}


def _item(allowance: Allowance, given: Sequence[int], keys: _Keys, known: Seen | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"key": keys.number("allowance", allowance.name), "edges": given}
    if isinstance(allowance.window, Sliding):
        item["seconds"] = allowance.window.seconds
    elif isinstance(allowance.window, Until):
        item["once"] = True
    if known is not None:
        item["known"] = {"start": known.start, "settled": known.settled, "back": known.back}
    return item


def _wanted(want: Want, given: Sequence[int], known: Seen | None, keys: _Keys) -> dict[str, Any]:
    item = _item(want.allowance, given, keys, known)
    item.update(amount=want.amount, limit=want.allowance.limit, rate=want.allowance.kind == "rate")
    return item


def _charged(charge: Charge, actual: int | None, keys: _Keys) -> dict[str, Any]:
    item = _item(charge.allowance, (), keys)
    item.update(amount=charge.amount, start=charge.start, ends=charge.ends)
    if actual is not None:
        item["actual"] = actual
    window = charge.allowance.window
    if not isinstance(window, Sliding):
        span = window.span(charge.start)
        item["last"] = span[1] if span is not None else charge.start
    return item


def _result(order: Order, kind: str, told: list[Any]) -> Result:
    if isinstance(order, Take) and kind == "taken":
        kept = zip(order.wants, told[0], strict=True)
        return Taken(tuple(Charge(want.allowance, want.amount, start, ends) for want, (start, ends) in kept))
    if isinstance(order, Take) and kind == "denied":
        wait, spent, soon = told[1]
        return Denied(order.wants[told[0] - 1], None if wait < 0 else wait / 1000, spent, bool(soon))
    return None
