"""What holds for the code as a whole: what is exported, what is imported, and what the core may know."""

from __future__ import annotations

import ast
import importlib
import io
import pickle
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest

import llmswitch
from llmswitch import _errors
from llmswitch._errors import AllTargetsFailed, LLMSwitchError
from llmswitch._registry import provider, provider_names
from llmswitch._reply import Attempt
from tests.rows import rows

ROOT = Path(__file__).parent.parent
CORE = sorted(path for path in (ROOT / "llmswitch").rglob("*.py") if "providers" not in path.relative_to(ROOT).parts)


def test_all_is_sorted_and_complete():
    """`__all__` is sorted, and holds every public name of the package that is loaded with it."""
    assert sorted(llmswitch.__all__) == llmswitch.__all__
    public = {
        name for name, value in vars(llmswitch).items() if not name.startswith("_") and not isinstance(value, type(ast))
    }
    assert public - {"annotations", "TYPE_CHECKING"} <= set(llmswitch.__all__)


def test_every_error_is_exported():
    """Every class of the taxonomy can be caught by its public name."""
    assert set(_errors.__all__) <= set(llmswitch.__all__)


def test_the_docstring_draws_every_error():
    """The tree in the docstring of the errors is the tree in the code."""
    drawn = _errors.__doc__ or ""
    for name in _errors.__all__:
        assert f" {name} " in drawn or f"    {name}\n" in drawn, name


def test_the_core_knows_no_vendor():
    """No vendor's name is an identifier or a string of the core, but for the clients for an SDK, named for it."""
    vendors = set(provider_names()) - {"local", "together"}  # which are words of the language as well
    found = []
    for path in [path for path in CORE if path.name != "sdk_clients.py"]:
        text = path.read_text("utf-8")
        small = text.lower()
        named = [name for name in vendors if name in small]
        lines = {number for number, line in enumerate(small.splitlines(), 1) if any(name in line for name in named)}
        if lines and lines - _docstrings(text):
            found += [
                (path.name, token.start[0], token.string)
                for token in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type in (tokenize.NAME, tokenize.STRING)
                and token.start[0] not in _docstrings(text)
                and any(name in token.string.lower() for name in named)
                and not token.string.strip('"').endswith("_http_client")
            ]
    assert [] == found


@cache
def _docstrings(text: str) -> set[int]:
    """The lines of a module that are documentation."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def test_nothing_is_left_to_do():
    """No stub and no note to do something later is in the code."""
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "Not" + "ImplementedError")
    for path in [*CORE, *(ROOT / "providers").rglob("*.py")]:
        for mark in marks:
            assert mark not in path.read_text(), (path, mark)


def test_every_public_name_is_there():
    """Each is what a type checker is told that it is, whether it is loaded with the package or when it is asked for."""
    tree = ast.parse((ROOT / "llmswitch" / "__init__.py").read_text("utf-8"))
    told = {
        name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in node.names
    }
    assert set(llmswitch.__all__) == set(told)
    for name, module in told.items():
        assert getattr(llmswitch, name) is getattr(importlib.import_module(f"llmswitch.{module}"), name)
    assert set(llmswitch.__all__) <= set(dir(llmswitch))
    with pytest.raises(AttributeError, match="no attribute 'nobody'"):
        _ = llmswitch.nobody


def test_import_loads_little():
    """To import a client loads no vendor, HTTP library, event loop or pydantic, and reads no file but code."""
    code = (
        "import sys, llmswitch; from llmswitch import Client, AsyncClient; "
        "dear = ('llmswitch.providers', 'httpx', 'httpcore', 'asyncio', 'tenacity', 'typer', 'rich', 'pydantic'); "
        "print([name for name in sys.modules if name.startswith(dear)])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [] == ast.literal_eval(loaded.stdout)


@rows("name", _errors.__all__)
def test_every_error_can_be_pickled(name):
    """An error crosses to another process with all that it says."""
    error = getattr(_errors, name)("it went wrong")
    error.provider, error.model, error.status, error.code = "p", "m", 429, "slow"
    error.retry_after, error.possibly_billed = 2.5, True
    error.attempts = (Attempt(0, "p:m", "first", 0.0, error="X"),)
    copy = pickle.loads(pickle.dumps(error))
    assert type(error) is type(copy)
    assert (str(error), vars(error)) == (str(copy), vars(copy))


def test_a_collection_of_errors_can_be_pickled():
    """`AllTargetsFailed` keeps the errors of its targets."""
    error = AllTargetsFailed("all failed")
    error.exceptions = (LLMSwitchError("a", provider="p", model="m"),)
    assert "p:m: a" == str(pickle.loads(pickle.dumps(error)).exceptions[0])


@rows("name", provider_names())
def test_every_provider_file_is_whole(name):
    """A provider's file says what it is, where it is, and when its facts were checked."""
    spec = provider(name)
    if spec.retired:
        return
    assert spec.title
    assert spec.docs.startswith("https://")
    assert spec.checked is not None
    assert spec.server is not None or spec.site in spec.sites
    for site in spec.sites.values():
        assert site.jurisdiction != "unknown"
    assert len(spec.prices) == len({(price.model, price.site) for price in spec.prices})
