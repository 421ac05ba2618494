"""The doors that are served."""

from __future__ import annotations

from llmswitch.doors import Door

__all__ = ["DOORS"]

DOORS: tuple[Door, ...] = ()
