"""Where the configuration is found, in the documented order."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from ._config import Config
from ._config_file import Loaded
from ._errors import ConfigError

__all__ = ["discover", "user_config_folder"]


def discover(start: Path | None = None) -> Loaded:
    """
    `$LLMSWITCH_CONFIG`; `llmswitch.toml` in the working folder or a parent; `[tool.llmswitch]` in a pyproject.toml
    likewise; the user's own folder; otherwise an empty configuration.
    """
    named = os.environ.get("LLMSWITCH_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"LLMSWITCH_CONFIG names {named}, which is not a file")
        return Loaded.from_file(path)
    folder = (start or Path.cwd()).resolve()
    own = user_config_folder()
    for path in _candidates(folder):
        if path.is_file():
            return Loaded.from_file(path, trusted=path.parent == own)
    path = own / "llmswitch.toml"
    if path.is_file():
        return Loaded.from_file(path)
    return Loaded(Config.model_construct(), "no configuration file")


def _candidates(folder: Path) -> Iterator[Path]:
    folders = [folder, *folder.parents]
    for each in folders:
        yield each / "llmswitch.toml"
    for each in folders:
        path = each / "pyproject.toml"
        if path.is_file() and _has_table(path):
            yield path


def _has_table(path: Path) -> bool:
    """Whether a pyproject.toml speaks of us; a broken one of somebody else's is not our complaint."""
    try:
        return "llmswitch" in tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def user_config_folder() -> Path:
    """The folder of the user's own configuration on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming")) / "llmswitch"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "llmswitch"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "llmswitch"
