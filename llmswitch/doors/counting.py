"""
How many tokens a request comes to, as Anthropic's Messages say it: what is asked, and the number.

Facts: Anthropic's Python SDK 2.12.0 (`messages.count_tokens`), checked 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._counting import TokenCount

__all__ = ["PATH", "counted", "headers_of_count"]

PATH = "/messages/count_tokens"


def counted(count: TokenCount) -> dict[str, Any]:
    """The number as JSON."""
    return {"input_tokens": count.input_tokens}


def headers_of_count(count: TokenCount) -> Mapping[str, str]:
    """For whose model the number holds, and whether it is an estimate: the protocol has no word for either."""
    target = {"x-llmswitch-target": f"{count.provider}:{count.model}"}
    return {**target, "x-llmswitch-count": "estimate"} if count.source == "estimate" else target
