"""What every file and every table of the configuration has in common: unknown keys are said, values never."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

__all__ = ["HeaderName", "Headers", "Place", "Strict", "first_problem"]

_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class Strict(BaseModel):
    """
    Unknown keys are said aloud, values never are.

    A table inside another one is validated with that: what is right by itself, such as a default, is made by
    `model_construct`, for any other way would build one more validator, of that table alone. And where tables stand,
    annotations are no texts (`from __future__`), each of which would be compiled before the first client.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


def _header_name(name: str) -> str:
    if not re.match(_HEADER_NAME, name):
        raise ValueError("the name of a header must be printable ASCII without spaces")
    return name


HeaderName = Annotated[str, AfterValidator(_header_name)]


def _header_names(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.match(_HEADER_NAME, name) or not value.isascii() or not value.isprintable():
            raise ValueError("header names and values must be printable ASCII on one line")
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_header_names)]

_PLACE = r"^([a-z]{2}|global|local|unknown)$"


def _place(name: str) -> str:
    if not re.match(_PLACE, name.lower()):
        raise ValueError("a place is a country's ISO code of two letters (or eu), global, local or unknown")
    return name.lower()


Place = Annotated[str, AfterValidator(_place)]


def first_problem(problem: ValidationError) -> str:
    """One complaint with its place, never with the value that stood there."""
    error = problem.errors(include_input=False, include_url=False, include_context=False)[0]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).lstrip(".")
    said = error["msg"].removeprefix("Value error, ")
    return f"{place or 'the whole'}: {said[:1].lower()}{said[1:]}"
