"""Waits that take no time, so that a suite of yours does not sleep between attempts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

__all__ = ["instant_waits"]


@contextmanager
def instant_waits() -> Iterator[list[float]]:
    """
    Within this block no call of llmswitch sleeps between attempts; the list collects the seconds it would have slept.

    Reads, connects and their time limits are as always.
    """
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with patch("llmswitch._drive.sleep", slept.append), patch("llmswitch._async_drive.async_sleep", sleep):
        yield slept
