"""What commands print, where it stands in a page: below `<!-- output of: llmswitch … -->`, in a block of text."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

from typer.testing import CliRunner

from llmswitch._cli import app

__all__ = ["refreshed"]

_BLOCK = re.compile(r"(<!-- output of: llmswitch (.*?) -->\n```text\n).*?(^```$)", re.DOTALL | re.MULTILINE)


def refreshed(page: Path) -> str:
    """The page with what its commands print today."""
    return _BLOCK.sub(lambda found: found[1] + _output(found[2]) + found[3], page.read_text("utf-8"))


@cache
def _output(arguments: str) -> str:
    done = CliRunner().invoke(app, shlex.split(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
