"""A failover as a timeline: a chain is run against vendors on this machine that fail, and its trail is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from svg import Picture

from llmswitch import Attempt, ChatReply, Client
from llmswitch.testing.fault_server import (
    LAST_CHUNK,
    FaultServer,
    Hang,
    Pause,
    ReadRequest,
    Send,
    Step,
    chunk,
    event_bytes,
    response,
    sse_head,
)

__all__ = ["draw", "run"]

LEFT, RIGHT, TOP, ROW, BAR = 160, 936, 96, 46, 22


def _said(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return chunk(event_bytes({"id": "1", "choices": [choice]}))


VENDORS: dict[str, Sequence[Step]] = {
    "silent": [ReadRequest(), Hang()],
    "broken": [ReadRequest(), Pause(0.08), Send(response(500, {"error": {"message": "internal error"}}))],
    "empty": [ReadRequest(), Pause(0.06), Send(response(402, {"error": {"message": "insufficient balance"}}))],
    "well": [
        ReadRequest(),
        Pause(0.12),
        Send(sse_head() + _said("Here ")),
        Pause(0.12),
        Send(_said("I ")),
        Pause(0.12),
        Send(_said("am.", "stop") + chunk(event_bytes("[DONE]")) + LAST_CHUNK),
    ],
}


def run() -> ChatReply:
    """The reply of a chain of which three targets fail in their own ways, and the fourth answers."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(FaultServer(script)) for name, script in VENDORS.items()}
        chain = {"targets": [f"{name}:model" for name in servers], "first_token_timeout": 0.5, "max_attempts": 5}
        providers = {name: {"dialect": "openai", "base_url": server.url} for name, server in servers.items()}
        config = {"default": "four", "chains": {"four": chain}, "providers": providers}
        client = stack.enter_context(Client.from_config(config))
        with stack.enter_context(client.stream("Who is there?")) as stream:
            for _event in stream:
                pass
        return stream.reply


def draw(reply: ChatReply) -> Picture:
    """The picture of that reply's trail: a line for each attempt, and one for what the caller sees."""
    began = reply.attempts[0].started
    spans = [(each, (each.started - began) * 1000, each.end_ms or 0.0) for each in reply.attempts]
    end = max(first + lasted for _, first, lasted in spans)
    scale = (RIGHT - LEFT) / end
    bottom = TOP + ROW * len(spans)
    picture = Picture(960, bottom + 92, "A failover as a timeline: which target was asked when, and what came of it")
    picture.text(24, 36, "One call, from its trail", "title")
    picture.text(24, 58, "reply.attempts of a stream through a chain of targets on one machine", "small soft")
    step = next(each for each in (50, 100, 200, 500, 1000) if end / each <= 8)
    for moment in range(0, int(end) + 1, step):
        picture.rule(LEFT + moment * scale, TOP - 12, bottom)
        picture.text(LEFT + moment * scale, bottom + 18, f"{moment} ms", "small soft", anchor="middle")
    for number, (attempt, first, lasted) in enumerate(spans):
        _attempt(picture, attempt, LEFT + first * scale, max(lasted * scale, 2), TOP + ROW * number)
    answered, first, _ = spans[-1]
    word = LEFT + (first + (answered.ttft_ms or 0)) * scale
    picture.text(24, bottom + 58, "the caller", "code")
    picture.box(LEFT, bottom + 44, word - LEFT, BAR, "wait-box")
    picture.box(word, bottom + 44, RIGHT - word, BAR, "good-box")
    picture.text(LEFT + 8, bottom + 59, "waits, and sees nothing of it", "small")
    picture.text(RIGHT, bottom + 82, f"reads “{reply.text}”", "small soft", anchor="end")
    return picture


def _attempt(picture: Picture, attempt: Attempt, start: float, width: float, top: float) -> None:
    """One line: whom it asked and why, how long it took, and beside that what came of it."""
    kind = "good-box" if attempt.ok else "wait-box" if attempt.status is None else "bad-box"
    picture.text(24, top + 12, attempt.target, "code")
    picture.text(24, top + 27, attempt.kind, "small soft")
    picture.box(start, top, width, BAR, kind)
    said = "answers" if attempt.ok else f"{attempt.error} {attempt.status or ''}".strip()
    if start + width > (LEFT + RIGHT) * 0.7:
        picture.text(start - 8, top + 15, said, "small", anchor="end")
    else:
        picture.text(start + width + 8, top + 15, said, "small")
