"""
What a client of Anthropic's Messages asks, in neutral words.

Facts: Anthropic's Python SDK 2.12.0 (types of the request), checked 2026-11-27.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from llmswitch._errors import InvalidRequest
from llmswitch._messages import Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._request import ChatOptions, ReasoningLevel
from llmswitch._tools import Tool

from ._door import Asked
from ._envelope import Envelopes
from ._fields import Fields, objects, refuse
from ._ledger import restore

__all__ = ["read_count", "read_request"]

_EFFORTS: Mapping[str, ReasoningLevel] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def read_request(body: Any, envelopes: Envelopes) -> Asked:
    """The request. Raises `InvalidRequest` that names the field which can't be asked here."""
    fields = Fields(body)
    model, most = fields.need("model", str), fields.need("max_tokens", int)
    asked = _input(fields, model, envelopes)
    options = asked.options
    options["max_tokens"] = most
    temperature, top_p = fields.take("temperature", int, float), fields.take("top_p", int, float)
    if temperature is not None:
        options["temperature"] = temperature
    if top_p is not None:
        options["top_p"] = top_p
    stop = fields.take("stop_sequences", list)
    if stop:
        options["stop"] = stop
    asked.stream = bool(fields.take("stream", bool))
    tier = fields.take("service_tier", str)
    if tier not in (None, "auto"):
        refuse("service_tier", "can't be chosen here; leave it out")
    fields.ignore("metadata", "cache_control")
    fields.done()
    return asked


def read_count(body: Any, envelopes: Envelopes) -> Asked:
    """A request whose tokens are to be counted: what a model would read, and no word of the answer. Raises the same."""
    fields = Fields(body)
    asked = _input(fields, fields.need("model", str), envelopes)
    fields.ignore("cache_control")
    fields.done("is no field of a count; leave it out")
    return asked


def _input(fields: Fields, model: str, envelopes: Envelopes) -> Asked:
    """What a model reads: the conversation, the tools, the form of the answer."""
    options: ChatOptions = {}
    messages = _system(fields.take("system"))
    for turn, where in objects(fields.need("messages"), "messages"):
        messages += _turn(turn, where, envelopes)
    if not messages or messages[-1].role == "system":
        refuse("messages", "at least one is required")
    if messages[-1].role == "assistant":
        options["prefill"] = True
    _tools(fields, options)
    _output(fields, options)
    return Asked(model, messages, options)


def _system(value: object) -> list[Message]:
    if not value:
        return []
    if isinstance(value, str):
        return [Message("system", value)]
    return [Message("system", [_text(block, where) for block, where in objects(value, "system")])]


def _text(block: Fields, where: str) -> Text:
    if block.need("type", str) != "text":
        refuse(f"{where}.type", "must be text here")
    text = Text(block.need("text", str))
    block.ignore("cache_control", "citations", "parsed_output")
    block.done()
    return text


def _turn(turn: Fields, where: str, envelopes: Envelopes) -> list[Message]:
    """One turn as neutral messages: tool results are a message of their own, before what the user says beside them."""
    role, content = turn.need("role", str), turn.need("content", str, list)
    turn.done("is no field of a message")
    if role not in ("user", "assistant", "system"):
        refuse(f"{where}.role", "must be user, assistant or system")
    if isinstance(content, str):
        return [Message(role, content)]
    carried: list[str] = []
    parts: list[Part] = []
    for block, place in objects(content, f"{where}.content"):
        part = _block(block, place, role, carried)
        if part is not None:
            parts.append(part)
    if role == "assistant":
        return [Message("assistant", restore(parts, carried, envelopes))]
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others = [part for part in parts if not isinstance(part, ToolResult)]
    found = [Message("tool", results)] if results else []
    return [*found, Message(role, others)] if others or not results else found  # type: ignore[arg-type]


_KINDS = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    "system": ("text",),
}


def _block(block: Fields, where: str, role: str, carried: list[str]) -> Part | None:
    """One block; envelopes that stand in it are put aside."""
    kind = block.need("type", str)
    if kind not in _KINDS[role]:
        refuse(f"{where}.type", f"{kind[:64]!r} can't be read in a message of the role {role}")
    block.ignore("cache_control")
    part: Part | None = None
    match kind:
        case "text":
            part = Text(block.need("text", str))
            block.ignore("citations", "parsed_output")
        case "image":
            part = _blob(Image, block.need("source", dict), f"{where}.source")
        case "document":
            part = _document(block, where)
        case "thinking":
            carried += filter(None, [block.take("signature", str)])
            part = Reasoning(block.need("thinking", str))
        case "redacted_thinking":
            carried.append(block.need("data", str))
        case "tool_use":
            part = ToolCall(block.need("id", str), block.need("name", str), block.need("input", dict))
            block.ignore("caller")
        case "tool_result":
            part = _result(block, where)
    block.done("is no field that this block can have here")
    return part


def _result(block: Fields, where: str) -> ToolResult:
    content = block.take("content", str, list)
    if isinstance(content, list):
        content = [_result_part(inner, place) for inner, place in objects(content, f"{where}.content")]
    failed = bool(block.take("is_error", bool))
    return ToolResult(block.need("tool_use_id", str), content or "", is_error=failed)


def _result_part(block: Fields, where: str) -> Text | Image | Document:
    part = _block(block, where, "user", [])
    if not isinstance(part, (Text, Image, Document)):
        refuse(f"{where}.type", "can't stand in a tool_result")
    return part


def _document(block: Fields, where: str) -> Document:
    part = _blob(Document, block.need("source", dict), f"{where}.source")
    assert isinstance(part, Document)
    part.name = block.take("title", str)
    citations = block.take("citations", dict)
    if citations and citations.get("enabled"):
        refuse(f"{where}.citations", "can't be asked for here; leave it out")
    return part


def _blob(kind: type[Image | Document], value: object, where: str) -> Image | Document:
    source = Fields(value, where)
    form = source.need("type", str)
    try:
        match form:
            case "base64":
                part = kind(data=source.need("data", str), media_type=source.need("media_type", str))
            case "url":
                part = kind(url=source.need("url", str))
            case "text" if kind is Document:
                data = base64.b64encode(source.need("data", str).encode()).decode("ascii")
                part = kind(data=data, media_type=source.take("media_type", str) or "text/plain")
            case _:
                refuse(f"{where}.type", "must be base64 or url: files that are kept elsewhere can't be read here")
    except InvalidRequest as problem:
        field = problem.field or ""
        if field.startswith(where):
            raise
        refuse(where, problem.message)
    source.done("is no field of this source")
    return part


def _tools(fields: Fields, options: ChatOptions) -> None:
    tools = fields.take("tools", list)
    if tools:
        options["tools"] = [_tool(tool, where) for tool, where in objects(tools, "tools")]
    given = fields.take("tool_choice", dict)
    if given is None:
        return
    choice = Fields(given, "tool_choice")
    kind = choice.need("type", str)
    known = {"auto": "auto", "any": "required", "none": "none", "tool": ""}
    if kind not in known:
        refuse("tool_choice.type", "must be auto, any, tool or none")
    name = choice.need("name", str) if kind == "tool" else known[kind]
    if choice.take("disable_parallel_tool_use", bool):
        options["parallel_tool_calls"] = False
    choice.done("is no field of a choice")
    if tools or kind not in ("auto", "none"):  # without tools these two change nothing
        options["tool_choice"] = name


def _tool(tool: Fields, where: str) -> Tool:
    kind = tool.take("type", str)
    if kind not in (None, "custom"):
        refuse(
            f"{where}.type", f"{kind[:64]!r} is a tool that the vendor runs; only tools of your own can be offered here"
        )
    made = Tool(tool.need("name", str), tool.take("description", str) or "", tool.need("input_schema", dict))
    tool.ignore("cache_control", "strict", "eager_input_streaming", "input_examples")
    tool.done("can't be said of a tool here; leave it out")
    return made


def _output(fields: Fields, options: ChatOptions) -> None:
    """The form of the answer, and how much thinking goes before it."""
    config = Fields(fields.take("output_config", dict) or {}, "output_config")
    effort = config.take("effort", str)
    if effort is not None and effort not in _EFFORTS:
        refuse("output_config.effort", f"must be one of {', '.join(_EFFORTS)}")
    forms = [
        (config.take("format", dict), "output_config.format"),
        (fields.take("output_format", dict), "output_format"),
    ]
    config.done()
    for value, where in forms:
        if value is not None:
            form = Fields(value, where)
            if form.need("type", str) != "json_schema":
                refuse(f"{where}.type", "must be json_schema")
            options["response_format"] = form.need("schema", dict)
            form.done("is no field of a form")
    level = _thinking(fields.take("thinking", dict), effort)
    if level is not None:
        options["reasoning"] = level


def _thinking(value: object, effort: str | None) -> ReasoningLevel | None:
    if value is None:
        return _EFFORTS[effort] if effort else None
    thinking = Fields(value, "thinking")
    kind = thinking.need("type", str)
    budget = thinking.take("budget_tokens", int)
    thinking.ignore("display")
    thinking.done()
    off: Literal["off"] = "off"
    match kind:
        case "disabled":
            return off
        case "adaptive":
            return _EFFORTS[effort or "high"]  # the default of most models (documentation, 2026-11-23)
        case "enabled" if isinstance(budget, int):
            return budget
    return refuse("thinking", "must be disabled, adaptive, or enabled with budget_tokens")
