"""
What commands print, where it stands in a page: below `<!-- output of: llmswitch … -->`, in a block of text.

They are run as on the day on which the newest fact of the catalog was looked up, so that what they print depends on the
files alone.
"""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from llmswitch._catalog import catalog
from llmswitch._cli import app

__all__ = ["refreshed"]

_BLOCK = re.compile(r"(<!-- output of: llmswitch (.*?) -->\n```text\n).*?(^```$)", re.DOTALL | re.MULTILINE)


def refreshed(page: Path) -> str:
    """The page with what its commands print today."""
    return _BLOCK.sub(lambda found: found[1] + _output(found[2]) + found[3], page.read_text("utf-8"))


@cache
def _output(arguments: str) -> str:
    newest = max(model.checked for model in catalog() if model.checked is not None)
    with ExitStack() as stack:
        for module in ("_equivalents", "_cli.equivalents", "_cli.models"):
            stack.enter_context(patch(f"llmswitch.{module}.today", lambda: newest))
        done = CliRunner().invoke(app, shlex.split(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
