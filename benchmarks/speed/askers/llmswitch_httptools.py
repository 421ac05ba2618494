"""llmswitch on its own HTTP/1.1, by the engine `httptools`."""

from __future__ import annotations

from benchmarks.speed.askers.llmswitch_httpx import IMPORT
from benchmarks.speed.askers.llmswitch_httpx import Asker as OnHTTPX

DISTRIBUTIONS = ("llmswitch", "httptools")
NAME = "llmswitch (httptools)"

__all__ = ["DISTRIBUTIONS", "IMPORT", "NAME", "Asker"]


class Asker(OnHTTPX):
    """The same client, with another engine."""

    engine = "httptools"
