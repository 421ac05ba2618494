"""What a caller may ask, in neutral form: each is sent through every provider, whose wire must say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from llmswitch._messages import (
    Audio,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorData,
)
from llmswitch._tools import Tool

__all__ = ["CONVERSATIONS", "Conversation"]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class City(BaseModel):
    """A form for an answer."""

    name: str
    population: int


WEATHER = Tool(
    "get_weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
)
NOW = Tool("now", "The time.")


@dataclass(frozen=True)
class Conversation:
    """One request. `needs` names the capabilities without which it must be refused before a byte is sent."""

    messages: Sequence[Message]
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def _ask(text: str = "What is the capital of France?", **options: Any) -> Conversation:
    needs = tuple(options.pop("needs", ()))
    return Conversation([Message("user", text)], options, needs)


_CALL = ToolCall("call_000000000000000000000001", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')
_OTHER = ToolCall("toolu_01A-b_2", "get_weather", {"city": "Rome"})
_FOREIGN = VendorData("somebody-else", "0123456789abcdef", "their-model", {"signature": "c2lnbmF0dXJl"})

CONVERSATIONS: Mapping[str, Conversation] = {
    "question": _ask(),
    "hard_characters": _ask('naïve 你好 🙂 \u2028 \x85 "quoted" \\ \n\t </s> <|im_end|>'),
    "system": Conversation([Message("system", "Be brief."), Message("user", "Hello")]),
    "several_turns": Conversation(
        [Message("user", "One"), Message("assistant", "Two"), Message("user", [Text("Three"), Text("Four")])]
    ),
    "continued": Conversation(
        [Message("user", "Count to five."), Message("assistant", "One, two,")], {"prefill": True}, ("prefill",)
    ),
    "image_data": Conversation(
        [Message("user", [Text("What is this?"), Image(data=PIXEL, media_type="image/png")])], needs=("images",)
    ),
    "image_url": Conversation(
        [Message("user", [Image(url="https://example.com/a.png"), Text("And this?")])],
        needs=("images", "takes_image_urls"),
    ),
    "document": Conversation(
        [
            Message(
                "user", [Document(data="JVBERi0xLjQK", media_type="application/pdf", name="a.pdf"), Text("Sum it up")]
            )
        ],
        needs=("documents",),
    ),
    "audio": Conversation(
        [Message("user", [Audio(data="UklGRg==", media_type="audio/wav"), Text("Write it down")])], needs=("audio",)
    ),
    "tools": _ask(tools=[WEATHER, NOW], needs=["tools"]),
    "tool_choice_auto": _ask(tools=[WEATHER], tool_choice="auto", needs=["tools", "tool_choice:auto"]),
    "tool_choice_none": _ask(tools=[WEATHER], tool_choice="none", needs=["tools", "tool_choice:none"]),
    "tool_choice_required": _ask(tools=[WEATHER], tool_choice="required", needs=["tools", "tool_choice:required"]),
    "tool_choice_named": _ask(tools=[WEATHER, NOW], tool_choice="now", needs=["tools", "tool_choice:named"]),
    "one_call_at_a_time": _ask(tools=[WEATHER], parallel_tool_calls=False, needs=["tools", "parallel_switch"]),
    "tool_results": Conversation(
        [
            Message("user", "Weather in Paris and Rome?"),
            Message("assistant", [Text("Looking."), _CALL, _OTHER]),
            Message("tool", [ToolResult(_CALL.id, "18 C"), ToolResult(_OTHER.id, "no such city", is_error=True)]),
            Message("user", "And tomorrow?"),
        ],
        {"tools": [WEATHER]},
        ("tools",),
    ),
    "foreign_reasoning": Conversation(
        [
            Message("user", "Weather in Paris?"),
            Message("assistant", [Reasoning("They thought so.", _FOREIGN), _CALL]),
            Message("tool", [ToolResult(_CALL.id, "18 C")]),
        ],
        {"tools": [WEATHER]},
        ("tools",),
    ),
    "form": _ask(response_format=City, needs=["json_schema"]),
    "form_as_schema": _ask(
        response_format={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        needs=["json_schema"],
    ),
    "json_mode": _ask(response_format="json", needs=["json_object"]),
    "max_tokens": _ask(max_tokens=77, needs=["settings:max_tokens"]),
    "temperature": _ask(temperature=0.5, needs=["settings:temperature"]),
    "top_p": _ask(top_p=0.5, needs=["settings:top_p"]),
    "one_stop": _ask(stop="END", needs=["settings:stop"]),
    "two_stops": _ask(stop=["END", "STOP"], needs=["settings:stop"]),
    "seed": _ask(seed=7, needs=["settings:seed"]),
    "reasoning_off": _ask(reasoning="off", needs=["reasoning:off"]),
    "reasoning_low": _ask(reasoning="low", needs=["reasoning:low"]),
    "reasoning_medium": _ask(reasoning="medium", needs=["reasoning:medium"]),
    "reasoning_high": _ask(reasoning="high", needs=["reasoning:high"]),
}
