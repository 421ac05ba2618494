"""How much is tested: a few of many cases every day, more with the slow tests, and as many as somebody has time for."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest
from hypothesis import given, settings

_TIMES = int(os.environ.get("LLMSWITCH_THOROUGH", "1"))
THOROUGH = _TIMES > 1  # whether somebody has more time than CI


def mostly_slow(cases: Iterable[Any], everyday: Collection[Any]) -> list[Any]:
    """The cases as parameters, each of them slow that is not among those of every day."""
    return [case if case in everyday else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def some(cases: Iterable[Any], step: int) -> list[Any]:
    """A table as parameters, of which every day sees the first row and each so-manieth after it."""
    return [_slow_unless(case, at % step == 0) for at, case in enumerate(cases)]


def first_of_each(cases: Iterable[Any], kind: Callable[[Any], object]) -> list[Any]:
    """A table as parameters, of which every day sees the first row of each kind."""
    first: dict[object, Any] = {}
    return [_slow_unless(case, first.setdefault(kind(case), case) is case) for case in cases]


def _slow_unless(case: Any, everyday: bool) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=() if everyday else pytest.mark.slow)


def sizes(everyday: int, slow: int) -> list[Any]:
    """How large a case is, as parameters: so large every day, and so large with the slow tests."""
    return [everyday, pytest.param(slow, marks=pytest.mark.slow)]


def many(count: int) -> int:
    """So many random cases, and `LLMSWITCH_THOROUGH` times as many where that is set."""
    return count * _TIMES


def examples(everyday: int, slow: int, *strategies: Any, **named: Any) -> Callable[[Any], Any]:
    """Like hypothesis' `given`, for so many examples every day, and for `many` of so many with the slow tests."""

    def sized(test: Callable[..., None]) -> Callable[[int], None]:
        def check(examples: int) -> None:
            settings(max_examples=examples, deadline=None)(given(*strategies, **named)(test))()

        check.__name__, check.__doc__, check.__module__ = test.__name__, test.__doc__, test.__module__
        return pytest.mark.parametrize("examples", sizes(everyday, many(slow)))(check)

    return sized
