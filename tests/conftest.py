"""What every test starts from: no key, no configuration and no drill of the machine that it runs on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Of the conformance suite a provider that copies a dialect has a part every day, and all of it with the slow tests:
    what is left out is the same code with the same options for each of them.
    """
    for item in items:
        if isinstance(item, pytest.Function) and getattr(item.cls, "copies", False) and not _everyday(item):
            item.add_marker(pytest.mark.slow)


def _everyday(item: pytest.Function) -> bool:
    given = item.callspec.params if hasattr(item, "callspec") else {}
    if item.originalname == "test_the_vendor_hears_what_the_caller_said":
        return given["stream"] is False
    if item.originalname == "test_a_stream_is_the_same_however_it_is_cut":
        return given["name"] in ("reasoning", "text_then_two_calls")
    return True


@pytest.fixture(scope="session")
def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nowhere")


@pytest.fixture(autouse=True)
def _clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _nowhere: Path) -> None:
    """Nothing of the developer's own environment reaches a test, but for the weights that slow tests answer with."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_AUTH_TOKEN")) or name.startswith("LLMSWITCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(_nowhere / "no-config"))
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(_nowhere / "no-cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
