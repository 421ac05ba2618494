"""
AWS Bedrock by Converse and ConverseStream: the model stands in the path, and a stream is of binary frames.

Facts, gathered 2026-11-23: botocore 1.44.5 (service model, signer, event stream), the vendor's documentation, public
issue threads; thinking by a budget, 2026-11-27. What differs from model to model is an option or a capability.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from llmswitch._adapter import Adapter, ErrorFacts, Framing, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.anthropic_limits import Plan, Rules, plan
from llmswitch.providers.anthropic_schema import closed_schema
from llmswitch.providers.bedrock_errors import read_error
from llmswitch.providers.bedrock_messages import build_messages
from llmswitch.providers.bedrock_reply import ConverseDecoder, parse_reply
from llmswitch.providers.schema_gap import gap_in
from llmswitch.providers.tool_ids import ToolIds
from llmswitch.providers.user_turns import change_warnings

if TYPE_CHECKING:
    from llmswitch._counting import CountAssembly

__all__ = ["ADAPTER", "ConverseAdapter", "ConverseOptions"]

_OWN = "additionalModelRequestFields"
# What CountTokens takes of a conversation (botocore 1.44.8).
_COUNTED = ("messages", "system", "toolConfig", _OWN)


class ConverseOptions(BaseModel):
    """
    How a model departs from the dialect.

    `reasoning`: by level, what goes into the body. `claude_thinking`: what goes into the model's own fields is in the
    words of Messages, for a number of tokens as well, and has its limits; `default_max_tokens`: the tokens of an answer
    for which a budget leaves room where the caller gives no `max_tokens`. `cache_points`: after which parts of a
    request a point stands up to which the vendor may keep it (`messages`: the last one); `cache_ttl`: for how long.
    `tool_ids`: which ids of tool calls are taken; others are replaced. `body`: sent with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    claude_thinking: bool = False
    default_max_tokens: Annotated[int, Field(ge=1)] = 4096
    cache_points: frozenset[Literal["system", "tools", "messages"]] = frozenset()
    cache_ttl: Literal["5m", "1h"] | None = None
    tool_ids: ToolIds = ToolIds(pattern="[a-zA-Z0-9_.:-]{1,64}", unique="conversation")
    body: dict[str, Any] = {}

    def cache_point(self, place: Literal["system", "tools", "messages"]) -> list[dict[str, Any]]:
        """The block after a part of the request, where one is wanted there."""
        if place not in self.cache_points:
            return []
        ttl = {"ttl": self.cache_ttl} if self.cache_ttl is not None else {}
        return [{"cachePoint": {"type": "default", **ttl}}]


class ConverseAdapter(Adapter):
    """Converse. There is no seed, no switch for parallel calls, no `none` for tools and no JSON without a schema."""

    framing: ClassVar[Framing] = "aws-event-stream"
    Options: ClassVar[type[BaseModel]] = ConverseOptions
    wire: ClassVar[str] = "llmswitch.providers.bedrock_wire:ConverseWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "documents": True,
        "tool_result_images": True,
        "tools": True,
        "tool_choice": ["auto", "required", "named"],
        "json_schema": True,
        "settings": ["max_tokens", "temperature", "top_p", "stop"],
        "temperature_max": 1.0,
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        try:
            body = self._body(request)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise
        body.update(request.extra.get(self.identity.provider, {}))
        return self._request("converse-stream" if stream else "converse", body)

    def _request(self, action: str, body: Mapping[str, Any]) -> HTTPRequest:
        # one segment of the path, so that the colon of an id and the slash of an ARN are encoded
        try:
            return HTTPRequest(f"/model/{quote(self.identity.model, safe='')}/{action}", dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def build_count(self, request: ChatRequest) -> HTTPRequest:
        said = {name: value for name, value in self._body(request).items() if name in _COUNTED}
        return self._request("count-tokens", {"input": {"converse": said}})

    def parse_count(self, body: Any) -> CountAssembly:
        from llmswitch._counting import read_count

        return read_count(body, "inputTokens")

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        planned = self._plan(request)
        request = planned.request
        conversation = build_messages(request, self.options, self.identity)
        body: dict[str, Any] = {"messages": conversation.messages}
        if conversation.system:
            body["system"] = [*conversation.system, *self.options.cache_point("system")]
        settings = {
            "maxTokens": planned.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop) or None,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        body.update({"inferenceConfig": settings} if settings else {})
        body.update(self.prepare_tools(request))
        for fields in (self.options.body, planned.fields, self._form(request)):
            for name, value in fields.items():
                body[name] = {**body.get(name, {}), **value} if isinstance(value, Mapping) else value
        return body

    def _plan(self, request: ChatRequest) -> Plan:
        """The request with what may stand beside thinking, and what the body says of that."""
        options, level = self.options, request.reasoning
        fields = options.reasoning.get(level, {}) if isinstance(level, str) else {}
        if not options.claude_thinking:
            return Plan(request, request.max_tokens, fields, ())
        rules = Rules(
            {level: fields.get(_OWN, {})},
            options.default_max_tokens,
            lambda settled: build_messages(settled, options, self.identity).lacks_thought,
        )
        planned = plan(request, rules, self.capabilities, self.identity)
        beside = {name: value for name, value in fields.items() if name != _OWN}
        return replace(planned, fields={**beside, **({_OWN: planned.fields} if planned.fields else {})})

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return gap_in(schema, closed_schema)

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """
        The field of the body that concerns tools.

        Calls in the conversation are refused without their tools (docs): where none are offered, those are named.
        """
        specs = [
            {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "inputSchema": {"json": dict(tool.parameters)},
            }
            for tool in request.tools
        ] or [{"name": name, "inputSchema": {"json": {"type": "object"}}} for name in _called(request)]
        if not specs:
            return {}
        config: dict[str, Any] = {
            "tools": [*({"toolSpec": spec} for spec in specs), *self.options.cache_point("tools")]
        }
        if request.tools and request.tool_choice is not None:
            known: dict[str, Any] = {"auto": {"auto": {}}, "required": {"any": {}}}
            config["toolChoice"] = known.get(request.tool_choice, {"tool": {"name": request.tool_choice}})
        return {"toolConfig": config}

    def _form(self, request: ChatRequest) -> dict[str, Any]:
        form = request.response_format
        if form is None:
            return {}
        if form.schema is None:
            raise CapabilityMismatch("response_format: this dialect has no JSON mode without a schema")
        schema = dumps(closed_schema(form.schema)).decode()  # as text (docs)
        return {
            "outputConfig": {
                "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "answer"}}}
            }
        }

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_reply(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> ConverseDecoder:
        planned = self._plan(request)
        return ConverseDecoder(
            self.identity,
            warnings=[*planned.warnings, *self._warnings(planned.request)],
            default_limit=planned.max_tokens if request.max_tokens is None else None,
        )

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed in the conversation: it has to be said on the reply."""
        return change_warnings(
            request.messages,
            lambda: build_messages(request, self.options, self.identity),
            f"{self.identity.provider}:{self.identity.model}",
        )

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
        return read_error(status, headers, body)


def _called(request: ChatRequest) -> list[str]:
    return list(dict.fromkeys(call.name for message in request.messages for call in message.tool_calls))


ADAPTER = ConverseAdapter
