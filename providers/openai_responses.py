"""
The Responses dialect: OpenAI's own, that of its copies, and Perplexity's Agent API with its departures as data.

Facts, gathered 2026-11-23: OpenAI's Python SDK 3.54.0 and Perplexity's 0.46.1 (types and clients), public issue
threads. What a vendor departs in is an option below; there is no `if vendor ==` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llmswitch._adapter import Adapter, ErrorFacts, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.openai_errors import read_error
from llmswitch.providers.openai_responses_items import build_input
from llmswitch.providers.openai_responses_reply import ResponsesDecoder, parse_response
from llmswitch.providers.openai_schema import strict_gap, strict_schema
from llmswitch.providers.tool_ids import ToolIds

if TYPE_CHECKING:
    from llmswitch._counting import CountAssembly

__all__ = ["ADAPTER", "ResponsesAdapter", "ResponsesOptions"]

# What Chat Completions has and Responses has not (SDK 3.54.0); the rest of `extra` goes as it is.
_ABSENT = ("frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "seed", "stop")
# What bears on the input, and is taken by the endpoint that counts it (SDK 3.54.0).
_COUNTED = ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning")
# Fields of Chat Completions that stand elsewhere here.
_MOVED = {"verbosity": ("text", "verbosity"), "reasoning_effort": ("reasoning", "effort")}


class ResponsesOptions(BaseModel):
    """
    How a vendor departs from the dialect.

    `instructions`: system messages at the front go into the field of that name; otherwise they are items. `store`:
    whether the vendor keeps the answer. `include`: what a model that thinks is asked to send along. `summary`: how a
    model that is told to think sums its thoughts up; nothing asks for none. `least_output`: the least limit of output
    that is taken, which stands for what is below. `reasoning`: by level, what goes into the field of that name. `form`:
    the field for the form of an answer. `strict_schema`: whether schemas are marked as strict or not, and strict where
    they are in the subset. `joined_text`: the texts of a message are sent as one string. `image_detail`: what is said
    of a picture where the caller says nothing. `replay`: items that only the vendor understands are sent back.
    `thought_ids`: they go back with their ids, which most who keep nothing look for in vain. `result_fields`: what a
    tool's result repeats of its call. `tool_ids`: which ids of tool calls are taken; others are replaced. `body`: sent
    with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    path: str = "/responses"
    instructions: bool = True
    store: bool = False
    include: tuple[str, ...] = ("reasoning.encrypted_content",)
    summary: Literal["auto", "concise", "detailed", ""] = "auto"
    least_output: int = 0
    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {
        "off": {"effort": "none"},
        "low": {"effort": "low"},
        "medium": {"effort": "medium"},
        "high": {"effort": "high"},
    }
    form: Literal["text", "response_format"] = "text"
    strict_schema: bool = True
    joined_text: bool = False
    image_detail: Literal["auto", "low", "high", ""] = "auto"
    replay: bool = True
    thought_ids: bool = False
    result_fields: tuple[Literal["name", "thought_signature"], ...] = ()
    # "Expected a string with maximum length 64": decolua/9router#393 (2026-03), hermes-agent#73538 (2026-07).
    tool_ids: ToolIds = ToolIds(pattern="(?s).{1,64}", unique="conversation")
    body: dict[str, Any] = {}


class ResponsesAdapter(Adapter):
    """Responses. There are no stop words, no seed, no penalties and one answer alone."""

    author: ClassVar[str] = "openai"
    # the first two events hold the request's instructions and tools again, and hosted tools say much while they work
    preamble_bytes: ClassVar[int] = 16 * 1024 * 1024
    preamble_events: ClassVar[int] = 4096
    Options: ClassVar[type[BaseModel]] = ResponsesOptions
    wire: ClassVar[str] = "llmswitch.providers.openai_responses_wire:ResponsesWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "documents": False,
        "audio": False,
        "tool_result_images": False,
        "tools": True,
        "tool_choice": ["auto", "none", "required", "named"],
        "parallel_switch": True,
        "json_object": True,
        "json_schema": True,
        "settings": ["max_tokens", "temperature", "top_p"],
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        return self._request("", self._body(request, stream=stream))

    def build_count(self, request: ChatRequest) -> HTTPRequest:
        body = self._body(request, stream=False)
        return self._request("/input_tokens", {name: value for name, value in body.items() if name in _COUNTED})

    def parse_count(self, body: Any) -> CountAssembly:
        from llmswitch._counting import read_count

        return read_count(body, "input_tokens")

    def _request(self, way: str, body: Mapping[str, Any]) -> HTTPRequest:
        try:
            return HTTPRequest(f"{self.options.path}{way}", dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _body(self, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
        options: ResponsesOptions = self.options
        extra = self._extra(request)
        said = build_input(request, options, self.identity)
        body: dict[str, Any] = {"model": self.identity.model, "input": said.items}
        if said.instructions:
            body["instructions"] = said.instructions
        body.update({"store": options.store, **options.body, **self._settings(request)})
        body.update(self.prepare_tools(request))
        if stream:
            body["stream"] = True
        for fields in (self._form(request), extra):
            for name, value in fields.items():
                body[name] = _joined(body.get(name), value) if name in ("text", "reasoning", "tools") else value
        return body

    def _extra(self, request: ChatRequest) -> dict[str, Any]:
        """The caller's own fields, in their places here. Raises `CapabilityMismatch` for what has none."""
        given = request.extra.get(self.identity.provider, {})
        absent = [f"extra.{name}" for name in _ABSENT if name in given]
        absent += [name for name in ("stop", "seed") if getattr(request, name) not in (None, ())]
        if absent:
            raise CapabilityMismatch(
                f'{", ".join(absent)}: the Responses API has no such field; a target with dialect = "openai" has it, '
                "where the vendor speaks Chat Completions"
            )
        out = {name: value for name, value in given.items() if name not in _MOVED}
        for name, (place, field) in _MOVED.items():
            if name in given:
                out[place] = {field: given[name], **out.get(place, {})}
        return out

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        options: ResponsesOptions = self.options
        limit = request.max_tokens
        settings = {
            "max_output_tokens": None if limit is None else max(limit, options.least_output),
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        body: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
        level = request.reasoning
        if isinstance(level, int):
            raise CapabilityMismatch("reasoning: this dialect knows levels, and no budget in tokens")
        if level is not None and level in self.capabilities.reasoning:  # `off` needs no word where there is no switch
            summary = {"summary": options.summary} if options.summary and level != "off" else {}
            body["reasoning"] = {**options.reasoning.get(level, {}), **summary}
        thinks = self.capabilities.thinks_unasked if level is None else level != "off"
        if thinks and options.include:  # a model that does not think refuses it (software-agent-sdk#1208, 2025-11)
            body["include"] = list(options.include)
        return body

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return strict_gap(schema) if self.options.strict_schema else None

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The fields of the body that concern tools; `none` is said by leaving the tools out where it can't be said."""
        choice = request.tool_choice
        sayable = "required" in self.capabilities.tool_choice
        if not request.tools or (choice == "none" and not sayable):
            return {}
        fields: dict[str, Any] = {
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    **({"description": tool.description} if tool.description else {}),
                    **self._parameters(tool.parameters),
                }
                for tool in request.tools
            ]
        }
        if choice is not None and sayable:
            named = choice not in ("auto", "none", "required")
            fields["tool_choice"] = {"type": "function", "name": choice} if named else choice
        if request.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
        return fields

    def _parameters(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Strict where that asks for nothing more; what is not marked is taken for strict (SDK; unsure)."""
        if not self.options.strict_schema:
            return {"parameters": dict(schema)}
        strict = strict_schema(schema) if schema.get("type") == "object" and _demands_all(schema) else None
        return {"parameters": dict(schema) if strict is None else strict, "strict": strict is not None}

    def _form(self, request: ChatRequest) -> dict[str, Any]:
        form = request.response_format
        if form is None:
            return {}
        if form.schema is None:
            return {"text": {"format": {"type": "json_object"}}}
        strict = strict_schema(form.schema) if self.options.strict_schema else None
        schema: dict[str, Any] = {"name": form.name, "schema": dict(form.schema) if strict is None else strict}
        if self.options.strict_schema:
            schema["strict"] = strict is not None
        if self.options.form == "response_format":
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        return {"text": {"format": {"type": "json_schema", **schema}}}

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_response(body, self.identity, list(self._warnings(request)))

    def decoder(self, request: ChatRequest) -> ResponsesDecoder:
        return ResponsesDecoder(self.identity, warnings=list(self._warnings(request)))

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed in the request: it has to be said on the reply."""
        target, least = f"{self.identity.provider}:{self.identity.model}", self.options.least_output
        if any(message.name for message in request.messages):
            yield ChatWarning("name_left_out", f"{target}: messages[].name: there is no such field here; left out")
        if request.max_tokens is not None and request.max_tokens < least:
            yield ChatWarning("max_tokens_raised", f"{target}: max_tokens: at least {least} here; {least} was sent")

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


def _joined(before: Any, value: Any) -> Any:
    """What stands in a field beside what was there: the verbosity beside the form, hosted tools beside the caller's."""
    if isinstance(before, Mapping) and isinstance(value, Mapping):
        return {**before, **value}
    return [*before, *value] if isinstance(before, list) and isinstance(value, list) else value


def _demands_all(schema: Any) -> bool:
    """Whether every property of every object is required already: strict mode makes it so, which may change much."""
    if isinstance(schema, list):
        return all(_demands_all(member) for member in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and set(properties) != set(schema.get("required") or ()):
        return False
    return all(_demands_all(value) for value in schema.values())


ADAPTER = ResponsesAdapter
