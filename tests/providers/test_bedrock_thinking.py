"""Claude by Converse: how a level or a budget of reasoning is said to each of its families, and what goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import CapabilityMismatch, ChatReply, Message, Tool, ToolCall, ToolResult
from tests.providers.test_bedrock import client, sent, whole

HAIKU, SONNET = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "global.anthropic.claude-sonnet-4-6"
TOOL = Tool("now", "The time.")
YES = {"text": "Yes."}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}
CALL = {"toolUse": {"toolUseId": "t1", "name": "now", "input": {}}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-0123456789")


def asked(model: str, said: Any = "Hi", *blocks: Any, **options: Any) -> tuple[Any, Any, ChatReply]:
    """The model's own fields, the limit that is sent, and the reply."""
    asking, vendor = client(whole(*(blocks or (YES,))), model)
    reply = asking.chat(said, **options)
    body = sent(vendor)
    return body.get("additionalModelRequestFields"), body.get("inferenceConfig", {}).get("maxTokens"), reply


def budget(tokens: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


@pytest.mark.parametrize(
    ("model", "level", "fields", "limit"),
    [
        (HAIKU, None, None, None),
        (HAIKU, "off", {"thinking": {"type": "disabled"}}, None),
        (HAIKU, "low", budget(2048), 4096 + 2048),
        (HAIKU, 60_000, budget(60_000), 64_000),
        ("eu.anthropic.claude-opus-4-1-20250805-v1:0", 1024, budget(1024), 4096 + 1024),
        (SONNET, "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, None),
        (SONNET, 3000, budget(3000), 4096 + 3000),
    ],
)
def test_a_level_in_the_words_of_the_family(model: str, level: Any, fields: Any, limit: int | None) -> None:
    """Up to 4.5 by a budget, 4.6 by either; a budget alone asks for a limit, and comes on top of the answer's room."""
    assert (fields, limit) == asked(model, reasoning=level)[:2]


@pytest.mark.parametrize(
    "model", ["anthropic.claude-3-5-haiku-20241022-v1:0", "us.anthropic.claude-3-opus-20240229-v1:0"]
)
def test_an_older_model_does_not_think(model: str) -> None:
    """Before 3.7 a level is refused, and nothing is said of thinking."""
    assert asked(model)[0] is None
    with pytest.raises(CapabilityMismatch, match="reasoning"):
        asked(model, reasoning="low")


def test_a_newer_model_takes_no_budget() -> None:
    """A number of tokens is refused; with `degrade` it becomes a level."""
    with pytest.raises(CapabilityMismatch, match="no token budget here"):
        asked("us.anthropic.claude-opus-4-8", reasoning=5000)
    fields, _, _ = asked("us.anthropic.claude-opus-4-8", reasoning=5000, degrade=True)
    assert {"effort": "medium"} == fields["output_config"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"reasoning": 1023}, "the least is 1024"),
        ({"reasoning": 2000, "max_tokens": 2000}, "less than max_tokens"),
        ({"reasoning": "low", "temperature": 0.5}, "temperature: only 1"),
        ({"reasoning": "low", "tools": [TOOL], "tool_choice": "now"}, "no tool can be forced"),
    ],
)
def test_what_a_budget_excludes_is_refused(options: dict[str, Any], named: str) -> None:
    """Before a byte is sent, as by Messages."""
    with pytest.raises(CapabilityMismatch, match=named):
        asked(HAIKU, **options)


def test_a_level_gives_way_to_the_callers_limit() -> None:
    """It takes at most half, and says so; an answer that our own limit cut is warned of."""
    fields, limit, reply = asked(HAIKU, reasoning="high", max_tokens=6000)
    assert (budget(3000), 6000, ["reasoning_cut"]) == (fields, limit, [each.code for each in reply.warnings])
    asking, _ = client(whole(YES, reason="max_tokens"), HAIKU)
    assert ["default_max_tokens"] == [each.code for each in asking.chat("Hi", reasoning="low").warnings]


def test_calls_that_another_made_are_answered_without_thinking() -> None:
    """With a budget they have to begin with a thought; those that this model made do, and thinking goes on."""
    foreign = [
        Message("user", "When?"),
        Message("assistant", [ToolCall("t1", "now", {})]),
        Message("tool", [ToolResult("t1", "Noon.")]),
    ]
    fields, limit, reply = asked(HAIKU, foreign, tools=[TOOL], reasoning="low")
    assert (None, None, ["thinking_off"]) == (fields, limit, [each.code for each in reply.warnings])
    asking, vendor = client(whole(THOUGHT, CALL, reason="tool_use"), HAIKU)
    own = asking.chat("When?", tools=[TOOL], reasoning="low").message
    asking.chat([foreign[0], own, foreign[2]], tools=[TOOL], reasoning="low")
    assert budget(2048) == sent(vendor)["additionalModelRequestFields"]
    assert THOUGHT == sent(vendor)["messages"][1]["content"][0]


def test_a_level_of_ones_own() -> None:
    """What a configuration says of a level beside the model's own fields is sent as it is."""
    own = {"options": {"reasoning": {"low": {"outputConfig": {"effort": "low"}}}}}
    asking, vendor = client(whole(YES), SONNET, **own)
    asking.chat("Hi", reasoning="low")
    assert {"effort": "low"} == sent(vendor)["outputConfig"]
