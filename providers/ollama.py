"""
Ollama's native API: `POST /api/chat`, whose stream is a line of JSON for each piece.

Facts, gathered 2026-11-23: ollama/ollama source 2026-08-21, the vendor's SDK ollama 0.6.3, public issue threads. The
compatible endpoint of the same server is another dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmswitch._adapter import Adapter, ErrorFacts, Framing, HTTPRequest
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import InvalidRequest
from llmswitch._estimate import largest
from llmswitch._json import dumps
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest
from llmswitch.providers.ollama_errors import read_error
from llmswitch.providers.ollama_messages import build_messages
from llmswitch.providers.ollama_reply import ChatDecoder, parse_reply

if TYPE_CHECKING:
    from llmswitch._embedding import EmbedRequest, VectorAssembly

__all__ = ["ADAPTER", "OllamaAdapter", "OllamaOptions"]

_USUAL_WINDOW = 4096  # tokens that a server holds where nobody said another number: the least of its defaults
_ANSWER = 2048  # tokens of a window that are left for an answer, where its length was not limited


class OllamaOptions(BaseModel):
    """
    How a server or a model departs from the dialect.

    `num_ctx`: the window that is asked for with every request, in tokens. `sizes_window`: without that, one is asked
    for where a prompt is too long for the server's usual one, and the model's own is known from its capabilities.
    `cuts`: a prompt that is too long may be cut in silence, and so may what was said before while an answer grows.
    `reasoning`: by level, the value of `think`. `body`: sent with every request (`keep_alive`, or `options` with
    `top_k` and its like).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    num_ctx: Annotated[int, Field(ge=1)] | None = None
    sizes_window: bool = True
    cuts: bool = False
    reasoning: dict[Literal["off", "low", "medium", "high"], bool | str] = {
        "off": False,
        "low": "low",
        "medium": "medium",
        "high": "high",
    }
    body: dict[str, Any] = {}


class OllamaAdapter(Adapter):
    """
    Ollama, native. There is no choice among tools but to offer none, and no switch for parallel calls.

    A form and tools can't be had at once: the grammar of the form leaves no room for a call (ollama#8095, #11185).
    """

    framing: ClassVar[Framing] = "ndjson"
    Options: ClassVar[type[BaseModel]] = OllamaOptions
    wire: ClassVar[str] = "llmswitch.providers.ollama_wire:OllamaWire"
    baseline: ClassVar[Mapping[str, Any]] = {
        "images": True,
        "tools": True,
        "tool_choice": ["auto", "none"],
        "json_object": True,
        "json_schema": True,
        "schema_root": "any",
        "tools_with_schema": False,
        "reasoning": ["off", "low", "medium", "high"],
        "embeddings": True,
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
    }

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        options: OllamaOptions = self.options
        body: dict[str, Any] = {
            "model": self.identity.model,
            "messages": build_messages(request, self.identity),
            "stream": stream,  # a stream is what comes unasked
            **({} if options.cuts else {"truncate": False, "shift": False}),
        }
        settings = self._settings(request)
        for fields in (
            options.body,
            {"options": settings} if settings else {},
            self.prepare_tools(request),
            self._form(request),
            self._think(request),
            request.extra.get(self.identity.provider, {}),
        ):
            for name, value in fields.items():
                # one option stands beside the others
                both = isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
                body[name] = {**body[name], **value} if both and name == "options" else value
        try:
            return HTTPRequest("/api/chat", dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        settings = {
            "num_ctx": self._window(request),
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": list(request.stop) or None,
            "seed": request.seed,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _window(self, request: ChatRequest) -> int | None:
        """
        The window to ask for; `None` leaves it to the server.

        Powers of two, since another window has the server load its model anew.
        """
        options: OllamaOptions = self.options
        most = self.capabilities.context
        if options.num_ctx is not None or most is None or not options.sizes_window:
            return options.num_ctx
        wanted = largest(request, self.capabilities).input_tokens + (request.max_tokens or _ANSWER)
        return min(1 << (wanted - 1).bit_length(), most) if wanted > _USUAL_WINDOW else None

    def prepare_tools(self, request: ChatRequest) -> dict[str, Any]:
        """The field of the body that concerns tools: not to offer them is the only choice that can be made."""
        if not request.tools or request.tool_choice == "none":
            return {}
        functions = [
            {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": dict(tool.parameters),
            }
            for tool in request.tools
        ]
        return {"tools": [{"type": "function", "function": function} for function in functions]}

    def _form(self, request: ChatRequest) -> dict[str, Any]:
        form = request.response_format
        if form is None:
            return {}
        return {"format": dict(form.schema) if form.schema is not None else "json"}

    def _think(self, request: ChatRequest) -> dict[str, Any]:
        options: OllamaOptions = self.options
        level = request.reasoning
        if not isinstance(level, str) or level not in self.capabilities.reasoning or level not in options.reasoning:
            return {}
        return {"think": options.reasoning[level]}

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        return parse_reply(body, self.decoder(request))

    def decoder(self, request: ChatRequest) -> ChatDecoder:
        return ChatDecoder(warnings=list(self._warnings(request)))

    def build_embedding(self, request: EmbedRequest) -> HTTPRequest:
        from llmswitch.providers.ollama_embed import build_embedding

        return build_embedding(request, self.options, self.identity)

    def parse_embedding(self, body: Any, request: EmbedRequest) -> VectorAssembly:
        from llmswitch.providers.ollama_embed import parse_embedding

        return parse_embedding(body, request)

    def _warnings(self, request: ChatRequest) -> Iterator[ChatWarning]:
        if any(message.name for message in request.messages):
            target = f"{self.identity.provider}:{self.identity.model}"
            yield ChatWarning("name_left_out", f"{target}: messages[].name: there is no such field here; left out")

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:  # noqa: ARG002
        return read_error(status, body)


ADAPTER = OllamaAdapter
