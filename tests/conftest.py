"""What every test starts from: no key, no configuration and no drill of the machine that it runs on."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> list[pytest.Item] | None:
    """Whole classes of slow tests, which are thousands, are not even collected where none is asked for."""
    marks = [mark.name for mark in getattr(obj, "pytestmark", ())] if isinstance(obj, type) else []
    unwanted = name.startswith("Test") and "slow" in marks and collector.config.option.markexpr == "not slow"
    return [] if unwanted else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of slow tests alone is not even imported where none is asked for: some bring a vendor's SDK with them."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text("utf-8")
    return True if re.search(r"^pytestmark = \[?pytest\.mark\.slow\b", text, re.MULTILINE) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Of the conformance suite a provider that copies a dialect has a part every day, and all of it with the slow tests:
    what is left out is the same code with the same options for each of them.
    """
    for item in items:
        if isinstance(item, pytest.Function) and getattr(item.cls, "copies", False) and not _everyday(item):
            item.add_marker(pytest.mark.slow)


def pytest_collection() -> None:
    """What collecting makes stays, so nobody looks for garbage meanwhile."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The tests themselves are no garbage: thousands of them are not looked through again and again."""
    gc.freeze()
    gc.enable()


# What vendors who copy a dialect depart from it in, as it is asked for and as it comes back.
_SAID = {"form", "image_data", "max_tokens", "reasoning_high", "reasoning_off", "tool_results", "tools"}
_OF_ALL = {
    "test_every_code_of_the_provider_gives_its_class",
    "test_the_key_goes_where_it_belongs",
    "test_an_error_inside_a_stream_is_an_error",
}


def _everyday(item: pytest.Function) -> bool:
    given = item.callspec.params if hasattr(item, "callspec") else {}
    if item.originalname == "test_the_vendor_hears_what_the_caller_said":
        return given["stream"] is False and given["name"] in _SAID
    if item.originalname == "test_a_whole_answer_comes_back_as_it_was_given":
        return given["name"] in ("reasoning", "text_then_two_calls")
    if item.originalname == "test_a_stream_is_the_same_however_it_is_cut":
        return given["name"] == "text_then_two_calls"
    return item.originalname in _OF_ALL


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
