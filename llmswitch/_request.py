"""One request in neutral form: checked once, then only read, by every target of the chain."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from ._chat_shape import read_messages
from ._errors import InvalidRequest
from ._messages import Message, Reasoning, Text, ToolResult
from ._nearest import nearest

# Loaded by the first call that has tools, or wants a form.
if TYPE_CHECKING:
    from pydantic import BaseModel

    from ._structured import ResponseFormat
    from ._tools import Tool, ToolLike

__all__ = [
    "ChatOptions",
    "ChatRequest",
    "ReasoningLevel",
    "ToolChoice",
    "read_extra",
    "read_session",
    "read_tags",
]

ReasoningLevel: TypeAlias = Literal["off", "low", "medium", "high"] | int
ToolChoice: TypeAlias = str

_LEVELS = ("off", "low", "medium", "high")
_CHOICES = ("auto", "none", "required")


class ChatOptions(TypedDict, total=False):
    """
    What `chat()` and `stream()` take beside the messages. Everything is optional.

    `model`: a chain of the configuration, `provider:model`, or several of these joined by commas.
    `tools`: typed functions or `Tool`s. `tool_choice`: `auto`, `none`, `required` or a tool's name.
    `parallel_tool_calls`: whether several calls may come at once.
    `response_format`: a pydantic model, a JSON schema, or `"json"`; the answer is then in `reply.parsed`.
    `max_tokens`: tokens of the answer, reasoning included. `temperature` (0 to 2), `top_p` (0 to 1), `stop` (strings),
    `seed`: as the vendors mean them. `reasoning`: `off`, `low`, `medium`, `high`, or a budget in tokens.
    `timeout`: seconds for the whole call, all targets together.
    `extra`: fields by provider, `{"NAME": {"field": value}}`, sent as they are to that provider alone.
    `degrade`: where a target lacks something, go on without it and say so in `reply.warnings`, instead of refusing.
    `prefill`: the last message is an unfinished answer (of the role assistant), and the model is to go on with it; the
    reply holds what comes after it.
    `tags`: names of yours (a customer, a job) that budgets may go by.
    `session`: what the call belongs to (a conversation); a chain that is `sticky` asks whom it asked for it before.
    `cache`: whether a kept answer will do, and this one is kept, in place of what the chain says; see `[cache]`.
    """

    model: str | None
    tools: Sequence[ToolLike] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: type[BaseModel] | Mapping[str, Any] | Literal["json"] | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    reasoning: ReasoningLevel | None
    timeout: float | None
    extra: Mapping[str, Mapping[str, Any]] | None
    degrade: bool | None
    prefill: bool | None
    tags: Sequence[str] | None
    session: str | None
    cache: bool | None


@dataclass(slots=True, frozen=True)
class ChatRequest:
    """
    What the caller wants, apart from who answers.

    `tool_choice`: `auto`, `none`, `required`, or the name of a tool. `reasoning`: `off`, `low`, `medium`, `high`, or
    a budget in tokens. `extra`: JSON by provider, sent as it is to that provider alone. `degrade`: where a target
    lacks something, go on without it and say so in `reply.warnings`, instead of refusing. `prefill`: the last message
    is an unfinished answer that the model is to go on with.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning: ReasoningLevel | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    degrade: bool = False
    prefill: bool = False

    @classmethod
    def read(
        cls,
        messages: str | Message | Sequence[Message | Mapping[str, Any]],
        *,
        tools: object = None,
        tool_choice: object = None,
        response_format: object = None,
        stop: object = None,
        extra: object = None,
        prefill: object = None,
        **settings: Any,
    ) -> ChatRequest:
        """From what a caller passed to `chat()` or `stream()`. Raises `InvalidRequest` that names the field."""
        unknown = settings.keys() - _SETTINGS
        if unknown:
            name = min(unknown)
            near = nearest(name, ChatOptions.__annotations__)
            raise InvalidRequest(
                f"there is no option {name!r}"
                + near
                + "; what only one vendor takes goes into extra={'PROVIDER': {…}}",
                field=name,
            )
        read = _tools(tools)
        request = cls(
            messages=tuple(read_messages(messages)),
            tools=read,
            tool_choice=_tool_choice(tool_choice, read),
            response_format=_form(response_format),
            stop=_stop(stop),
            extra=read_extra(extra),
            prefill=_prefill(prefill),
            **settings,
        )
        _check_numbers(request)
        if request.prefill:
            _check_unfinished(request.messages[-1], f"messages[{len(request.messages) - 1}]")
        _check_results(request.messages)
        return request

    def overridden(self, settings: Mapping[str, Any]) -> ChatRequest:
        """The same request with a target's own settings in place of the caller's."""
        return replace(self, **settings) if settings else self

    def __repr__(self) -> str:
        return f"ChatRequest({len(self.messages)} messages, {len(self.tools)} tools)"


def read_tags(value: object) -> tuple[str, ...]:
    """The tags of a call. Raises `InvalidRequest`."""
    if value is None:
        return ()
    tags = (value,) if isinstance(value, str) else value
    if isinstance(tags, (list, tuple)) and all(isinstance(tag, str) and tag for tag in tags):
        return tuple(tags)
    raise InvalidRequest("tags must be a list of names", field="tags")


def read_session(value: object) -> str | None:
    """The session of a call. Raises `InvalidRequest`."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise InvalidRequest("session must be a name of yours that is not empty", field="session")


_SETTINGS = frozenset({"parallel_tool_calls", "max_tokens", "temperature", "top_p", "seed", "reasoning", "degrade"})


def _tools(value: object) -> tuple[Tool, ...]:
    if value is None:
        return ()
    from ._tools import read_tools

    return read_tools(value)


def _form(value: object) -> ResponseFormat | None:
    if value is None:
        return None
    from ._structured import ResponseFormat

    return ResponseFormat.read(value)


def _tool_choice(value: object, tools: tuple[Tool, ...]) -> str | None:
    if value is None:
        return None
    if isinstance(value, Mapping):  # {"type": "function", "function": {"name": …}}
        inner = value.get("function")
        value = inner.get("name") if isinstance(inner, Mapping) else value.get("name")
    names = [tool.name for tool in tools]
    if not tools:
        raise InvalidRequest("tool_choice was given without tools", field="tool_choice")
    if not isinstance(value, str) or (value not in _CHOICES and value not in names):
        raise InvalidRequest(
            f"tool_choice must be {', '.join(_CHOICES)} or the name of a tool ({', '.join(names)})",
            field="tool_choice",
        )
    return value


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence) or not all(isinstance(item, str) and item for item in value):
        raise InvalidRequest("stop must be a string or a list of strings, none of them empty", field="stop")
    return tuple(value)


def read_extra(value: object) -> Mapping[str, Mapping[str, Any]]:
    """The fields by provider. Raises `InvalidRequest`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(item, Mapping) for item in value.values()):
        raise InvalidRequest("extra must be keyed by provider: extra={'NAME': {'field': value}}", field="extra")
    return value


def _prefill(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(
            "prefill must be True or False; the unfinished answer is the last message", field="prefill"
        )
    return bool(value)


def _check_unfinished(message: Message, where: str) -> None:
    """Only text can be gone on with: a tool call is whole, or is none."""
    kinds = {type(part) for part in message.parts}
    unfinished = message.role == "assistant" and kinds <= {Text, Reasoning} and message.text.strip()
    if not unfinished or not isinstance(message.parts[-1], Text):
        raise InvalidRequest(
            f"prefill: {where}, the last one, has to be an assistant message that ends with text, and calls no tool",
            field="prefill",
        )


def _check_numbers(request: ChatRequest) -> None:
    for name in ("max_tokens", "seed"):
        value: object = getattr(request, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InvalidRequest(f"{name} must be a whole number", field=name)
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1", field="max_tokens")
    for name, most in (("temperature", 2.0), ("top_p", 1.0)):
        number: object = getattr(request, name)
        if number is None:
            continue
        if not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number):
            raise InvalidRequest(f"{name} must be a number", field=name)
        if not 0 <= number <= most:
            raise InvalidRequest(f"{name} must be between 0 and {most:g}", field=name)
    reasoning: object = request.reasoning
    budget = isinstance(reasoning, int) and not isinstance(reasoning, bool) and reasoning >= 1
    if reasoning is not None and reasoning not in _LEVELS and not budget:
        levels = ", ".join(_LEVELS)
        raise InvalidRequest(f"reasoning must be {levels}, or a budget in tokens of at least 1", field="reasoning")


def _check_results(messages: Sequence[Message]) -> None:
    """The calls of an assistant message are answered right after it, each once: all vendors refuse it otherwise."""
    unanswered: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            for part in message.parts:
                assert isinstance(part, ToolResult)
                if not unanswered.get(part.tool_call_id):
                    raise InvalidRequest(
                        f"messages[{index}] answers the tool call {part.tool_call_id[:64]!r}, which the assistant "
                        "message before it did not make, or which is answered already",
                        field=f"messages[{index}].tool_call_id",
                    )
                unanswered[part.tool_call_id] -= 1
            continue
        if unanswered:
            _check_answered(unanswered, index)
            unanswered = {}
        if type(message.content) is not str and (calls := message.tool_calls):
            unanswered = Counter(call.id for call in calls)
    _check_answered(unanswered, len(messages))


def _check_answered(unanswered: Mapping[str, int], index: int) -> None:
    """Raises `InvalidRequest` for calls that the messages before this place leave without a result."""
    left = next((call_id for call_id, count in unanswered.items() if count), None)
    if left is not None:
        raise InvalidRequest(
            f"the tool call {left[:64]!r} has no result before messages[{index}]; put a tool message with its result "
            "right after the assistant message that made it (is_error=True where there is none to give)",
            field=f"messages[{index - 1}]",
        )
