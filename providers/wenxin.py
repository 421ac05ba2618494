"""
Baidu's older API of ERNIE models (`aip.baidubce.com`, V1): the model in the path, one call of a function in a turn.

Facts, gathered 2026-11-23: qianfan 0.4.12.3, the vendor's Go SDK and documentation. It has no system role, no ids of
calls, and says most failures with the status 200.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmswitch._adapter import Adapter, ErrorFacts, Framing, HTTPRequest
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.strict_turns import Conversation, change_warnings
from llmswitch.providers.wenxin_errors import read_error
from llmswitch.providers.wenxin_messages import build_messages, converse
from llmswitch.providers.wenxin_reply import WenxinDecoder, parse_answer

__all__ = ["ADAPTER", "WenxinAdapter", "WenxinOptions"]


class WenxinOptions(BaseModel):
    """
    How a model, or a copy of the API, departs from it.

    `path`: what stands before the model's own part of the address. `endpoint`: that part, where it is not the model's
    name in lower case. `least`: what is sent for a temperature or top_p below it, since 0 is refused. `filler`: what
    stands for a turn that is missing, and for text that is blank; the reply warns of it (`turn_filled`). `body`: sent
    with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    path: str = "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/"
    endpoint: str | None = None
    least: dict[Literal["temperature", "top_p"], float] = {"temperature": 0.01, "top_p": 0.01}
    filler: Annotated[str, Field(pattern=r"\S")] = "…"
    body: dict[str, Any] = {}


class WenxinAdapter(Adapter):
    """ERNIE, V1. `required` is not among the choices of a tool, and one call comes at a time."""

    framing: ClassVar[Framing] = "sse-lines"
    Options: ClassVar[type[BaseModel]] = WenxinOptions
    wire: ClassVar[str] = "llmswitch.providers.wenxin_wire:WenxinWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "tools": True,
        "tool_choice": ["auto", "none", "named"],
        "json_object": True,
        "settings": ["max_tokens", "temperature", "top_p", "stop"],
        "temperature_max": 1.0,
        "max_stop": 4,
        "max_stop_length": 20,
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        options: WenxinOptions = self.options
        conversation = self._converse(request)
        body: dict[str, Any] = {
            "messages": build_messages(conversation, options),
            **({"system": conversation.system} if conversation.system else {}),
            **options.body,
            **self._settings(request),
            **self.prepare_tools(request),
        }
        if stream:
            body["stream"] = True
        body.update(request.extra.get(self.identity.provider, {}))
        try:
            return HTTPRequest(options.path + (options.endpoint or self.identity.model.lower()), dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _converse(self, request: ChatRequest) -> Conversation:
        try:
            return converse(request, self.options)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        least: Mapping[str, float] = self.options.least
        if request.max_tokens is not None:
            settings["max_output_tokens"] = request.max_tokens
        if request.temperature is not None:
            settings["temperature"] = max(request.temperature, least.get("temperature", 0.0))
        if request.top_p is not None:
            settings["top_p"] = max(request.top_p, least.get("top_p", 0.0))
        if request.stop:
            settings["stop"] = list(request.stop)
        if request.response_format is not None:
            settings["response_format"] = "json_object"
        return settings

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The fields of the body that concern tools; `none` is said by leaving them out."""
        if not request.tools or request.tool_choice == "none":
            return {}
        functions = [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
            for tool in request.tools
        ]
        if request.tool_choice in (None, "auto"):
            return {"functions": functions}
        return {
            "functions": functions,
            "tool_choice": {"type": "function", "function": {"name": request.tool_choice}},
        }

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_answer(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> WenxinDecoder:
        return WenxinDecoder(warnings=list(self._warnings(request)))

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed in the conversation: it has to be said on the reply."""
        target = f"{self.identity.provider}:{self.identity.model}"
        yield from change_warnings(self._converse(request), self.options.filler, target)
        if any(message.name for message in request.messages):
            yield ChatWarning("name_left_out", f"{target}: messages[].name: there is no such field here; left out")

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


ADAPTER = WenxinAdapter
