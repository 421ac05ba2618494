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
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Of the conformance suite the slow tests are what no test of every day has checked; CI runs both."""
    if config.option.markexpr == "slow":
        done = [item for item in items if isinstance(item, pytest.Function) and _every_day(item)]
        if done:
            left_out = set(done)
            config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item not in left_out]


def _every_day(item: pytest.Function) -> bool:
    chosen = getattr(item.cls, "every_day", None)
    if chosen is None or (item.cls.copies and "however_it_is_cut" in item.originalname):  # that one not byte by byte
        return False
    return chosen(item.originalname, item.callspec.params if hasattr(item, "callspec") else {})


def pytest_collection() -> None:
    """What collecting makes stays, so nobody looks for garbage meanwhile."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The tests themselves are no garbage: thousands of them are not looked through again and again."""
    gc.freeze()
    gc.enable()


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
