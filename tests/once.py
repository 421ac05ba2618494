"""What several workers need and one of them makes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

__all__ = ["once"]


def once(folder: Path, make: Callable[[], None]) -> None:
    """Make it in that folder, where nobody has; who comes meanwhile waits. What was left half done is made again."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            make()
            ready.touch()
