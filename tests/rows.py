"""Tables of small cases, a test each: pytest itself takes longer for a case than most of their rows do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest

__all__ = ["each", "rows"]

_FAILED = (Exception, pytest.fail.Exception)


def rows(names: str | Sequence[str], table: Iterable[Any], *, ids: Any = None) -> Callable[[Any], Any]:
    """
    Written like `pytest.mark.parametrize`, but one test goes through all rows. Those that fail are named, and one that
    fails does not keep the others from being tried; fixtures are made once for all of them.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = [_case(arguments, row) for row in table]
    titles = _titles(ids, cases)

    def fold(test: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(test)
        if missing := set(arguments) - set(signature.parameters):
            raise TypeError(f"{test.__name__} does not take {', '.join(sorted(missing))}")

        @wraps(test)
        def all_rows(**fixtures: Any) -> None:
            each(zip(titles, cases, strict=True), lambda case: test(**fixtures, **case))

        left = [parameter for name, parameter in signature.parameters.items() if name not in arguments]
        all_rows.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined] # what pytest asks for
        return all_rows

    return fold


def each(cases: Iterable[tuple[str, Any]], check: Callable[[Any], None]) -> None:
    """Check all of them, by their names. Raises what failed, with the name of its row."""
    failed: list[BaseException] = []
    skipped = 0
    count = 0
    for count, (title, case) in enumerate(cases, 1):
        try:
            check(case)
        except pytest.skip.Exception:
            skipped += 1
        except _FAILED as problem:
            problem.add_note(f"in the row {title}")
            failed.append(problem)
    if count == 0:
        pytest.fail("the table has no row")
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {count} rows failed", failed)
    if skipped == count:
        pytest.skip("no row applies")


def _case(arguments: list[str], row: Any) -> dict[str, Any]:
    if hasattr(row, "marks"):  # a pytest.param()
        if row.marks:
            raise TypeError("a row can't be slow by itself: make a test of its own of it")
        row = row.values if len(arguments) > 1 else row.values[0]
    return dict(zip(arguments, row, strict=True)) if len(arguments) > 1 else {arguments[0]: row}


def _titles(ids: Any, cases: list[dict[str, Any]]) -> list[str]:
    values = [", ".join(f"{name}={value!r:.80}" for name, value in case.items()) for case in cases]
    if ids is None:
        return values
    said = ["-".join(map(ids, case.values())) for case in cases] if callable(ids) else [*ids]
    return [f"{name} ({value})" for name, value in zip(said, values, strict=True)]
