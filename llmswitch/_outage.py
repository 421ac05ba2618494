"""The outage of a store: when it counts as gone, what the log says of that, and who looks whether it is back."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic

from ._log import warn

__all__ = ["FAILURES", "PAUSE", "Outage", "said"]

FAILURES = 3  # in a row, after which a store counts as gone
PAUSE = 10.0  # seconds between attempts to use a store that is gone

_lock = threading.Lock()  # of all, so that a fork can wait for it
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def said(problem: Exception) -> str:
    """Why a store failed, in the system's words or a server's code; what else a server says may hold anything."""
    code = re.match(r"[A-Z]{3,}\b", str(problem))
    why = getattr(problem, "sqlite_errorname", "") or (code[0] if code else "")
    if isinstance(problem, OSError) and problem.errno is not None:
        why = str(problem)
    return type(problem).__name__ + (f": {why}" if why else "")


class Outage:
    """
    That of one store, or of one way to use it: after `most` failures in a row. Safe to share between threads.

    `lost` and `found` are its lines in the log, with `%s` for the reason and `%d` for the number of failures.
    `counts`: failures by class of the error. `failures`: those in a row. `gone`: the store can't be used at present.
    """

    def __init__(
        self,
        lost: str,
        found: str,
        *,
        most: int = FAILURES,
        clock: Callable[[], float] = monotonic,
        counts: Counter[str] | None = None,
    ) -> None:
        self._lost, self._found, self._most, self._clock = lost, found, most, clock
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.failures = 0
        self.gone = False
        self._since = self._until = 0.0

    @property
    def resting(self) -> bool:
        """It is gone, and left alone for now."""
        return self.gone and self._clock() < self._until

    def may_try(self) -> bool:
        """Whether to use it now. Of those who ask while it is gone, one in `PAUSE` seconds looks whether it is back."""
        if self.gone:
            with _lock:
                if self.resting:
                    return False
                self._until = self._clock() + PAUSE
        return True

    def failed(self, problem: Exception, enough: Callable[[float], bool] | None = None) -> float:
        """
        Once more in vain; seconds for which it is to be left alone.

        `enough`: given the seconds since the first failure in a row, whether that is an outage, in place of the number.
        """
        with _lock:
            now = self._clock()
            self.counts[type(problem).__name__] += 1
            self._since = self._since if self.failures else now
            self.failures += 1
            before = self.gone
            self.gone = before or (self.failures >= self._most if enough is None else enough(now - self._since))
            if not self.gone:
                return 0.0
            self._until = now + PAUSE
        if not before:
            warn(self._lost, said(problem))
        return PAUSE

    def worked(self) -> None:
        """It can be used."""
        if self.failures:
            with _lock:
                before, self.gone = self.gone, False
                failures, self.failures = self.failures, 0
            if before:
                warn(self._found, failures)
