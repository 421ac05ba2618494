"""A token that only a blocking library can fetch: it works in a thread, and what it sends goes by the exchange."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ._bulkhead import Turn
from ._credential import Refused, Renewal

__all__ = ["Errand", "Fetched", "Send", "Unsent"]


@dataclass(slots=True, frozen=True, repr=False)
class Fetched:
    """The answer to a request of the library's. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unsent(Exception):
    """A request of the library's could not be sent, or nothing came back. The message says why."""


Send: TypeAlias = Callable[[Renewal], Fetched]


class Errand:
    """
    A function that blocks, run in a thread of its own. What it wants to send is asked for here, one request at a time,
    and carried out by whoever waits for it: so it keeps to his time, his proxy and his certificates.

    `problem`: what it ended with, where it failed: `Refused`, or `Unsent` where a request was the reason.
    """

    def __init__(self, work: Callable[[Send], None]) -> None:
        self.problem: Refused | Unsent | None = None
        self._work = work
        self._lock = threading.Lock()
        self._turn: Turn | None = None
        self._asked: Renewal | None = None
        self._over = False
        self._abandoned = False
        self._answer: Fetched | Unsent | None = None
        self._answered = threading.Event()
        threading.Thread(target=self._run, name="llmswitch-token", daemon=True).start()

    def turn(self) -> Turn:
        """What is granted as soon as it wants to send something, or has ended."""
        turn = Turn()
        with self._lock:
            self._turn = turn
            turn.granted = self._asked is not None or self._over
        return turn

    def asked(self) -> Renewal | None:
        """What it wants to send; `None` where it has ended. Asked once its turn was granted."""
        with self._lock:
            asked, self._asked = self._asked, None
        return asked

    def answer(self, answer: Fetched | Unsent) -> None:
        """What came of that."""
        self._answer = answer
        self._answered.set()

    def abandon(self) -> None:
        """Nobody waits for it any more; it ends by itself, with its next request at the latest."""
        with self._lock:
            self._turn, self._abandoned = None, True
        self._answered.set()

    def _run(self) -> None:
        try:
            self._work(self._send)
        except (Refused, Unsent) as problem:
            self.problem = type(problem)(*problem.args)  # without its frames, which hold secrets
        except Exception as problem:  # noqa: BLE001 - a library may raise anything
            self.problem = Refused(f"{type(problem).__name__} in the library that fetches it")
        self._tell(None)

    def _send(self, renewal: Renewal) -> Fetched:
        self._tell(renewal)
        self._answered.wait()
        self._answered.clear()
        answer, self._answer = self._answer, None
        if isinstance(answer, Fetched):
            return answer
        raise answer or Unsent("nobody waits for it any more")

    def _tell(self, asked: Renewal | None) -> None:
        with self._lock:
            if self._abandoned:
                self._answered.set()
                return
            self._asked, self._over = asked, asked is None
            turn = self._turn
            if turn is not None:
                turn.granted = True
        if turn is not None and turn.wake is not None:
            turn.wake()
