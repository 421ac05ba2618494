"""The doors that are served: every one that there is."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from llmswitch import doors
from llmswitch.doors import Door

__all__ = ["every_door"]


def every_door() -> list[Door]:
    """A door of each protocol that a module of `llmswitch.doors` speaks."""
    return list(_made())


def _made() -> Iterator[Door]:
    for found in pkgutil.iter_modules(doors.__path__):
        if found.name.startswith("_"):
            continue
        module = import_module(f"{doors.__name__}.{found.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Door) and kind.__module__ == module.__name__:
                yield kind()
