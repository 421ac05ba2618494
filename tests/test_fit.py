"""What a model can't do while it thinks, and how long a stop string may be: refused, degraded, or the way made free."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import CapabilityMismatch, Message, Tool, ToolCall, ToolResult
from llmswitch._capabilities import Capabilities, fit
from llmswitch._request import ChatRequest
from tests.rows import rows

NOW = Tool("now", "The time.")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def able(**changes: Any) -> Capabilities:
    """A model that thinks unasked, has a switch for it, and can't be forced while it does."""
    record = {
        "tools": True,
        "tool_choice": ["auto", "none", "required", "named"],
        "json_object": True,
        "json_schema": True,
        "settings": ["max_tokens", "stop"],
        "reasoning": ["off", "high"],
        "thinks_unasked": True,
        "thinking_excludes": ["forced_tool", "json_schema"],
    }
    return Capabilities.model_validate({**record, **changes})


def fitted(record: Capabilities, **options: Any) -> tuple[ChatRequest, list[str]]:
    request, warnings = fit(ChatRequest.read("Hi", **options), record, provider="p", model="m")
    return request, [warning.code for warning in warnings]


@rows(
    "options",
    [
        {"tools": [NOW], "tool_choice": "required"},
        {"tools": [NOW], "tool_choice": "now"},
        {"response_format": SCHEMA},
    ],
)
def test_unasked_thinking_gives_way(options):
    """Thinking that nobody asked for is switched off for what was asked for, and a warning says so."""
    request, codes = fitted(able(), **options)
    assert ("off", ["thinking_off"]) == (request.reasoning, codes)
    assert options.get("tool_choice") == request.tool_choice


@rows(
    "options",
    [{"tools": [NOW]}, {"tools": [NOW], "tool_choice": "auto"}, {"response_format": "json"}, {"reasoning": "off"}],
)
def test_what_thinking_does_not_exclude_leaves_it_alone(options):
    """Nothing is changed where nothing is in the way."""
    request, codes = fitted(able(), **options)
    assert (options.get("reasoning"), []) == (request.reasoning, codes)


def test_thinking_that_was_asked_for_is_not_dropped_in_silence():
    """Both were asked for: refused, or with degrade the thinking goes, and a warning says so."""
    both = {"tools": [NOW], "tool_choice": "required", "reasoning": "high"}
    with pytest.raises(CapabilityMismatch, match="while it thinks"):
        fitted(able(), **both)
    request, codes = fitted(able(), degrade=True, **both)
    assert ("off", "required", ["degraded"]) == (request.reasoning, request.tool_choice, codes)


def test_what_has_no_effect_is_said():
    """A setting that a thinking model takes and ignores is sent, with a warning; without thinking there is none."""
    record = able(settings=["temperature"], thinking_ignores=["temperature"])
    request, codes = fitted(record, temperature=0.2)
    assert (0.2, ["ignored"]) == (request.temperature, codes)
    assert [] == fitted(record, temperature=0.2, reasoning="off")[1]
    assert [] == fitted(record)[1]


def test_a_model_that_always_thinks_is_refused():
    """Without a switch a forced call is refused, or with degrade `auto` is sent; a form has no honest way."""
    always = able(reasoning=[])
    forced = {"tools": [NOW], "tool_choice": "required"}
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        fitted(always, **forced)
    request, codes = fitted(always, degrade=True, **forced)
    assert ("auto", ["degraded"]) == (request.tool_choice, codes)
    with pytest.raises(CapabilityMismatch, match="holds to no form"):
        fitted(always, degrade=True, response_format=SCHEMA)


def test_a_model_that_always_thinks_can_not_be_told_to_stop():
    """`reasoning="off"` is refused where a model thinks and has no switch; one that does not think needs none."""
    with pytest.raises(CapabilityMismatch, match="reasoning"):
        fitted(able(reasoning=[]), reasoning="off")
    assert [] == fitted(able(reasoning=[], thinks_unasked=False), reasoning="off")[1]


@rows(
    ("limit", "stop", "fits"),
    [
        ({"max_stop_length": 4}, "四个字符", True),
        ({"max_stop_length": 4}, "12345", False),
        ({"max_stop_bytes": 4}, "1234", True),
        ({"max_stop_bytes": 4}, "四个", False),
    ],
)
def test_a_stop_string_has_a_length(limit, stop, fits):
    """A stop string that is too long for the vendor, by characters or by bytes, is refused before a byte is sent."""
    if fits:
        assert [] == fitted(able(**limit), stop=["x", stop])[1]
        return
    with pytest.raises(CapabilityMismatch, match=r"at most 4 (characters|bytes) each"):
        fitted(able(**limit), stop=["x", stop])


def test_a_conversation_with_calls_needs_a_model_that_calls_tools():
    """What was called before is no less a call: a model without tools is not sent it, and the place is named."""
    said = [
        Message("user", "When?"),
        Message("assistant", [ToolCall("c1", "now", {})]),
        Message("tool", [ToolResult("c1", "noon")]),
    ]
    request = ChatRequest.read(said, degrade=True)
    with pytest.raises(CapabilityMismatch, match=r"messages\[1\]: this model calls no tools"):
        fit(request, able(tools=False), provider="p", model="m")
    assert request is fit(request, able(), provider="p", model="m")[0]
