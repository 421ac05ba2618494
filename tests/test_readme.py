"""The README's programs run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

import llmswitch
from llmswitch._config_file import Loaded
from llmswitch._setup import Setup
from llmswitch.testing import FakeVendor

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_first_program_is_the_example():
    """The ten lines of the README are examples/ask.py."""
    example = (ROOT / "examples" / "ask.py").read_text("utf-8")
    assert PYTHON[0] == example[example.index("import asyncio") :]


def test_the_second_program_runs(monkeypatch, capsys):
    """The tour of what a call takes and gives runs, and asks what it says."""

    def answer(request: httpx.Request) -> httpx.Response:
        if b'"tools"' in request.content:
            call = {"id": "1", "function": {"name": "look_up", "arguments": '{"customer": "Meier"}'}}
            message = {"content": None, "tool_calls": [call]}
            choice = {"message": message, "finish_reason": "tool_calls"}
        else:
            choice = {"message": {"content": '{"number": "7", "total": 12.5}'}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        return httpx.Response(200, json={"choices": [choice], "usage": usage})

    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-0123456789")
    real = llmswitch.Client
    monkeypatch.setattr(llmswitch, "Client", lambda *given: real(*given, http_client=FakeVendor(answer)))
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(PYTHON[1], "README.md", "exec"), names)
    assert 12.5 == names["invoice"].total
    assert "look_up {'customer': 'Meier'}\n1000 100 0.0028 USD tool_calls\n" == capsys.readouterr().out


def test_the_configurations_are_valid():
    """Each block of configuration in the README is taken as it stands there."""
    blocks = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        Setup(Loaded.from_mapping(tomllib.loads(block)))


@pytest.mark.slow
def test_the_example_answers_from_the_embedded_model():
    """examples/ask.py, with the configuration of the outage, answers four times from the model on this machine."""
    pytest.importorskip("xllamacpp")
    done = subprocess.run(
        [sys.executable, "examples/ask.py"],
        cwd=ROOT,
        env={**__import__("os").environ, "LLMSWITCH_CONFIG": "examples/outage.toml"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "from local after ['ConnectFailed']" in done.stdout
