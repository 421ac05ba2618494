"""The command line as a whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmswitch
from llmswitch import _cli, _registry

Run = Callable[..., Any]


def test_version_is_the_package_version(run: Run) -> None:
    """--version says the version, and exits with 0."""
    result = run("--version")
    assert result.stdout == f"llmswitch {llmswitch.__version__}\n"
    assert result.exit_code == 0


def test_every_command_has_help(run: Run) -> None:
    """The help names the commands."""
    result = run("--help")
    for name in ("batch", "cache", "chat", "providers", "models", "equivalents", "doctor", "init", "local", "serve"):
        assert name in result.stdout


@pytest.mark.slow
def test_the_library_does_not_import_the_command_line() -> None:
    """A program that uses llmswitch does not load typer or rich."""
    code = "import sys, llmswitch; llmswitch.Client; sys.exit(any(name in sys.modules for name in ('typer', 'rich')))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=20, check=False).returncode == 0


def test_the_command_line_knows_no_vendor() -> None:
    """What is said of vendors comes from their files: no name of one stands in the code."""
    assert _cli.__file__ is not None
    vendors = {name for name in _registry.provider_names() if _registry.provider(name).server is None}
    for path in Path(_cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            # Whole words of code and of its strings; prose may well say that targets stand together.
            said = node.value if isinstance(node, ast.Constant) else getattr(node, "id", getattr(node, "attr", None))
            if isinstance(said, str):
                assert not {said.lower(), said.lower().partition(":")[0]} & vendors, f"{path.name}: {said}"
