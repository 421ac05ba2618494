"""The user's folder for what can be had again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path | None:
    """The library's own, below the system's folder for caches; `None` for a user without a home."""
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or "")
            # The XDG base directory specification: a relative path is invalid and ignored.
            base = base if base.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # what Path.home raises without a home
        return None
    return base / "llmswitch"
