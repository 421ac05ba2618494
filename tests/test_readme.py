"""The README's first program is the example, which answers for real. Its blocks: tests/pages/test_blocks.py."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pages.blocks import ROOT, blocks


def test_the_first_program_is_the_example():
    """The ten lines of the README are examples/ask.py."""
    example = (ROOT / "examples" / "ask.py").read_text("utf-8")
    assert blocks("README.md", "python")[0].text == example[example.index("import asyncio") :]


@pytest.mark.slow
def test_the_example_answers_from_the_embedded_model():
    """examples/ask.py, with the configuration of the outage, answers four times from the model on this machine."""
    pytest.importorskip("xllamacpp")
    done = subprocess.run(
        [sys.executable, "examples/ask.py"],
        cwd=ROOT,
        env={**os.environ, "LLMSWITCH_CONFIG": "examples/outage.toml"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "from local after ['ConnectFailed']" in done.stdout
