"""The nearest valid name, for complaints about one that is not."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no known name is near."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
