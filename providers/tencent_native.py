"""
Tencent Cloud's native chat protocol (Hunyuan ChatCompletions): PascalCase, and all else in headers that are signed.

Facts, gathered 2026-11-23: tencentcloud-sdk-python-hunyuan 3.1.180 and -common 3.1.195 (requests, streams, errors), the
vendor's documentation. Hunyuan itself was closed on 2026-09-30; other products of the cloud speak in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmswitch._adapter import Adapter, ErrorFacts, HTTPRequest
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import CapabilityMismatch, InvalidRequest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.strict_turns import Conversation, change_warnings
from llmswitch.providers.tencent_native_errors import read_error
from llmswitch.providers.tencent_native_messages import build_messages, converse
from llmswitch.providers.tencent_native_reply import TencentDecoder, parse_response

__all__ = ["ADAPTER", "TencentAdapter", "TencentOptions"]


class TencentOptions(BaseModel):
    """
    What differs from product to product, and how a model departs from the rest.

    `action`, `version`, `region`, `language`: what the headers say; the last is the language of error messages.
    `reasoning`: by level, what goes into the body. `max_messages`: so many at the most. `max_seed`: seeds go from 1 to
    it. `filler`: what stands for a turn that is missing, and for text that is blank; the reply warns of it
    (`turn_filled`). `body`: sent with every request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    action: str = "ChatCompletions"
    version: str = "2023-09-01"
    region: str | None = None
    language: Literal["zh-CN", "en-US"] | None = "en-US"
    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    max_messages: Annotated[int, Field(ge=1)] = 40
    max_seed: Annotated[int, Field(ge=1)] = 10_000
    filler: Annotated[str, Field(pattern=r"\S")] = "…"
    body: dict[str, Any] = {}


class TencentAdapter(Adapter):
    """ChatCompletions by TC3. There is no limit of tokens in it, no form of an answer, and no `required` tool."""

    Options: ClassVar[type[BaseModel]] = TencentOptions
    wire: ClassVar[str] = "llmswitch.providers.tencent_native_wire:TencentWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "tools": True,
        "tool_choice": ["auto", "none", "named"],
        "settings": ["temperature", "top_p", "stop", "seed"],
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        options: TencentOptions = self.options
        conversation = self._converse(request)
        body: dict[str, Any] = {
            "Model": self.identity.model,
            "Messages": build_messages(conversation, options),
            "Stream": stream,
            **options.body,
            **self._settings(request),
            **self.prepare_tools(request),
        }
        body.update(request.extra.get(self.identity.provider, {}))
        headers = {
            "x-tc-action": options.action,
            "x-tc-version": options.version,
            **({"x-tc-region": options.region} if options.region else {}),
            **({"x-tc-language": options.language} if options.language else {}),
        }
        try:
            return HTTPRequest("/", dumps(body), headers)
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _converse(self, request: ChatRequest) -> Conversation:
        try:
            return converse(request, self.options)
        except CapabilityMismatch as problem:
            problem.provider, problem.model = self.identity.provider, self.identity.model
            raise

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        options: TencentOptions = self.options
        settings: dict[str, Any] = {}
        if request.temperature is not None:
            settings["Temperature"] = request.temperature
        if request.top_p is not None:
            settings["TopP"] = request.top_p
        if request.stop:
            settings["Stop"] = list(request.stop)
        if request.seed is not None:
            if not 1 <= request.seed <= options.max_seed:
                raise CapabilityMismatch(
                    f"seed: from 1 to {options.max_seed} here",
                    provider=self.identity.provider,
                    model=self.identity.model,
                )
            settings["Seed"] = request.seed
        if isinstance(request.reasoning, str) and request.reasoning in self.capabilities.reasoning:
            settings.update(options.reasoning.get(request.reasoning, {}))
        return settings

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The fields of the body that concern tools; parameters are the text of their schema."""
        if not request.tools:
            return {}
        tools = {
            tool.name: {
                "Type": "function",
                "Function": {
                    "Name": tool.name,
                    **({"Description": tool.description} if tool.description else {}),
                    "Parameters": dumps(dict(tool.parameters)).decode(),
                },
            }
            for tool in request.tools
        }
        fields: dict[str, Any] = {"Tools": list(tools.values())}
        if request.tool_choice in ("auto", "none"):
            fields["ToolChoice"] = request.tool_choice
        elif request.tool_choice is not None:
            fields["ToolChoice"] = "custom"
            fields["CustomTool"] = tools[request.tool_choice]
        return fields

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_response(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> TencentDecoder:
        return TencentDecoder(warnings=list(self._warnings(request)))

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        """What `build` changed, and what the vendor means otherwise than the others: it has to be said on the reply."""
        target = f"{self.identity.provider}:{self.identity.model}"
        yield from change_warnings(self._converse(request), self.options.filler, target)
        if request.stop:
            yield ChatWarning("stop_included", f"{target}: the answer ends after the text of stop, not before it")
        if any(message.name for message in request.messages):
            yield ChatWarning("name_left_out", f"{target}: messages[].name: there is no such field here; left out")

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
        facts = read_error(status, body)
        facts.request_id = facts.request_id or headers.get("x-tc-requestid")
        return facts


ADAPTER = TencentAdapter
