"""One request on its way through a door: which door, what is asked of whom, and what is said where that can't be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmswitch._base_client import BaseClient
from llmswitch._errors import InvalidRequest, LLMSwitchError, OutputInvalid
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._reply import ChatReply

from ._door import Asked, Door
from ._failures import failure, headers_of, status_of, trail_of
from .chat_completions import ChatCompletionsDoor
from .counting import PATH as COUNT
from .messages import MessagesDoor
from .responses import ResponsesDoor

__all__ = [
    "DOORS",
    "SESSION_HEADER",
    "Answer",
    "asked_at",
    "counts_at",
    "despite_its_form",
    "door_at",
    "listed",
    "no_door",
    "read_json",
    "refused",
    "whole",
]

SESSION_HEADER = "x-llmswitch-session"
_MESSAGES = MessagesDoor()
DOORS: tuple[Door, ...] = (ChatCompletionsDoor(), ResponsesDoor(), _MESSAGES)


@dataclass(slots=True, frozen=True)
class Answer:
    """A whole answer as HTTP says it."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def door_at(path: str) -> Door | None:
    """The door at the end of that path. The messages of a thread are none: their vendor keeps them."""
    if "/threads/" in path:
        return None
    return next((door for door in DOORS if path.rstrip("/").endswith(door.path)), None)


def counts_at(path: str) -> MessagesDoor | None:
    """The door in whose words tokens are counted at that path."""
    return _MESSAGES if path.rstrip("/").endswith(COUNT) else None


def asked_at(
    read: Callable[[Any], Asked], body: bytes, client: BaseClient, timeout: float | None, session: str | None = None
) -> tuple[Asked, dict[str, Any]]:
    """
    What is asked, as a door reads it, and the options of the call. `timeout`: seconds that the SDK would wait.
    `session`: what the header of that name says, before anything that the request says of it.

    Raises `InvalidRequest` that names the field, and for a model's name that leads nowhere.
    """
    asked = read(read_json(body))
    options: dict[str, Any] = {**asked.options, "model": client.named(asked.model)}
    if timeout is not None:
        options["timeout"] = timeout
    if session:
        options["session"] = session
    return asked, options


def read_json(body: bytes) -> Any:
    """The body of a request. Raises `InvalidRequest`."""
    try:
        return loads(body)
    except JSONInvalid as problem:
        raise InvalidRequest(f"the body is no JSON: {problem}") from None


def despite_its_form(problem: OutputInvalid) -> ChatReply:
    """The answer that came in another form than was asked for: whoever asked looks at that himself."""
    if problem.reply is None:
        raise problem
    return problem.reply


def whole(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON as an answer."""
    return Answer(status, dumps(dict(body)), {"content-type": "application/json", **(headers or {})})


def refused(door: Door | None, error: LLMSwitchError) -> Answer:
    """An error as the protocol of that door says it."""
    if door is None:
        return whole({"error": failure(error), "llmswitch": trail_of(error)}, status_of(error), headers_of(error))
    refusal = door.refusal(error)
    return whole(refusal.body, refusal.status, refusal.headers)


def no_door(method: str, path: str, closed: str | None = None) -> Answer:
    """What is said of an address that nobody answers at. `closed`: why it is not passed through, where others are."""
    paths = ", ".join(door.path for door in DOORS)
    message = (
        f"llmswitch answers {paths}, {COUNT}, /embeddings and /models; {method} {path[:80]} is none: ask the vendor "
        "by a client of its own for that, or let it pass through by [passthrough] in the configuration"
    )
    if closed is not None:
        message = f"{method} {path[:80]}: {closed}"
    error = {"message": message, "type": "not_implemented", "param": None, "code": "not_implemented"}
    return whole({"type": "error", "error": error}, 501, {"x-should-retry": "false"})


def listed(client: BaseClient) -> Answer:
    """The names that `model=` may be, as a list of models."""
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "llmswitch"} for name in client.names()]
    return whole({"object": "list", "data": models, "has_more": False})
