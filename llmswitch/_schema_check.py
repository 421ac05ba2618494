"""Whether an answer fits the JSON schema that was asked for: said by the library jsonschema, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from ._log import warn_once

__all__ = ["can_check", "check"]

_MOST = 5  # places named in one complaint


@cache
def can_check() -> bool:
    """Whether the extra `llmswitch[jsonschema]` is installed."""
    return find_spec("jsonschema") is not None


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """
    Raises `ValueError` that names the places where `value` does not fit, and the keywords, but no values.

    A schema that can't be understood is no fault of the answer: that is logged once, and the answer passes.
    """
    if not can_check():
        return
    from jsonschema import Draft202012Validator
    from referencing import Registry

    try:
        # a registry of its own, or a reference to elsewhere would be fetched
        problems = list(Draft202012Validator(schema, registry=Registry()).iter_errors(value))
    except Exception as problem:  # noqa: BLE001 - whatever a schema of the caller's makes of the library
        warn_once("schema", type(problem).__name__, "a JSON schema can't be checked (%s)", type(problem).__name__)
        return
    if problems:
        lines = [f"{problem.json_path}: {problem.validator}" for problem in problems[:_MOST]]
        more = f" and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        raise ValueError("; ".join(lines) + more)
