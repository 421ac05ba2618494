"""Long tables of cases: a few of them every day, all with the slow tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Any], everyday: Collection[Any]) -> list[Any]:
    """The cases as parameters, each of them slow that is not among those of every day."""
    return [case if case in everyday else pytest.param(case, marks=pytest.mark.slow) for case in cases]
