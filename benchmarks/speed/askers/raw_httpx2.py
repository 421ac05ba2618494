"""httpx2, the maintained fork of httpx, asked as httpx is."""

from __future__ import annotations

from typing import Any

import httpx2

from benchmarks.speed.askers.raw_httpx import Asker as OfHTTPX

DISTRIBUTIONS = ("httpx2",)
NAME = "httpx2"
IMPORT = "import httpx2"


class Asker(OfHTTPX):
    """The same, with the other library."""

    library: Any = httpx2
