"""The conversation as Baidu's older API wants it: turns by turns, with one call of a function in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmswitch._request import ChatRequest
from llmswitch.providers.openai_messages import call_arguments
from llmswitch.providers.strict_turns import Conversation, Turn, take_turns, text_of

if TYPE_CHECKING:
    from llmswitch.providers.wenxin import WenxinOptions

__all__ = ["build_messages", "converse"]


def converse(request: ChatRequest, options: WenxinOptions) -> Conversation:
    """The conversation in turns."""
    return take_turns(request.messages, filler=options.filler, one_call=True)


def build_messages(conversation: Conversation, options: WenxinOptions) -> list[dict[str, Any]]:
    """The messages as they go over the wire."""
    return [_message(turn, options) for turn in conversation.turns]


def _message(turn: Turn, options: WenxinOptions) -> dict[str, Any]:
    if turn.result is not None:
        assert turn.call is not None
        return {"role": "function", "name": turn.call.name, "content": text_of(turn.result, options.filler)}
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    for call in turn.calls:
        message["function_call"] = {"name": call.name, "arguments": call_arguments(call)}
    return message
