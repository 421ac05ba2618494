"""
What a client of OpenAI's Responses asks, in neutral words.

Facts: OpenAI's Python SDK 3.54.0 (types of the request), checked 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._request import ChatOptions
from llmswitch._tools import Tool

from ._door import Asked
from ._envelope import Envelopes
from ._fields import Fields, objects, refuse
from ._settings import read_choice, read_effort, read_form, read_sampling, read_session
from .responses_input import read_input

__all__ = ["read_request"]

_KEPT = "nothing is kept here between two requests; send the whole conversation as input"
# The field, and the values that ask for nothing which a target would have to do.
_IDLE: Mapping[str, tuple[Any, ...]] = {
    "background": (False,),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "top_logprobs": (0,),
}
_ECHOED = ("instructions", "max_output_tokens", "metadata", "reasoning", "text", "tools", "tool_choice", "user")
_SETTINGS = ("parallel_tool_calls", "temperature", "top_p")


def read_request(body: Any, envelopes: Envelopes) -> Asked:
    """
    The request. `said` holds the fields that the answer repeats.

    Raises `InvalidRequest` that names the field which can't be asked here.
    """
    fields = Fields(body)
    for name in ("previous_response_id", "conversation"):
        if fields.take(name) is not None:
            refuse(name, _KEPT)
    model = fields.need("model", str)
    options: ChatOptions = {}
    messages = read_input(fields.take("instructions", str), fields.need("input", str, list), envelopes)
    limit = fields.take("max_output_tokens", int)
    if limit is not None:
        options["max_tokens"] = limit
    read_sampling(fields, options)
    _tools(fields, options)
    _output(fields, options)
    stream = bool(fields.take("stream", bool))
    _check_idle(fields)
    fields.ignore("store", "metadata", "user", "safety_identifier", "stream_options")
    read_session(fields, options)
    fields.ignore("prompt_cache_retention", "prompt_cache_options")
    fields.done()
    said = {name: body[name] for name in (*_ECHOED, *_SETTINGS) if body.get(name) is not None}
    if "tools" in said:  # whose answer has fields that a request may leave out
        said["tools"] = [{"description": None, "parameters": None, "strict": None, **tool} for tool in said["tools"]]
    return Asked(model, messages, options, stream, said)


def _check_idle(fields: Fields) -> None:
    for name, idle in _IDLE.items():
        value = fields.take(name)
        if value is not None and value not in idle:
            refuse(name, "can't be said to the targets behind this address; leave it out")
    for index, wanted in enumerate(fields.take("include", list) or []):
        if wanted != "reasoning.encrypted_content":  # which is there anyhow
            refuse(f"include[{index}]", "only reasoning.encrypted_content can be included here")


def _tools(fields: Fields, options: ChatOptions) -> None:
    tools = fields.take("tools", list)
    if tools:
        options["tools"] = [_tool(tool, where) for tool, where in objects(tools, "tools")]
    read_choice(fields, options, lambda choice: str(choice.need("name", str)), offered=bool(tools))


def _tool(tool: Fields, where: str) -> Tool:
    kind = tool.need("type", str)
    if kind != "function":
        refuse(f"{where}.type", f"{kind[:64]!r} is no function; only functions of your own can be offered here")
    schema = tool.take("parameters", dict) or {"type": "object", "properties": {}}
    made = Tool(tool.need("name", str), tool.take("description", str) or "", schema)
    tool.ignore("strict")
    tool.done("can't be said of a tool here; leave it out")
    return made


def _output(fields: Fields, options: ChatOptions) -> None:
    """The form of the answer, and how much thinking goes before it."""
    text = Fields(fields.take("text", dict) or {}, "text")
    if text.take("verbosity", str) not in (None, "medium"):
        refuse("text.verbosity", "can't be said to the targets behind this address; leave it out")
    form = Fields(text.take("format", dict) or {"type": "text"}, "text.format")
    text.done()
    read_form(form, options, lambda form: form)
    reasoning = Fields(fields.take("reasoning", dict) or {}, "reasoning")
    read_effort(reasoning, "effort", options)
    reasoning.ignore("summary", "generate_summary")
    reasoning.done()
