"""What the Messages API refuses in the turns of a conversation, for the suite."""

from __future__ import annotations

from typing import Any

__all__ = ["THOUGHTS", "check_turns"]

THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def check_turns(turns: list[dict[str, Any]], body: dict[str, Any], options: Any) -> None:
    """Raises `AssertionError` where the turns would be refused; `body` is the rest of the request."""
    assert turns, "at least one message is required"
    assert turns[0]["role"] == "user" or not options.user_first, "the first turn is the user's"
    used: set[str] = set()
    called: list[str] = []
    for turn in turns:
        blocks = _blocks(turn)
        kinds = [block["type"] for block in blocks]
        results = kinds.count("tool_result")
        assert kinds[:results] == ["tool_result"] * results, "results come before everything else"
        assert sorted(called) == sorted(block["tool_use_id"] for block in blocks[:results]), "each call has its result"
        assert turn["role"] == "assistant" or not THOUGHTS & set(kinds), "only the assistant thinks"
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert all(options.tool_ids.fits(name) for name in called), "an id that is refused"
        assert len({*used, *called}) == len(used) + len(called), "an id that is there already"
        used.update(called)
    assert not called, "each call has its result"
    assert not used or body.get("tools"), "calls without tools"
    _check_begun(turns, body)


def _check_begun(turns: list[dict[str, Any]], body: dict[str, Any]) -> None:
    """With a budget for thinking, calls that are being answered begin with a thought."""
    if body.get("thinking", {}).get("type") != "enabled" or not _holds_results(turns[-1]):
        return
    begun = len(turns) - 1
    while _holds_results(turns[begun]) or turns[begun]["role"] != "user":
        begun -= 1
    first = next(turn for turn in turns[begun + 1 :] if turn["role"] == "assistant")
    assert _blocks(first)[0]["type"] in THOUGHTS, "a final assistant message must start with a thinking block"


def _holds_results(turn: dict[str, Any]) -> bool:
    return any(block["type"] == "tool_result" for block in _blocks(turn))


def _blocks(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]
