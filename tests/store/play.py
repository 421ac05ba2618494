"""Processes that share a store, played in one: a clock that is made up, a store in memory, and rounds made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llmswitch._endpoint import Endpoint
from llmswitch._errors import LLMSwitchError, RateLimited, ServerError
from llmswitch._health import Admission, Health, Refusal
from llmswitch._sharing import Sharing
from llmswitch._store import Record, Store
from llmswitch._target import Target

EPOCH = 1_800_000_000_000  # milliseconds: where the store's clock begins


def target(model: str = "m", *, account: str = "a", base_url: str = "https://vendor.example/v1") -> Target:
    """A target with as much of everything as its health asks for."""
    endpoint = Endpoint("vendor", "main", base_url, "unknown", {}, account)
    return Target("vendor", model, cast("Any", None), endpoint, cast("Any", None))


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryStore:
    """What a store does, in memory. `skew`: milliseconds that its clock has jumped. `broken`: what it raises."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.skew = 0
        self.broken: Exception | None = None
        self.kept: dict[str, tuple[str, int]] = {}
        self.leases: dict[str, tuple[str, int]] = {}
        self.calls = 0
        self.written: list[str] = []

    @property
    def now(self) -> int:
        """Its clock."""
        return EPOCH + self.skew + round(self.clock.now * 1000)

    def _called(self) -> None:
        self.calls += 1
        if self.broken is not None:
            raise self.broken

    def read(self, names: Sequence[str]) -> tuple[int, list[bytes | str | None]]:
        self._called()
        self.kept = {name: kept for name, kept in self.kept.items() if kept[1] > self.now}
        return self.now, [self.kept[name][0] if name in self.kept else None for name in names]

    def write(self, records: Sequence[tuple[str, Record]]) -> None:
        self._called()
        for name, record in records:
            raw = self.kept.get(name)
            if record.beats(Record.load(raw[0]) if raw is not None else None):
                self.kept[name] = record.dump(), record.kept
                self.written.append(name)

    def hold(self, name: str, token: str, seconds: float) -> bool:
        self._called()
        holder = self.leases.get(name)
        if holder is None or holder[0] != token:
            if holder is not None and holder[1] > self.now:
                return False
            raw = self.kept.get(name)
            record = Record.load(raw[0]) if raw is not None else None
            if record is not None and record.until > self.now:
                return False
        self.leases[name] = token, self.now + round(seconds * 1000)
        return True

    def free(self, name: str, token: str) -> None:
        self._called()
        if name in self.leases and self.leases[name][0] == token:
            del self.leases[name]

    def close(self) -> None:
        pass


class ByHand(Sharing):
    """Makes a round when a test says so."""

    def start(self) -> None:
        """There is no thread."""


class Process:
    """One of several processes, with its own health."""

    def __init__(self, store: Store, clock: Clock, *, machine: str = "here", egress: str | None = None) -> None:
        self.store = store
        self.sharing = ByHand(lambda: store, machine=machine, egress=egress)
        self.health = Health(clock=clock, chance=lambda: 0.5, sharing=self.sharing)

    def turn(self) -> float:
        """A round, or an attempt at one; seconds until the next."""
        return self.sharing.turn(self.store, self.health)

    def ask(self, asked: Target, limit: float = 10.0) -> Admission:
        """Leave to ask, which must be given."""
        admission = self.health.admit(asked, limit)
        assert isinstance(admission, Admission), admission
        return admission

    def refused(self, asked: Target) -> Refusal | None:
        """Why a call is not let through; one that is let through says nothing."""
        admission = self.health.admit(asked, 10.0)
        if isinstance(admission, Admission):
            self.health.released(admission)
            return None
        return admission

    def fails(self, asked: Target, error: LLMSwitchError | None = None, *, times: int = 1) -> None:
        """Calls that fail."""
        for _ in range(times):
            self.health.failed(self.ask(asked), error or ServerError("it failed"))

    def answers(self, asked: Target, *, times: int = 1) -> None:
        """Calls that are answered."""
        for _ in range(times):
            self.health.succeeded(self.ask(asked))

    def limited(self, asked: Target, seconds: float) -> None:
        """A call that is told to come back after so many seconds."""
        self.fails(asked, limited(seconds))


def limited(seconds: float) -> LLMSwitchError:
    """What a vendor says that wants to be left alone."""
    error = RateLimited("too many requests")
    error.retry_after = seconds
    return error
