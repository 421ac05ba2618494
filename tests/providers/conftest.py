"""Fixtures of the providers' tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.providers.one_vendor import KEY, OneVendor


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., None]:
    """Writes a chat model of random numbers to a path; see tiny_gguf.py."""
    pytest.importorskip("numpy")
    pytest.importorskip("gguf")
    spec = importlib.util.spec_from_file_location("tiny_gguf", Path(__file__).with_name("tiny_gguf.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    write: Callable[..., None] = module.write
    return write


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory, write_gguf: Callable[..., None]) -> Path:
    """The path of such a model, of the smallest size."""
    path: Path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_gguf(path)
    return path


@pytest.fixture
def one_vendor(monkeypatch: pytest.MonkeyPatch) -> Callable[..., OneVendor]:
    """Makes the one target of a test: `one_vendor("name:model", site="…")`."""
    monkeypatch.setenv("PLAYED_VENDOR_KEY", KEY)
    return OneVendor
