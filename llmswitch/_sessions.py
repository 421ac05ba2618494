"""
Which target each session keeps to, so that a vendor who has its beginning in his cache goes on being asked.

Remembered in this process, and in the store where there is one, so that several gateways agree. No session's name is
kept, only hashes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ._target import Target

if TYPE_CHECKING:
    from ._shared_sessions import Keep, Recall, SharedSessions

__all__ = ["Binding", "Sessions", "binding"]

MOST = 10_000
"""Sessions that a process remembers; of more, those are forgotten that were silent for the longest."""


class Binding(NamedTuple):
    """One session in one group, by its hash, and for how many seconds it is remembered."""

    name: str
    seconds: float


def binding(group: str, session: str, seconds: float) -> Binding:
    """That of a session in a group."""
    return Binding(_hash(f"{group}|{session}"), seconds)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class _Kept(NamedTuple):
    """The hash of the target's name, until when, and whether the store has it too."""

    target: str
    until: float
    told: bool


class Sessions:
    """Safe to share between threads, and after a fork: nothing is locked, each step is one of the dictionary's own."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, *, most: int = MOST, shared: SharedSessions | None = None
    ) -> None:
        self._clock = clock
        self._most = most
        self._shared = shared
        self._known: OrderedDict[str, _Kept] = OrderedDict()

    def bound(self, session: Binding, members: Sequence[Target]) -> Target | None:
        """Which of the members the session keeps to, as far as is known here."""
        found = self._known.get(session.name)
        if found is None or found.until <= self._clock():
            return None
        return next((member for member in members if _hash(member.name) == found.target), None)

    def keep(self, session: Binding, target: str) -> Keep | None:
        """It keeps to that target from now on. What is left to do, where other processes are to be told."""
        value = _hash(target)
        before = self._known.get(session.name)
        told = before is not None and before.target == value and before.told
        telling = self._shared.keep(session, value) if self._shared is not None and not told else None
        self._note(session, value, told=told or telling is not None)
        return telling

    def learn(self, session: Binding, value: str | None) -> None:
        """Take in what the store has of it; `None` is nothing."""
        if value is not None:
            self._note(session, value, told=True)
        elif (known := self._known.get(session.name)) is not None:
            self._known[session.name] = known._replace(told=False)

    def _note(self, session: Binding, value: str, *, told: bool) -> None:
        self._known.pop(session.name, None)
        self._known[session.name] = _Kept(value, self._clock() + session.seconds, told)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def recall(self, sessions: Sequence[Binding]) -> Recall | None:
        """What there is to do before it is known whom they keep to."""
        return None if self._shared is None else self._shared.recall(sessions, self.learn)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._shared is not None:
            self._shared.close()
