"""Answers in the memory of one process."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic

__all__ = ["MemoryAnswers"]

_ENTRY = 400  # bytes that an answer takes beside its own


class MemoryAnswers:
    """`Answers` for `ttl` seconds, in `most` bytes; what was not asked for longest goes first."""

    def __init__(self, ttl: float, most: int, clock: Callable[[], float] = monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._ttl = ttl
        self._most = most
        self._clock = clock
        self.after_fork()
        _every.add(self)

    def after_fork(self) -> None:
        """Begin anew: the lock, and what it guards, may be in any state."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def find(self, key: str) -> _Found:
        """`Answers.find`."""
        return _Found(self, key)

    def get(self, key: str) -> bytes | None:
        """What is kept."""
        with self._lock:
            made, answer = self._kept.get(key, (float("-inf"), b""))
            if self._clock() - made < self._ttl:
                self._kept.move_to_end(key)
                return answer
            self._drop(key)
            return None

    def keep(self, key: str, answer: bytes) -> None:
        """`Answers.keep`."""
        if len(answer) + _ENTRY > self._most:
            return
        with self._lock:
            self._drop(key)
            self._kept[key] = (self._clock(), answer)
            self._size += len(answer) + _ENTRY
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= len(found[1]) + _ENTRY

    def clear(self) -> None:
        """`Answers.clear`."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def close(self, wait: float = 0.0) -> None:
        """`Answers.close`: nothing is open, and a client that is used again finds what was there."""


class _Found:
    """An answer that is looked up at once."""

    __slots__ = ("_answers", "_key")

    def __init__(self, answers: MemoryAnswers, key: str) -> None:
        self._answers = answers
        self._key = key

    def perform(self) -> bytes | None:
        return self._answers.get(self._key)

    async def aperform(self) -> bytes | None:
        return self._answers.get(self._key)


_every: weakref.WeakSet[MemoryAnswers] = weakref.WeakSet()


def _after_fork() -> None:
    for answers in list(_every):
        answers.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
