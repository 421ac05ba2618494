"""
Cohere's chat API, version 2: a typed stream of its own, settings under names of its own, and no named tool choice.

Facts: Cohere's Python SDK 7.3.1 (types and client), stored pages of its documentation, public issue threads; gathered
2026-11-23 and 2026-11-27. What differs from model to model is an option or a capability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llmswitch._adapter import Adapter, ErrorFacts, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._request import ChatRequest
from llmswitch.providers.cohere_errors import read_error
from llmswitch.providers.cohere_messages import build_messages
from llmswitch.providers.cohere_reply import CohereDecoder, parse_reply
from llmswitch.providers.cohere_schema import held_schema
from llmswitch.providers.json_in_words import json_instruction
from llmswitch.providers.schema_gap import gap_in
from llmswitch.providers.tool_ids import ToolIds

if TYPE_CHECKING:
    from llmswitch._embedding import EmbedRequest, VectorAssembly

__all__ = ["ADAPTER", "CohereAdapter", "CohereOptions"]


class CohereOptions(BaseModel):
    """
    How a model departs from the dialect.

    `reasoning`: by level, what goes into the body. `reasoning_replay`: whether the model's thoughts are sent back to
    it: `omit`, `with_calls` (beside tool calls and nowhere else) or `optional` (all of them). `strict_tools`: every
    call is held to the schema of its tool. `tool_results`: as text, or, where they are JSON objects or lists of them,
    as documents that an answer can cite. `tool_ids`: which ids of tool calls are taken; others are replaced. `body`:
    sent with every request, such as `safety_mode`, `documents` and `citation_options`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    reasoning_replay: Literal["omit", "with_calls", "optional"] = "optional"
    strict_tools: bool = False
    tool_results: Literal["text", "documents"] = "text"
    tool_ids: ToolIds = ToolIds.model_construct()
    body: dict[str, Any] = {}


class CohereAdapter(Adapter):
    """Chat, version 2. There is no switch for parallel calls, and no form beside tools."""

    Options: ClassVar[type[BaseModel]] = CohereOptions
    wire: ClassVar[str] = "llmswitch.providers.cohere_wire:CohereWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "tools": True,
        "tool_choice": ["auto", "none", "required", "named"],
        "json_object": True,
        "json_schema": True,
        "tools_with_schema": False,
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
        "max_stop": 5,
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        try:
            body = self._body(request)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise
        if stream:
            body["stream"] = True
        body.update(request.extra.get(self.identity.provider, {}))
        try:
            return HTTPRequest("/v2/chat", dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        messages = build_messages(request, self.options, self.identity, thinks=self._thinks(request))
        instruction = _instruction(request)
        if instruction:
            messages.insert(0, {"role": "system", "content": instruction})
        settings = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            # what is taken lies between these two (SDK), and 1.0 means no more than 0.99 to a caller
            "p": None if request.top_p is None else min(max(request.top_p, 0.01), 0.99),
            "stop_sequences": list(request.stop) or None,
            "seed": request.seed,
        }
        return {
            "model": self.identity.model,
            "messages": messages,
            **self.options.body,
            **{name: value for name, value in settings.items() if value is not None},
            **self._reasoning(request),
            **self.prepare_tools(request),
            **_response_format(request),
        }

    def _thinks(self, request: ChatRequest) -> bool:
        """Whether the model thinks in this answer: only then it takes thoughts back."""
        able = self.capabilities
        if not able.reasoning:
            return False
        return able.thinks_unasked if request.reasoning is None else request.reasoning != "off"

    def _reasoning(self, request: ChatRequest) -> dict[str, Any]:
        wanted = request.reasoning
        if wanted is None:
            return {}
        if not isinstance(wanted, str):
            return {"thinking": {"type": "enabled", "token_budget": wanted}}
        # `off` needs no word where there is no switch
        return dict(self.options.reasoning.get(wanted, {})) if wanted in self.capabilities.reasoning else {}

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return gap_in(schema, held_schema)

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """
        The fields of the body that concern tools.

        A tool can't be chosen by name, so a choice that names one offers that one alone and demands a call. Raises
        `CapabilityMismatch` for a tool that can't be held to its schema (docs) where that is wanted.
        """
        choice = request.tool_choice
        if not request.tools or (choice == "none" and "required" not in self.capabilities.tool_choice):
            return {}  # what knows no choice is told none by having no tools
        named = choice not in (None, "auto", "none", "required")
        fields: dict[str, Any] = {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        **({"description": tool.description} if tool.description else {}),
                        "parameters": dict(tool.parameters),
                    },
                }
                for tool in request.tools
                if not named or tool.name == choice
            ]
        }
        if self.options.strict_tools:
            for tool in request.tools:
                if tool.parameters.get("properties") and not tool.parameters.get("required"):
                    raise CapabilityMismatch(
                        f"tools: {tool.name} has optional parameters alone; with strict_tools one has to be required"
                    )
            fields["strict_tools"] = True
        if named or choice == "required":
            fields["tool_choice"] = "REQUIRED"
        elif choice == "none":
            fields["tool_choice"] = "NONE"
        return fields

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:  # noqa: ARG002
        return parse_reply(body)

    def decoder(self, request: ChatRequest) -> CohereDecoder:  # noqa: ARG002
        return CohereDecoder()

    def build_embedding(self, request: EmbedRequest) -> HTTPRequest:
        from llmswitch.providers.cohere_embed import build_embedding

        return build_embedding(request, self.identity)

    def parse_embedding(self, body: Any, request: EmbedRequest) -> VectorAssembly:
        from llmswitch.providers.cohere_embed import parse_embedding

        return parse_embedding(body, request)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
        return read_error(status, headers, body)


def _response_format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None:
        return {}
    held = {"json_schema": held_schema(form.schema)} if form.schema is not None else {}
    return {"response_format": {"type": "json_object", **held}}


def _instruction(request: ChatRequest) -> str | None:
    """
    What has to be said in words. Without it the model may write white space without an end, says the vendor, and of a
    schema too.
    """
    form = request.response_format
    return None if form is None else json_instruction(replace(request, response_format=replace(form, schema=None)))


ADAPTER = CohereAdapter
