"""Whether what was heard is what was said, and an answer the one that was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._capabilities import Capabilities
from llmswitch._events import Finish, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallDone
from llmswitch._messages import Reasoning, Text, ToolCall
from llmswitch._reply import ChatReply
from llmswitch._target import Target
from llmswitch._vendor_wire import Answer, Heard, VendorWire

from ._conversations import Conversation
from ._lines import heard_as, said

__all__ = ["assert_adds_up", "assert_heard", "assert_same"]


def assert_heard(heard: Heard, conversation: Conversation, target: Target, wire: VendorWire) -> None:
    options = conversation.options
    words = said(conversation.messages, joined=wire.joins_text, one_call=wire.parts_calls)
    assert words == heard_as(heard.messages, words)
    assert heard.model == target.model
    assert heard.prefill == options.get("prefill", False)
    tools = [(tool.name, tool.description, dict(tool.parameters)) for tool in options.get("tools", ())]
    choice = options.get("tool_choice")
    if heard.tool_choice == "required" and [name for name, _, _ in heard.tools] == [choice]:
        tools, choice = [tool for tool in tools if tool[0] == choice], "required"  # that one alone says the same
    if choice == "none" and not heard.tools:
        choice = None  # not to offer the tools says the same
    else:
        assert [(name, words) for name, words, _ in heard.tools] == [(name, words) for name, words, _ in tools]
        for (_, _, sent), (_, _, meant) in zip(heard.tools, tools, strict=True):
            assert sent["type"] == "object"
            assert set(sent.get("properties", {})) == set(meant.get("properties", {}))
    # auto is what no choice means
    assert (heard.tool_choice or "auto") == (choice or "auto")
    assert heard.parallel_tool_calls == options.get("parallel_tool_calls")
    form = options.get("response_format")
    assert heard.json_mode == (form == "json")
    if form not in (None, "json"):
        wanted = form if isinstance(form, dict) else form.model_json_schema()
        assert heard.schema is not None
        assert set(heard.schema["properties"]) == set(wanted["properties"])
    if "max_tokens" in options:
        assert heard.max_tokens == options["max_tokens"]
    assert heard.temperature == options.get("temperature")
    assert heard.top_p == options.get("top_p")
    stop = options.get("stop", ())
    assert heard.stop == ((stop,) if isinstance(stop, str) else tuple(stop))
    assert heard.seed == options.get("seed")
    able = target.adapter.capabilities
    assert bool(heard.reasoning) == (bool(able.reasoning) and ("reasoning" in options or _unthinking(options, able)))


def _unthinking(options: Mapping[str, Any], able: Capabilities) -> bool:
    """Whether thinking that nobody asked for has to be switched off for what was asked for."""
    form, choice = options.get("response_format"), options.get("tool_choice", "auto")
    kind = "json_object" if form == "json" or not able.json_schema else "json_schema"
    wanted = {kind if form is not None else None, "forced_tool" if choice not in ("auto", "none") else None}
    wanted.add("prefill" if options.get("prefill") else None)
    return able.thinks_unasked and "off" in able.reasoning and bool(wanted & able.thinking_excludes)


def assert_same(reply: ChatReply, answer: Answer) -> None:
    text = "".join(part.text for part in answer.parts if isinstance(part, Text))
    assert reply.text == text
    assert reply.reasoning == "".join(part.text for part in answer.parts if isinstance(part, Reasoning))
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [(call.name, call.arguments) for call in calls]
    assert len({call.id for call in reply.tool_calls}) == len(calls)
    assert reply.finish_reason == answer.finish_reason
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
    )
    assert (reply.usage.cached_tokens or 0) == (answer.usage.cached_tokens or 0)
    assert (reply.usage.reasoning_tokens or 0) == (answer.usage.reasoning_tokens or 0)
    assert reply.empty == (not answer.parts)
    assert reply.attempts[-1].ok


def assert_adds_up(events: list[Any], reply: ChatReply) -> None:
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == reply.text
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == reply.reasoning
    assert [event.call for event in events if isinstance(event, ToolCallDone)] == reply.tool_calls
    for number, call in enumerate(reply.tool_calls):
        written = "".join(
            event.arguments for event in events if isinstance(event, ToolCallDelta) and event.index == number
        )
        assert written == call.raw_arguments
    assert [event for event in events if isinstance(event, Finish)] == events[-1:]
