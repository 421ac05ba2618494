"""JSON in and out: any vendor's bytes give a value or `JSONInvalid`, and what we write can always be encoded."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

try:
    import orjson
except ImportError:  # the extra `fast`
    orjson = None  # type: ignore[assignment]

__all__ = ["JSONInvalid", "dumps", "loads"]

_fast = orjson is not None
_DEEPEST = 200
_LONE = re.compile(r"[\ud800-\udfff]")


class JSONInvalid(ValueError):
    """The text is not JSON that can be relied on. The message never quotes it."""


def _refuse(name: str) -> NoReturn:
    raise JSONInvalid(f"{name} is not JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise JSONInvalid("JSON with a key twice in one object")
    return made


_decoder = json.JSONDecoder(parse_constant=_refuse)
_strict_decoder = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_no_key_twice)


def loads(text: bytes | str, *, unique: bool = False) -> Any:
    """
    One JSON value. Lone surrogate escapes become U+FFFD, invalid UTF-8 likewise.

    Raises `JSONInvalid` for anything else that is not strict JSON, NaN and nesting deeper than 200 included. `unique`:
    also for a key that stands twice in one object, which leaves open what is meant; that takes the slower parser.
    """
    exact = _fast and not unique  # no lone surrogate is in what orjson reads
    if exact:
        try:
            value = orjson.loads(text)
        except ValueError:
            exact = False  # it refuses lone surrogates and long integers, which are legal JSON
    if not exact:
        value = _read(text, unique=unique)
    brackets = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")
    if brackets > _DEEPEST and _deeper_than(value, _DEEPEST):
        raise JSONInvalid("JSON nested too deeply")
    if not exact and _may_be_lone(text):
        return _mend(value)  # after the depth is known: it goes as deep as the value does
    return value


def _may_be_lone(text: bytes | str) -> bool:
    """Whether there is the escape of a surrogate. Written out: without orjson every event of a stream comes here."""
    if isinstance(text, bytes):
        return b"\\ud" in text or b"\\uD" in text
    return "\\ud" in text or "\\uD" in text


def _deeper_than(value: Any, limit: int) -> bool:
    """Level by level, so that what is deep can't exhaust the stack here either."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _read(text: bytes | str, *, unique: bool) -> Any:
    """The value by the standard library, which lets lone surrogates through."""
    decoder = _strict_decoder if unique else _decoder
    try:
        return decoder.decode(text if isinstance(text, str) else text.decode("utf-8-sig", errors="replace"))
    except RecursionError:
        raise JSONInvalid("JSON nested too deeply") from None
    except json.JSONDecodeError as problem:
        raise JSONInvalid(f"not JSON: {problem.msg.lower()} at character {problem.pos}") from None
    except ValueError as problem:
        if isinstance(problem, JSONInvalid):
            raise
        raise JSONInvalid("a number too long to read") from None


def _mend(value: Any) -> Any:
    """Replace lone surrogates, which `json` lets through and no encoder takes."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mend(item) for item in value]
    return value


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. Raises `ValueError` for what JSON or UTF-8 can't hold (NaN, lone surrogates, objects)."""
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except TypeError:
            pass  # subclasses, long integers, lone surrogates: the standard library decides
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, RecursionError) as problem:
        raise ValueError(str(problem)) from None
    except UnicodeEncodeError:
        raise ValueError("text holds a lone surrogate, which UTF-8 can't encode") from None
