"""
What a client of Chat Completions asks, in neutral words.

Facts: OpenAI's Python SDK 3.54.0 (types of the request), checked 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._chat_shape import read_messages
from llmswitch._messages import Message
from llmswitch._request import ChatOptions
from llmswitch._tools import Tool

from ._door import Asked
from ._envelope import Envelopes
from ._fields import Fields, objects, refuse
from ._ledger import restore
from ._settings import read_choice, read_effort, read_form, read_sampling, read_session

__all__ = ["ENVELOPE", "read_request"]

ENVELOPE = "llmswitch"  # the field of an assistant's message in which its opaque parts travel
# The field, and the values that ask for nothing which a target would have to do.
_IDLE: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
}


def read_request(body: Any, envelopes: Envelopes) -> Asked:
    """
    The request. `said` tells whether usage is wanted in a stream.

    Raises `InvalidRequest` that names the field which can't be asked here.
    """
    fields = Fields(body)
    model = fields.need("model", str)
    messages = _messages(fields.need("messages", list), envelopes)
    options: ChatOptions = {}
    _limits(fields, options)
    _tools(fields, options)
    _form(fields, options)
    for name in ("functions", "function_call"):
        if fields.take(name) is not None:
            refuse(name, "is of an older form; use tools and tool_choice")
    for name, idle in _IDLE.items():
        value = fields.take(name)
        if value is not None and value not in idle:
            refuse(name, "can't be said to the targets behind this address; leave it out")
    stream = bool(fields.take("stream", bool))
    told = Fields(fields.take("stream_options", dict) or {}, "stream_options")
    usage = bool(told.take("include_usage", bool))
    told.ignore("include_obfuscation")
    told.done()
    fields.ignore("store", "metadata", "user", "safety_identifier")
    read_session(fields, options)
    fields.ignore("prompt_cache_retention", "prompt_cache_options")
    fields.done()
    return Asked(model, messages, options, stream, {"include_usage": usage})


def _messages(given: list[Any], envelopes: Envelopes) -> list[Message]:
    """The conversation; results of tools that follow each other are of one turn."""
    carried = [value.get(ENVELOPE) if isinstance(value, Mapping) else None for value in given]
    bare = [_without_echoes(message) if isinstance(message, Mapping) else message for message in given]
    messages: list[Message] = []
    for message, envelope in zip(read_messages(bare), carried, strict=True):
        if isinstance(envelope, str) and message.role == "assistant":
            messages.append(Message("assistant", restore(message.parts, [envelope], envelopes), message.name))
        elif message.role == "tool" and messages and messages[-1].role == "tool":
            messages[-1] = Message("tool", [*messages[-1].parts, *message.parts])
        else:
            messages.append(message)
    return messages


def _without_echoes(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without the envelope, and without what the SDK has made of an answer before it sends it again."""
    said = {name: value for name, value in message.items() if name not in (ENVELOPE, "parsed", "annotations")}
    calls = said.get("tool_calls")
    if isinstance(calls, list):
        said["tool_calls"] = [_without_arguments(call) for call in calls]
    return said


def _without_arguments(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return call
    return {**call, "function": {name: value for name, value in function.items() if name != "parsed_arguments"}}


def _limits(fields: Fields, options: ChatOptions) -> None:
    old, new = fields.take("max_tokens", int), fields.take("max_completion_tokens", int)
    if old is not None and new is not None and old != new:
        refuse("max_tokens", "says something else than max_completion_tokens; give one of them")
    limit = old if new is None else new
    if limit is not None:
        options["max_tokens"] = limit
    read_sampling(fields, options)
    stop, seed = fields.take("stop", str, list), fields.take("seed", int)
    if stop:
        options["stop"] = stop
    if seed is not None:
        options["seed"] = seed
    read_effort(fields, "reasoning_effort", options)


def _tools(fields: Fields, options: ChatOptions) -> None:
    tools = fields.take("tools", list)
    if tools:
        options["tools"] = [_tool(tool, where) for tool, where in objects(tools, "tools")]
    read_choice(fields, options, _named, offered=bool(tools))


def _named(choice: Fields) -> str:
    function = Fields(choice.need("function", dict), "tool_choice.function")
    name: str = function.need("name", str)
    function.done("is no field of a choice")
    return name


def _tool(tool: Fields, where: str) -> Tool:
    kind = tool.need("type", str)
    if kind != "function":
        refuse(f"{where}.type", f"{kind[:64]!r} is no function; only functions of your own can be offered here")
    function = Fields(tool.need("function", dict), f"{where}.function")
    schema = function.take("parameters", dict) or {"type": "object", "properties": {}}
    made = Tool(function.need("name", str), function.take("description", str) or "", schema)
    function.ignore("strict")
    function.done("can't be said of a tool here; leave it out")
    tool.done("can't be said of a tool here; leave it out")
    return made


def _form(fields: Fields, options: ChatOptions) -> None:
    form = Fields(fields.take("response_format", dict) or {"type": "text"}, "response_format")
    read_form(form, options, lambda form: Fields(form.need("json_schema", dict), form.at("json_schema")))
