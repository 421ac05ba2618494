"""Allowances counted in Redis: the script `counters.lua` carries out a batch of orders in one step, by its clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from ._allowance import CLOSED_AT_MOST, Charge, Denied, Seen, Want
from ._counter_store import Give, Order, Report, Result, Take, Taken, View
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

    def carry_out(
        self, views: Sequence[View], orders: Sequence[Order], *, beat: bool = False, leave: bool = False
    ) -> Report:
        """`CounterStore.carry_out`."""
        batch = _Batch(self._prefix, views)
        payload: dict[str, Any] = {"views": batch.views, "orders": [batch.encoded(order) for order in orders]}
        if beat or leave:
            payload.update(beat=beat, leave=leave, process=self._process, alive=ALIVE)
        if self._clock is not None:
            payload["now"] = self._clock()
        now, processes, answers, seen = self._run(batch.keys, [json.dumps(payload, separators=(",", ":"))])
        results = [_result(order, kind, told) for order, (kind, *told) in zip(orders, answers, strict=True)]
        states = {view.allowance.name: Seen(*state) for view, state in zip(views, seen, strict=True)}
        return Report(now, max(1, processes), results, states)

    def close(self) -> None:
        """`CounterStore.close`."""
        self._client.close()

    def __repr__(self) -> str:
        return "RedisCounters()"  # an address may hold a password


@cache
def _script() -> str:
    return files("llmswitch").joinpath("counters.lua").read_text("utf-8")


class _Batch:
    """Orders as the script reads them: a key, and a view, are named by their number, from 1."""

    def __init__(self, prefix: str, views: Sequence[View]) -> None:
        self._prefix = prefix
        self.keys = [f"{prefix}processes"]
        self._records: dict[str, int] = {}
        self._numbers = {view.allowance.name: number for number, view in enumerate(views, 1)}
        self.views = [self._view(view) for view in views]

    def _key(self, kind: str, name: str) -> int:
        self.keys.append(f"{self._prefix}{kind}:{name}")
        return len(self.keys)

    def _record(self, token: str) -> int:
        if token not in self._records:
            self._records[token] = self._key("reservation", token)
        return self._records[token]

    def _view(self, view: View) -> dict[str, Any]:
        window, known = view.allowance.window, view.known
        given: dict[str, Any] = {"key": self._key("allowance", view.allowance.name), "edges": view.edges}
        if isinstance(window, Sliding):
            given["seconds"] = window.seconds
        elif isinstance(window, Until):
            given["once"] = True
        if known is not None:
            given["known"] = {"start": known.start, "settled": known.settled, "back": known.back}
        return given

    def encoded(self, order: Order) -> dict[str, Any]:
        if isinstance(order, Take):
            length, grain = lease_length(order.lease)
            given = {"kind": "take", "record": self._record(order.token), "lease": length, "grain": grain}
            items = [self._wanted(want) for want in order.wants]
            return {**given, "grace": GRACE, "look": order.look, "items": items}
        if isinstance(order, Give):
            given = {"kind": "give", "record": self._record(order.token), "kept": order.kept, "mark": order.mark}
            actuals = order.actuals or [0] * len(order.charges)
            items = [self._charged(charge, actual) for charge, actual in zip(order.charges, actuals, strict=True)]
            return {**given, "open": order.actuals is None, "items": items}
        view = self._numbers[order.allowance.name]
        return {"kind": "shut", "view": view, "until": order.until, "longest": CLOSED_AT_MOST}

    def _wanted(self, want: Want) -> dict[str, Any]:
        limit, rate = want.allowance.limit, want.allowance.kind == "rate"
        return {"view": self._numbers[want.allowance.name], "amount": want.amount, "limit": limit, "rate": rate}

    def _charged(self, charge: Charge, actual: int) -> dict[str, Any]:
        place = {"amount": charge.amount, "start": charge.start, "ends": charge.ends}
        return {"view": self._numbers[charge.allowance.name], **place, "actual": actual}


def _result(order: Order, kind: bytes, told: list[Any]) -> Result:
    if kind == b"when":
        return None
    if isinstance(order, Take) and kind == b"taken":
        kept = () if order.look else zip(order.wants, told[0], strict=True)
        return Taken(tuple(Charge(want.allowance, want.amount, start, ends) for want, (start, ends) in kept))
    if isinstance(order, Take):
        index, (wait, spent, soon) = told
        return Denied(order.wants[index - 1], None if wait < 0 else wait / 1000, spent, bool(soon))
    return "done"
