"""The beginning of a process in which one library is asked: it says who that is, or why it can't be asked."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

__all__ = ["asker", "introduce", "tell"]


def asker(package: str) -> tuple[Any, TextIO]:
    """
    The module in the first argument, of that package, or `None` where its library is not installed, which is told; and
    where answers go. What a library prints is none: standard output is its log from now on.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        return import_module(f"{package}.{sys.argv[1]}"), answers
    except ImportError as problem:
        tell(answers, {"missing": f"{type(problem).__name__}: {problem}"})
        return None, answers


def introduce(answers: TextIO, module: Any, **more: object) -> None:
    """Who is asked here, in which versions."""
    versions = {name: _version(name) for name in module.DISTRIBUTIONS}
    tell(answers, {"name": module.NAME, "versions": versions, **more})


def tell(answers: TextIO, answer: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(answer), file=answers, flush=True)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
