"""
The Messages dialect: Anthropic's own, and that of servers that copied it.

Facts: Anthropic's Python SDK 2.12.0 (types, client, schema converter), its documentation, and public issue threads,
gathered 2026-11-23. What differs from model to model is an option below, or a capability; there is no `if model ==`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from llmswitch._adapter import Adapter, ErrorFacts, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.anthropic_errors import read_error
from llmswitch.providers.anthropic_limits import Plan, Rules, plan
from llmswitch.providers.anthropic_messages import build_messages
from llmswitch.providers.anthropic_reply import MessagesDecoder, parse_message
from llmswitch.providers.anthropic_schema import closed_schema
from llmswitch.providers.schema_gap import gap_in
from llmswitch.providers.tool_ids import ToolIds
from llmswitch.providers.user_turns import change_warnings

if TYPE_CHECKING:
    from llmswitch._counting import CountAssembly

__all__ = ["ADAPTER", "MessagesAdapter", "MessagesOptions"]


class MessagesOptions(BaseModel):
    """
    How a vendor, or a model, departs from the dialect.

    `path`: where requests go; a `{model}` in it stands for the model, which is then not in the body. `stream_path`: the
    same of streams, where it is another. `default_max_tokens`: the wire requires `max_tokens`; this is sent where the
    caller gives none, and where it cuts the answer, the reply warns of it (`default_max_tokens`). A thinking budget
    comes on top of it, up to the model's `max_output`. `reasoning`: by level, what goes into the body; a
    `budget_tokens` in it is at most half of the caller's `max_tokens`, and the reply warns where it was made smaller
    (`reasoning_cut`). `system_turns`: a system message may stand in the middle of the conversation, between a user's
    turn and the assistant's; without it, and in any other place, its text goes into a user's turn between `<system>`
    tags, and the reply warns of it (`system_in_user_turn`). `user_first`: the first turn has to be the user's; where it
    is not, a note that says so stands before it if the request allows that (`degrade=True`), and the reply warns of it.
    `one_sampling_value`: temperature and top_p are refused together. `tool_ids`: which ids of tool calls are taken;
    others are replaced.
    `body`: sent with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    path: str = "/messages"
    stream_path: str = ""
    default_max_tokens: Annotated[int, Field(ge=1)] = 4096
    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    system_turns: bool = False
    user_first: bool = True
    one_sampling_value: bool = False
    tool_ids: ToolIds = ToolIds(pattern="[a-zA-Z0-9_-]{1,64}", unique="conversation")
    body: dict[str, Any] = {}


class MessagesAdapter(Adapter):
    """Messages. The baseline is what the dialect itself has; there is no seed, no audio and no free JSON mode in it."""

    Options: ClassVar[type[BaseModel]] = MessagesOptions
    wire: ClassVar[str] = "llmswitch.providers.anthropic_wire:MessagesWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "documents": True,
        "audio": False,
        "tool_result_images": True,
        "tools": True,
        "tool_choice": ["auto", "none", "required", "named"],
        "parallel_switch": True,
        "json_object": False,
        "json_schema": True,
        "settings": ["max_tokens", "temperature", "top_p", "stop"],
        "temperature_max": 1.0,
        "prefill": True,
        "thinking_excludes": ["prefill"],  # the documentation of extended thinking; recalled, not read
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        try:
            body = self._body(request)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise
        path = self.options.path
        if stream:
            body["stream"] = True
            path = self.options.stream_path or path
        if "{model}" in path:
            path = path.replace("{model}", quote(body.pop("model"), safe="@"))
        body.update(request.extra.get(self.identity.provider, {}))
        try:
            return HTTPRequest(path, dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def build_count(self, request: ChatRequest) -> HTTPRequest:
        body = {name: value for name, value in self._body(request).items() if name in _COUNTED}
        return HTTPRequest(f"{self.options.path}/count_tokens", dumps(body))

    def parse_count(self, body: Any) -> CountAssembly:
        from llmswitch._counting import read_count

        return read_count(body, "input_tokens")

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        planned = self._plan(request)
        request = planned.request
        conversation = build_messages(request, self.options, self.identity)
        if conversation.prefill and not self.capabilities.prefill:
            raise CapabilityMismatch(
                "messages: the last one is the assistant's, and this model does not go on with an unfinished answer; "
                "end with a user message"
            )
        most = planned.max_tokens or self.options.default_max_tokens
        body: dict[str, Any] = {"model": self.identity.model, "max_tokens": most}
        if conversation.system:
            body["system"] = conversation.system
        body["messages"] = conversation.messages
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        body.update(self.prepare_tools(request))
        for fields in (self.options.body, planned.fields, _output_format(request)):
            for name, value in fields.items():
                # effort and form share one object
                body[name] = {**body.get(name, {}), **value} if isinstance(value, Mapping) else value
        return body

    def _plan(self, request: ChatRequest) -> Plan:
        options = self.options
        rules = Rules(
            options.reasoning,
            options.default_max_tokens,
            lambda settled: build_messages(settled, options, self.identity).lacks_thought,
            options.one_sampling_value,
        )
        return plan(request, rules, self.capabilities, self.identity)

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return gap_in(schema, closed_schema)

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """
        The fields of the body that concern tools. Whether several calls may come stands inside the choice.

        Calls in the conversation are refused without their tools: where none are offered, those are named, and not to
        be called.
        """
        if not request.tools:
            called = dict.fromkeys(call.name for message in request.messages for call in message.tool_calls)
            named = [{"name": name, "input_schema": {"type": "object"}} for name in called]
            return {"tools": named, "tool_choice": {"type": "none"}} if named else {}
        fields: dict[str, Any] = {
            "tools": [
                {
                    "name": tool.name,
                    **({"description": tool.description} if tool.description else {}),
                    "input_schema": dict(tool.parameters),
                }
                for tool in request.tools
            ]
        }
        one_at_a_time = request.parallel_tool_calls is False
        wanted = request.tool_choice or ("auto" if one_at_a_time else None)
        if wanted is not None:
            known = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
            choice: dict[str, Any] = known.get(wanted, {"type": "tool", "name": wanted})
            if one_at_a_time and wanted != "none":
                choice["disable_parallel_tool_use"] = True
            fields["tool_choice"] = choice
        return fields

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_message(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> MessagesDecoder:
        planned = self._plan(request)
        return MessagesDecoder(
            self.identity,
            warnings=[*planned.warnings, *self._warnings(planned.request)],
            default_limit=(planned.max_tokens or self.options.default_max_tokens)
            if request.max_tokens is None
            else None,
        )

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed in the conversation: it has to be said on the reply."""
        return change_warnings(
            request.messages,
            lambda: build_messages(request, self.options, self.identity),
            f"{self.identity.provider}:{self.identity.model}",
        )

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


# What bears on the input, and is taken by the endpoint that counts it (SDK 2.12.0).
_COUNTED = ("model", "system", "messages", "tools", "tool_choice", "thinking", "output_config")


def _output_format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None:
        return {}
    if form.schema is None:
        raise CapabilityMismatch("response_format: this dialect has no JSON mode without a schema")
    return {"output_config": {"format": {"type": "json_schema", "schema": closed_schema(form.schema)}}}


ADAPTER = MessagesAdapter
