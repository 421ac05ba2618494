"""What the gateway tells of itself: counters for Prometheus, and the last answers for the status page. No content."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from llmswitch._client import AsyncClient
from llmswitch._drill import FAULTS
from llmswitch._embedding import EmbedReply
from llmswitch._errors import LLMSwitchError
from llmswitch._hooks import Hooks
from llmswitch._reply import Attempt, ChatReply

__all__ = ["Entry", "Watch"]

_KEPT = 500  # answers, switches and alarms that the status page knows
_NAMES = 200  # different values of a label; what comes after is "other"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(slots=True)
class Entry:
    """One request, without a word of what was asked or answered."""

    door: str
    key: str
    at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    model: str = ""
    target: str | None = None
    error: str | None = None
    status: int | None = None
    seconds: float = 0.0
    first_token: float | None = None
    tokens: int | None = None
    cost: tuple[str, str] | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def answered(self, reply: ChatReply | EmbedReply) -> None:
        """It was answered."""
        self.target = f"{reply.provider}:{reply.model}"
        self.tokens = reply.usage.total_tokens
        if reply.cost is not None:
            self.cost = (f"{reply.cost.amount:f}", reply.cost.currency)
        self.attempts = [_shown(attempt) for attempt in reply.attempts]
        first, last = (reply.attempts[0], reply.attempts[-1]) if reply.attempts else (None, None)
        if first is not None and last is not None and last.ttft_ms is not None:
            self.first_token = last.started - first.started + last.ttft_ms / 1000

    def failed(self, error: LLMSwitchError) -> None:
        """It was not."""
        self.error = type(error).__name__
        self.attempts = [_shown(attempt) for attempt in error.attempts] or self.attempts

    def left(self) -> None:
        """The client did not wait for it."""
        self.error = "ClientLeft"

    def shown(self) -> dict[str, Any]:
        """For the status page."""
        names = ("door", "key", "at", "model", "target", "error", "status", "seconds", "first_token", "tokens", "cost")
        return {name: getattr(self, name) for name in names} | {"attempts": self.attempts}


def _shown(attempt: Attempt) -> dict[str, Any]:
    """Names and numbers alone: a vendor's message may quote what was asked."""
    return {
        "target": attempt.target,
        "kind": attempt.kind,
        "error": attempt.error,
        "skipped": attempt.skipped_because is not None,
        "status": attempt.status,
        "code": attempt.code if attempt.code is not None and _CODE.fullmatch(attempt.code) else None,
        "ms": None if attempt.end_ms is None else round(attempt.end_ms, 1),
    }


class Watch:
    """Sees each request through `begin` and `end`, and each attempt through the client's hooks."""

    def __init__(self) -> None:
        self.started = time.time()
        self.registry = CollectorRegistry()
        self._answers: deque[Entry] = deque(maxlen=_KEPT)
        self._switches: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._alarms: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._seen: dict[str, set[str]] = {"model": set(), "target": set()}
        self._make_metrics()
        self.hooks = Hooks(
            on_attempt=self._attempted,
            on_switch=self._switched,
            account_needs_human=lambda error: self._alarm("account", error),
            security=lambda error: self._alarm("security", error),
        )

    def _make_metrics(self) -> None:
        to = self.registry
        self._requests = Counter(
            "llmswitch_requests",
            "Requests by door, model, key and outcome.",
            ["door", "model", "key", "status", "error"],
            registry=to,
        )
        self._duration = Histogram(
            "llmswitch_request_seconds",
            "Seconds of a request, whole.",
            ["door", "model"],
            buckets=_SECONDS,
            registry=to,
        )
        self._first = Histogram(
            "llmswitch_first_token_seconds",
            "Seconds to the first token of an attempt.",
            ["target"],
            buckets=_SECONDS,
            registry=to,
        )
        self._attempts = Counter(
            "llmswitch_attempts", "Attempts by target and outcome.", ["target", "outcome"], registry=to
        )
        self._moves = Counter(
            "llmswitch_switches",
            "Moves from one target to the next.",
            ["from_target", "to_target", "error"],
            registry=to,
        )
        self._tokens = Counter("llmswitch_tokens", "Tokens as vendors counted them.", ["target", "way"], registry=to)
        self._cost = Counter("llmswitch_cost", "Cost by the catalog's prices.", ["target", "currency"], registry=to)
        self._alerts = Counter("llmswitch_alarms", "What needs a person.", ["kind", "target", "error"], registry=to)
        self._in_flight = Gauge("llmswitch_in_flight", "Requests under way.", registry=to)
        self._up = Gauge("llmswitch_target_up", "1 where a target would be asked now.", ["target"], registry=to)
        self._drill = Gauge("llmswitch_drill", "1 while an outage is rehearsed.", registry=to)

    def expect(self, models: Iterable[str], targets: Iterable[str]) -> None:
        """These are names of the configuration, whose labels no name that a client makes up takes away."""
        self._seen["model"].update(models)
        self._seen["target"].update(targets)

    def _label(self, kind: str, name: str) -> str:
        """The name as a label's value; clients may make up names without end."""
        seen = self._seen[kind]
        if name not in seen:
            if len(seen) >= _NAMES:
                return "other"
            seen.add(name)
        return name

    def begin(self, door: str, key: str) -> Entry:
        """A request has come."""
        self._in_flight.inc()
        return Entry(door, key)

    def end(self, entry: Entry, status: int | None) -> None:
        """It is over; `status`: what the client was told, if anything."""
        self._in_flight.dec()
        entry.seconds, entry.status = round(time.monotonic() - entry.began, 4), status
        model = self._label("model", entry.model)
        self._requests.labels(entry.door, model, entry.key, str(status or ""), entry.error or "").inc()
        self._duration.labels(entry.door, model).observe(entry.seconds)
        self._answers.append(entry)

    def _attempted(self, attempt: Attempt) -> None:
        target = self._label("target", attempt.target)
        outcome = "skipped" if attempt.skipped_because is not None else attempt.error or "ok"
        self._attempts.labels(target, outcome).inc()
        if attempt.ttft_ms is not None:
            self._first.labels(target).observe(attempt.ttft_ms / 1000)
        usage = attempt.usage
        if usage is not None:
            self._tokens.labels(target, "input").inc(usage.input_tokens or 0)
            self._tokens.labels(target, "output").inc(usage.output_tokens or 0)
        if attempt.cost is not None:
            self._cost.labels(target, attempt.cost.currency).inc(float(attempt.cost.amount))

    def _switched(self, before: str, after: str, error: LLMSwitchError) -> None:
        why = type(error).__name__
        self._moves.labels(self._label("target", before), self._label("target", after), why).inc()
        self._switches.append({"at": time.time(), "from": before, "to": after, "error": why})

    def _alarm(self, kind: str, error: LLMSwitchError) -> None:
        why, target = type(error).__name__, error.target or ""
        self._alerts.labels(kind, self._label("target", target), why).inc()
        self._alarms.append({"at": time.time(), "kind": kind, "target": target, "error": why})

    def metrics(self, client: AsyncClient) -> bytes:
        """All counters, as Prometheus reads them."""
        self._up.clear()
        for each in client.health():
            self._up.labels(self._label("target", each.target)).set(each.state == "ok")
        self._drill.set(client.drilled is not None)
        return generate_latest(self.registry)

    def status(self, client: AsyncClient) -> dict[str, Any]:
        """What the status page shows."""
        return {
            "started": self.started,
            "now": time.time(),
            "drill": client.drilled,
            "faults": FAULTS,
            "targets": [
                {
                    "target": each.target,
                    "state": each.state,
                    "seconds": None if each.seconds is None or each.seconds == float("inf") else round(each.seconds, 1),
                    "reason": each.reason,
                    "in_flight": each.in_flight,
                }
                for each in client.health()
            ],
            "allowances": [
                {
                    "label": each.label,
                    "unit": each.unit,
                    "limit": f"{each.limit:f}",
                    "spent": None if each.spent is None else f"{each.spent:f}",
                }
                for each in client.allowances()
            ],
            "answers": [entry.shown() for entry in self._answers],
            "switches": list(self._switches),
            "alarms": list(self._alarms),
        }
