"""How much is tested: a few of many cases every day, more with the slow tests, and as many as somebody has time for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

_TIMES = int(os.environ.get("LLMSWITCH_THOROUGH", "1"))
THOROUGH = _TIMES > 1  # whether somebody has more time than CI


def mostly_slow(cases: Iterable[Any], everyday: Collection[Any]) -> list[Any]:
    """The cases as parameters, each of them slow that is not among those of every day."""
    return [case if case in everyday else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def many(count: int) -> int:
    """So many random cases, and `LLMSWITCH_THOROUGH` times as many where that is set."""
    return count * _TIMES
