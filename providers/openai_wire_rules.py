"""What Chat Completions vendors refuse in the messages of a request, for the suite: all of them, and each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from llmswitch._json import loads

__all__ = ["check_conversation"]


def check_conversation(messages: list[dict[str, Any]], options: Any, capabilities: Any) -> None:
    """Raises `AssertionError` where this vendor would refuse the messages. `options` are its departures."""
    assert messages, "there are no messages"
    systems = [index for index, message in enumerate(messages) if message["role"] in ("system", "developer")]
    assert systems in ([], [0]) or not options.one_system, "one system message is taken, the first"
    for message in messages:
        _check_content(message, options, capabilities)
        if message["role"] == "assistant":
            _check_thought(message, options, unfinished=message is messages[-1])
    if not options.tools_as_schema:
        _check_calls(messages, options, capabilities)
    if options.after_results:
        follows = [after["role"] for before, after in pairwise(messages) if before["role"] == "tool"]
        assert "user" not in follows, "a user's message after a result is refused"


def _check_content(message: dict[str, Any], options: Any, capabilities: Any) -> None:
    role, calls = message["role"], message.get("tool_calls")
    content = message.get("content", "")
    if role == "tool":
        assert isinstance(content, str), "a result is text"
        return
    if calls and not content:
        assert "content" not in message or options.calls_content == "null", "content may not be null, nor empty"
        assert content is None or "content" not in message, "content is null where there is none"
        return
    assert content.strip() if isinstance(content, str) else content, "an empty message is refused"
    parts = content if isinstance(content, list) else []
    kinds = {part["type"] for part in parts}
    assert kinds != {"text"} or not options.joined_text, "text comes as a string"
    assert all(part["text"] for part in parts if part["type"] == "text"), "an empty text is refused"
    assert "image_url" not in kinds or capabilities.images
    assert "input_audio" not in kinds or capabilities.audio
    assert not kinds & {"file", "document_url"} or capabilities.documents
    assert not kinds & {"file", "document_url"} - {options.document_part}
    spoken = options.audio_data == "base64"
    assert all(isinstance(part["input_audio"], str) == spoken for part in parts if part["type"] == "input_audio")
    thinks = role == "assistant" and options.thoughts_in_content and options.reasoning_replay != "omit"
    assert role == "user" or kinds <= ({"text", "thinking"} if thinks else {"text"}), f"what no {role}'s message holds"


def _check_thought(message: dict[str, Any], options: Any, *, unfinished: bool) -> None:
    field = options.reasoning_fields[0] if options.reasoning_fields else ""
    here = field in message
    calls = message.get("tool_calls")
    must = options.reasoning_replay == "required" or (options.reasoning_replay == "with_calls" and calls)
    assert here or not must or unfinished, f"{field} is missing"
    assert not here or options.reasoning_replay != "omit", f"{field} is refused"
    assert not here or isinstance(message[field], list if options.reasoning_parts else str)
    assert not here or message[field] or not options.reasoning_stand_in, f"{field} may not be empty"


def _check_calls(messages: list[dict[str, Any]], options: Any, capabilities: Any) -> None:
    """The calls of a turn are answered right after it, each once, and their ids are such as the vendor takes."""
    used: set[str] = set()
    unanswered: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in unanswered, "a result answers a call of the turn before it, and once"
            unanswered.remove(message["tool_call_id"])
            continue
        assert not unanswered, "every call is answered before anything else is said"
        if options.tool_ids.unique == "turn":
            used = set()
        for call in message.get("tool_calls", ()):
            assert capabilities.tools, "this model calls no tools"
            assert options.tool_ids.fits(call["id"]), "an id that is refused"
            assert call["id"] not in used, "an id that is there already"
            assert isinstance(loads(call["function"]["arguments"]), dict), "arguments are the text of an object"
            used.add(call["id"])
            unanswered.add(call["id"])
    assert not unanswered, "every call is answered"
