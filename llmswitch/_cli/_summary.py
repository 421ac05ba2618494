"""An answer summed up: for a person in a few lines, for a program as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from llmswitch._reply import Attempt, ChatReply, Cost

from ._terminal import attempt_line, warn

__all__ = ["as_json", "attempts_as_json", "print_summary"]

_SHORT = 100  # characters of a message in the summary

# How an answer that did not simply end has ended.
_ENDINGS = {
    "length": "the answer was cut by the token limit; --max-tokens raises it",
    "tool_calls": "the model asked for a tool, and there is none here",
    "content_filter": "the vendor's content filter cut the answer",
    "refusal": "the model refused to answer",
    "pause": "the model paused before it was done",
    "other": "the vendor did not say why the answer ended",
}


def print_summary(console: Console, reply: ChatReply, *, streamed: bool) -> None:
    """Who answered, after whom, for how many tokens, at what cost, in which time; and what is doubtful."""
    for attempt in reply.attempts:
        if not attempt.ok:
            console.print(attempt_line(attempt, _SHORT), style="dim")
    facts = [_tokens(reply), str(reply.cost) if reply.cost is not None else "", *_times(reply, streamed=streamed)]
    said = "".join(f" | {fact}" for fact in facts if fact)
    console.print(Text.assemble("answered by ", (f"{reply.provider}:{reply.model}", "bold"), said), style="dim")
    doubts = [warning.message for warning in reply.warnings]
    if reply.finish_reason in _ENDINGS:
        doubts.append(_ENDINGS[reply.finish_reason])
    elif not reply.text:
        doubts.append("the answer is empty")
    for doubt in doubts:
        warn(console, doubt)


def _tokens(reply: ChatReply) -> str:
    usage = reply.usage
    counted = [
        f"{number} {way}"
        for number, way in ((usage.input_tokens, "in"), (usage.output_tokens, "out"))
        if number is not None
    ]
    return f"tokens {', '.join(counted)}{' (estimated)' if usage.estimated else ''}" if counted else ""


def _times(reply: ChatReply, *, streamed: bool) -> list[str]:
    """Seconds since the call began, so the time that failed targets took is in them."""
    if reply.from_cache:
        return ["from the cache"]
    last = reply.attempts[-1]
    before = last.started - reply.attempts[0].started
    times = {"first token": last.ttft_ms if streamed else None, "total": last.end_ms}
    return [f"{name} {before + ms / 1000:.2f} s" for name, ms in times.items() if ms is not None]


def as_json(reply: ChatReply) -> dict[str, Any]:
    """The answer as JSON. Amounts of money are text, to stay exact; times are milliseconds."""
    return {
        "text": reply.text,
        "provider": reply.provider,
        "model": reply.model,
        "finish_reason": reply.finish_reason,
        "usage": asdict(reply.usage),
        "cost": _cost(reply.cost),
        "from_cache": reply.from_cache,
        "attempts": attempts_as_json(reply.attempts),
        "warnings": [asdict(warning) for warning in reply.warnings],
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls],
        "reasoning": reply.reasoning,
    }


def attempts_as_json(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """The trail of a call, with the times at which its attempts began counted from the first."""
    return [_attempt(attempt, attempts[0].started) for attempt in attempts]


def _attempt(attempt: Attempt, began: float) -> dict[str, Any]:
    fields = asdict(attempt)
    # Seconds of this process's own clock mean nothing outside it.
    return fields | {"started": round((attempt.started - began) * 1000, 3), "cost": _cost(attempt.cost)}


def _cost(cost: Cost | None) -> dict[str, str] | None:
    return None if cost is None else {"amount": f"{cost.amount.normalize():f}", "currency": cost.currency}
