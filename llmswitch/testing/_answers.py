"""What a vendor may answer, in neutral form: each is written on every provider's wire and must come back the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._messages import Reasoning, Text, ToolCall
from llmswitch._reply import Usage
from llmswitch._vendor_wire import Answer

__all__ = ["ANSWERS"]


def _call(name: str, arguments: dict[str, Any], number: int = 1) -> ToolCall:
    return ToolCall(f"call_{number:024d}", name, arguments)


# Every kind of character that has broken a line splitter, a JSON reader or a UTF-8 decoder.
_HARD = 'naïve 你好 🙂\u2028line\u2029para\x85next\x0b\x0c\ttab "quoted" \\back {brace} data: [DONE] \r\n\n: end'

ANSWERS: Mapping[str, Answer] = {
    "text": Answer((Text("Hello, world."),)),
    "one_letter": Answer((Text("a"),)),
    "hard_characters": Answer((Text(_HARD),)),
    "long_text": Answer((Text("word " * 60),), usage=Usage(input_tokens=5, output_tokens=60)),
    "cut_by_length": Answer((Text("Once upon a"),), finish_reason="length"),
    "filtered": Answer((Text("I was going to"),), finish_reason="content_filter", needs=("says_filtered",)),
    "cached": Answer((Text("ok"),), usage=Usage(input_tokens=1000, output_tokens=1, cached_tokens=900)),
    "reasoning": Answer(
        (Reasoning("First I think."), Text("Then I speak.")),
        usage=Usage(input_tokens=11, output_tokens=30, reasoning_tokens=20),
        needs=("shows_reasoning",),
    ),
    "one_call": Answer(
        (_call("get_weather", {"city": "Zürich", "unit": "c"}),), finish_reason="tool_calls", needs=("tools",)
    ),
    "call_without_arguments": Answer((_call("now", {}),), finish_reason="tool_calls", needs=("tools",)),
    "text_then_two_calls": Answer(
        (
            Text("Let me look."),
            _call("get_weather", {"city": "Paris", "days": [1, 2, 3], "nested": {"deep": None}}),
            _call("get_weather", {"city": _HARD}, 2),
        ),
        finish_reason="tool_calls",
        needs=("several_calls",),
    ),
    "empty": Answer((), usage=Usage(input_tokens=3, output_tokens=0)),
}
