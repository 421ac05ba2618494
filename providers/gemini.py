"""
Google's Gemini by generateContent and streamGenerateContent: the model is in the path, and a stream has no last word.

Facts, gathered 2026-11-23: google-genai 3.4.0 (types, converters, client), the vendor's documentation, public issue
threads. What differs from model to model is an option or a capability.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from llmswitch._adapter import Adapter, ErrorFacts, Framing, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.gemini_errors import read_error
from llmswitch.providers.gemini_messages import build_messages
from llmswitch.providers.gemini_reply import GeminiDecoder, parse_reply
from llmswitch.providers.gemini_schema import lowered_schema
from llmswitch.providers.schema_gap import gap_in
from llmswitch.providers.user_turns import change_warnings

if TYPE_CHECKING:
    from llmswitch._counting import CountAssembly
    from llmswitch._embedding import EmbedRequest, VectorAssembly

__all__ = ["ADAPTER", "GeminiAdapter", "GeminiOptions"]

# What is counted of a request (the vendor's documentation of countTokens; google-genai 3.4.0 for Vertex).
_COUNTED = ("contents", "systemInstruction", "tools")
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")


class GeminiOptions(BaseModel):
    """
    How a model departs from the dialect.

    `reasoning`: by level, what goes into `thinkingConfig`. `signature_stand_in`: what a call bears that this model did
    not sign; nothing where it takes calls without a signature. `web_urls`: whether files are fetched from the web.
    `user_first`: whether a first turn of the assistant's is refused. `max_output_whole`: the most tokens of an answer
    that is not streamed. `counts_requests`: a request whose tokens are to be counted stands in a field of its own.
    `body`: sent with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    signature_stand_in: str = ""
    web_urls: bool = True
    user_first: bool = True
    max_output_whole: int | None = None
    counts_requests: bool = True
    body: dict[str, Any] = {}


class GeminiAdapter(Adapter):
    """generateContent. There is no switch for parallel calls, and an unfinished answer is not gone on with."""

    framing: ClassVar[Framing] = "sse-json"
    Options: ClassVar[type[BaseModel]] = GeminiOptions
    wire: ClassVar[str] = "llmswitch.providers.gemini_wire:GeminiWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "documents": True,
        "audio": True,
        "tools": True,
        "tool_choice": ["auto", "none", "required", "named"],
        "json_object": True,
        "json_schema": True,
        "schema_root": "any",
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
        "max_stop": 5,
        "token_counting": True,
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        try:
            body = self._body(request, stream=stream)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise
        _merge(body, request.extra.get(self.identity.provider, {}))
        return self._request("streamGenerateContent?alt=sse" if stream else "generateContent", body)

    def _request(self, way: str, body: Mapping[str, Any]) -> HTTPRequest:
        try:
            return HTTPRequest(f"/models/{quote(self.identity.model, safe='')}:{way}", dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _body(self, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
        conversation = build_messages(request, self.options, self.identity)
        body: dict[str, Any] = {"contents": conversation.contents}
        if conversation.system:
            body["systemInstruction"] = {"parts": list(conversation.system)}
        body.update(self.prepare_tools(request))
        config = {**self._settings(request, stream=stream), **self._thinking(request), **_form(request)}
        if config:
            body["generationConfig"] = config
        if conversation.paused is not None:
            body["continuationToken"] = conversation.paused
        _merge(body, self.options.body)
        return body

    def _settings(self, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
        most = self.options.max_output_whole
        if not stream and most is not None and (request.max_tokens or 0) > most:
            raise CapabilityMismatch(f"max_tokens: at most {most} here, unless the answer is streamed")
        settings = {
            "maxOutputTokens": request.max_tokens,
            "temperature": request.temperature,
            "topP": request.top_p,
            "stopSequences": list(request.stop) or None,
            "seed": request.seed,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _thinking(self, request: ChatRequest) -> dict[str, Any]:
        wanted = request.reasoning
        if isinstance(wanted, int):
            return {"thinkingConfig": {"thinkingBudget": wanted, "includeThoughts": True}}
        config = self.options.reasoning.get(wanted) if wanted is not None else None
        return {"thinkingConfig": dict(config)} if config else {}

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return gap_in(schema, lambda each: lowered_schema(each, "response_format"))

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The fields of the body that concern tools. Raises `CapabilityMismatch` for a name that is refused."""
        if not request.tools:
            return {}
        declared = []
        for tool in request.tools:
            if not _TOOL_NAME.fullmatch(tool.name):
                raise CapabilityMismatch(f"tools.{tool.name}: here a name begins with a letter or with _")
            schema = lowered_schema(tool.parameters, f"tools.{tool.name}.parameters")
            words = {"description": tool.description} if tool.description else {}
            declared.append({"name": tool.name, **words, "parametersJsonSchema": schema})
        fields: dict[str, Any] = {"tools": [{"functionDeclarations": declared}]}
        choice = request.tool_choice
        if choice is not None:
            mode = {"auto": "AUTO", "none": "NONE"}.get(choice, "ANY")
            only = {} if choice in ("auto", "none", "required") else {"allowedFunctionNames": [choice]}
            fields["toolConfig"] = {"functionCallingConfig": {"mode": mode, **only}}
        return fields

    def build_count(self, request: ChatRequest) -> HTTPRequest:
        said = {name: value for name, value in self._body(request, stream=True).items() if name in _COUNTED}
        if self.options.counts_requests:
            said = {"generateContentRequest": {"model": f"models/{self.identity.model}", **said}}
        return self._request("countTokens", said)

    def parse_count(self, body: Any) -> CountAssembly:
        from llmswitch._counting import read_count

        return read_count(body, "totalTokens")

    def build_embedding(self, request: EmbedRequest) -> HTTPRequest:
        from llmswitch.providers.gemini_embed import embedding_body

        return self._request("batchEmbedContents", embedding_body(request, self.identity))

    def parse_embedding(self, body: Any, request: EmbedRequest) -> VectorAssembly:
        from llmswitch.providers.gemini_embed import parse_embedding

        return parse_embedding(body, request)

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_reply(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> GeminiDecoder:
        return GeminiDecoder(self.identity, warnings=list(self._warnings(request)))

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed in the conversation: it has to be said on the reply."""
        return change_warnings(
            request.messages,
            lambda: build_messages(request, self.options, self.identity),
            f"{self.identity.provider}:{self.identity.model}",
        )

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


def _form(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None:
        return {}
    kind: dict[str, Any] = {"responseMimeType": "application/json"}
    if form.schema is not None:
        kind["responseJsonSchema"] = lowered_schema(form.schema, "response_format")
    return kind


def _merge(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Add fields; what is an object on both sides has the fields of both."""
    for name, value in fields.items():
        both = isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
        body[name] = {**body[name], **value} if both else value


ADAPTER = GeminiAdapter
