"""What of a JSON schema has no form at a vendor's: found by lowering it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmswitch._adapter import SchemaGap
from llmswitch._errors import CapabilityMismatch

__all__ = ["gap_in"]


def gap_in(schema: Mapping[str, Any], lower: Callable[[Mapping[str, Any]], object]) -> SchemaGap | None:
    """`lower` raises `CapabilityMismatch` that begins with the place, where something can't be said."""
    try:
        lower(schema)
    except CapabilityMismatch as problem:
        return SchemaGap(problem.message.removeprefix("response_format: "))
    return None
