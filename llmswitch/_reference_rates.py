"""What currencies are worth against each other: to put offers in an order, never to reckon a cost."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated

from pydantic import Field

from ._strict import Strict

__all__ = ["ReferenceRates", "reference_rates"]


class ReferenceRates(Strict):
    """How many units of each currency a euro was worth on a day: for ranking alone, never for a cost."""

    source: str
    day: date
    checked: date
    per_euro: dict[str, Annotated[Decimal, Field(gt=0)]]


@cache
def reference_rates() -> ReferenceRates:
    """From `reference_rates.toml`."""
    from importlib.resources import files

    text = (files(__package__ or "llmswitch") / "reference_rates.toml").read_text("utf-8")
    return ReferenceRates.model_validate(tomllib.loads(text, parse_float=Decimal))
