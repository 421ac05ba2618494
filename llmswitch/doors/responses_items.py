"""The items that an answer of Responses is made of. Each is named after the response and its place in it."""

from __future__ import annotations

from typing import Any

__all__ = ["call_item", "message_item", "output_text", "reasoning_item", "refusal_item"]


def message_item(response: str, index: int, text: str) -> dict[str, Any]:
    """Text of the assistant's."""
    return _message(response, index, output_text(text))


def refusal_item(response: str, index: int, text: str) -> dict[str, Any]:
    """The words in which the model refuses."""
    return _message(response, index, {"type": "refusal", "refusal": text})


def output_text(text: str) -> dict[str, Any]:
    """The part of a message that holds its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def reasoning_item(response: str, index: int, text: str, envelope: str | None) -> dict[str, Any]:
    """A thought, or an envelope that stands where a thought would."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": _name("rs", response, index), "type": "reasoning", "summary": summary, "encrypted_content": envelope}


def call_item(response: str, index: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A call of a function."""
    return {
        "id": _name("fc", response, index),
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def _message(response: str, index: int, part: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _name("msg", response, index),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _name(kind: str, response: str, index: int) -> str:
    return f"{kind}_{response.removeprefix('resp_')}{index:02}"
