"""
The native API of Alibaba's DashScope: `input` and `parameters`, a stream that is asked for in a header.

Facts, gathered 2026-11-23: dashscope 2.0.2 (requests, streams), the vendor's documentation. The compatible mode, which
covers ordinary chat, is another dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llmswitch._adapter import Adapter, ErrorFacts, Framing, HTTPRequest
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import InvalidRequest
from llmswitch._json import dumps
from llmswitch._request import ChatRequest
from llmswitch.providers.dashscope_native_errors import read_error
from llmswitch.providers.dashscope_native_messages import build_messages, is_multimodal
from llmswitch.providers.dashscope_native_reply import GenerationDecoder, parse_generation

__all__ = ["ADAPTER", "DashScopeAdapter", "DashScopeOptions"]


_WHOLE = {"accept": "application/json"}


class DashScopeOptions(BaseModel):
    """
    How a model departs from the dialect.

    `path`, `multimodal_path`: where text goes, and where goes what holds images or audio. `multimodal`: which of the
    two is asked: by what is in the request, or always the one or the other. `incremental`: a frame of a stream holds
    what is new; without it, all that came so far, which some models don't give. `least`: what is sent for a top_p below
    it, since 0 is refused. `reasoning`: by level, what goes into the parameters; `reasoning_budget`: the field for a
    budget in tokens. `reasoning_replay`: whether the model's thinking is sent back. `stream_only`: a whole answer is
    asked for as a stream. `parameters`: sent with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    path: str = "/services/aigc/text-generation/generation"
    multimodal_path: str = "/services/aigc/multimodal-generation/generation"
    multimodal: Literal["auto", "always", "never"] = "auto"
    incremental: bool = True
    least: dict[Literal["temperature", "top_p"], float] = {"top_p": 0.01}
    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    reasoning_budget: str | None = "thinking_budget"
    reasoning_replay: Literal["omit", "optional"] = "omit"
    stream_only: bool = False
    parameters: dict[str, Any] = {}


class DashScopeAdapter(Adapter):
    """DashScope, native. `required` is not among the choices of a tool; documents are not taken."""

    framing: ClassVar[Framing] = "sse-lines"
    Options: ClassVar[type[BaseModel]] = DashScopeOptions
    wire: ClassVar[str] = "llmswitch.providers.dashscope_native_wire:DashScopeWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "audio": True,
        "tools": True,
        "tool_choice": ["auto", "none", "named"],
        "parallel_switch": True,
        "json_object": True,
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
        "temperature_max": 1.99,
    }

    def asks_stream(self, *, stream: bool) -> bool:
        return stream or bool(self.options.stream_only)

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        options: DashScopeOptions = self.options
        stream = self.asks_stream(stream=stream)
        parameters: dict[str, Any] = {
            "result_format": "message",
            **options.parameters,
            **self._settings(request),
            **self.prepare_tools(request),
        }
        if stream and options.incremental:
            parameters["incremental_output"] = True
        body: dict[str, Any] = {
            "model": self.identity.model,
            "input": {"messages": build_messages(request, options, self.identity)},
            "parameters": parameters,
        }
        for name, value in request.extra.get(self.identity.provider, {}).items():
            # what a caller adds to the parameters stands beside ours
            both = isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
            body[name] = {**body[name], **value} if both else value
        headers = {"accept": "text/event-stream", "x-dashscope-sse": "enable"} if stream else _WHOLE
        path = options.multimodal_path if is_multimodal(request, options) else options.path
        try:
            return HTTPRequest(path, dumps(body), headers)
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        options: DashScopeOptions = self.options
        settings: dict[str, Any] = {}
        for name in ("temperature", "top_p"):
            value = getattr(request, name)
            if value is not None:
                settings[name] = max(value, options.least.get(name, 0.0))
        for name in ("max_tokens", "seed"):
            value = getattr(request, name)
            if value is not None:
                settings[name] = value
        if request.stop:
            settings["stop"] = request.stop[0] if len(request.stop) == 1 else list(request.stop)
        if isinstance(request.reasoning, str) and request.reasoning in self.capabilities.reasoning:
            settings.update(options.reasoning.get(request.reasoning, {}))
        elif isinstance(request.reasoning, int) and options.reasoning_budget is not None:
            settings.update(options.reasoning.get("high", {}))
            settings[options.reasoning_budget] = request.reasoning
        form = request.response_format
        if form is not None and form.schema is not None:
            schema = {"name": form.name, "schema": dict(form.schema)}
            settings["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form is not None:
            settings["response_format"] = {"type": "json_object"}
        return settings

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The parameters that concern tools."""
        if not request.tools:
            return {}
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
            ]
        }
        if request.tool_choice in ("auto", "none"):
            fields["tool_choice"] = request.tool_choice
        elif request.tool_choice is not None:
            fields["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
        if request.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
        return fields

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:  # noqa: ARG002
        return parse_generation(body)

    def decoder(self, request: ChatRequest) -> GenerationDecoder:  # noqa: ARG002
        return GenerationDecoder(cumulative=not self.options.incremental)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


ADAPTER = DashScopeAdapter
