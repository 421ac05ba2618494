"""
How much is remembered by names that no configuration has.

Whoever may ask for any model (`models = ["*"]` of a key of the gateway) can make up more than there is memory for.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["MADE_UP", "Remembered"]

MADE_UP = 1_000
"""Names: more than the longest list of models of any vendor has. What is kept of so many is about ten megabytes."""

K = TypeVar("K")
V = TypeVar("V")


class Remembered(dict[K, V], Generic[K, V]):
    """
    What was made for each name: for all that are named by a configuration, and for the last of the others.

    Safe to share between threads: where two add at once, one more may be forgotten.
    """

    def __init__(self) -> None:
        super().__init__()
        self._others: deque[K] = deque()

    def keep(self, key: K, value: V, *, named: bool) -> None:
        """Remember this, and forget the oldest one of too many that are not named."""
        if key not in self and not named:
            self._others.append(key)
        self[key] = value
        if len(self._others) > MADE_UP:
            self.pop(self._others.popleft(), None)
