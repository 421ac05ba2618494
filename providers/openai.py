"""
The Chat Completions dialect: OpenAI's own, and that of most vendors and local servers with their departures as data.

Facts: OpenAI's Python SDK 3.54.0 (types and client), the vendors' documentation and public issue threads, gathered
2026-11-23. A departure is an option below that any provider's TOML file can use; there is no `if vendor ==` here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from llmswitch._adapter import Adapter, ErrorFacts, HTTPRequest, SchemaGap
from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import InvalidRequest
from llmswitch._json import dumps
from llmswitch._request import ChatRequest
from llmswitch.providers.openai_errors import read_error
from llmswitch.providers.openai_limits import add_limits
from llmswitch.providers.openai_messages import build_messages
from llmswitch.providers.openai_prefill import PrefillOptions
from llmswitch.providers.openai_reply import ChatCompletionsDecoder, parse_completion
from llmswitch.providers.openai_schema import strict_gap, strict_schema, typed_schema
from llmswitch.providers.openai_status import AnswerStatus, CodePattern, vendor_facts
from llmswitch.providers.openai_tools_as_schema import tool_schema
from llmswitch.providers.tool_ids import ToolIds

if TYPE_CHECKING:
    from llmswitch._embedding import EmbedRequest, VectorAssembly

__all__ = ["ADAPTER", "ChatCompletionsAdapter", "ChatCompletionsOptions"]


class ChatCompletionsOptions(BaseModel):
    """
    How a vendor departs from the dialect.

    `max_tokens_field`: what the output limit is called. `system_role`: the role of system messages. `stop_as_list`: a
    bare string is refused. `stream_usage`: ask for usage in streams (some send it unasked and refuse to be asked).
    `strict_schema`: a JSON schema is sent in the strict subset where it fits that. `image_data`: how image bytes are
    sent; `audio_data`: how a recording is; `document_part`: what the part of a document is called. `reasoning`: by
    level, what goes into the body; `reasoning_budget`: the field for a budget in tokens. `reasoning_fields`: where the
    model's thinking is read from, the first also being where it is sent back. `reasoning_replay`: whether it is sent
    back: `omit`, `optional` (where there is some), `with_calls` (beside tool calls and nowhere else), `required`
    (always); the last two demand it. `reasoning_stand_in`: what is sent for a turn that has none, as one of another
    vendor's. `reasoning_parts`: it travels as a list of parts, which go back as they came; this stands beside the text
    in one that is made here. `thoughts_in_content`: it stands among the parts of the content instead, and goes back
    there. `reasoning_grows`: an event may repeat the thinking that was sent before it. `tool_ids`: which ids of tool
    calls are taken; others are replaced. `finish_reasons`: words beyond the usual ones; `finish_errors`: words that
    mean that the answer failed, each with the code it is classified by. `body`: sent with every request; `tools_body`:
    with tools; `stream_tools_body`: with tools in a stream. `unit_interval`: temperature and top_p lie strictly between
    0 and 1, and the nearest legal value stands for the ends; `least`: by setting, the least legal value, which stands
    for what is below; `greedy`: sent with temperature 0. `tools_as_schema`: for models that can't call tools but hold
    to a schema. `typed_schema`: every property of a tool's parameters is given a type. `joined_text`: several texts of
    a message are sent as one. `one_system`: system messages are sent as one, at the front. `calls_content`: what an
    assistant message with nothing but calls has for its content. `stream_only`: a whole answer is asked for as a
    stream. `answer_status`: an object in every answer, or the answer itself, says whether it is one. `code_in_message`:
    where an error has no code, its message holds it. `withdrawn`: flags of a choice, with the values that mean that a
    filter took its text back. `done_ends`: no finish reason is ever given, and `[DONE]` says that the answer is whole.
    `spent_headers`: headers that count what is left of an allowance; where one says 0, its name is the code of a 429.
    `reset_clock`: hours east of UTC of the clock by which the words of an error name the moment of a reset. `eof_ok`: a
    stream may end without a finish reason: with `"done"` if it says `[DONE]`, with `true` in any orderly way; the reply
    warns of it (`no_finish_reason`). `prefill`: how a model with that capability is asked to go on with an unfinished
    answer. `extras_field`: an object of a chunk that may hold the usage, or an error. `seed_field`: what the seed is
    called. `names`: whether who speaks can have a name. `after_results`: what the assistant says between results and a
    user's message, where it has to. `path`: the one for answers. `embeddings_path`: the one for vectors. A `{model}` in
    either stands for the model. `dimensions_field`: what the length of a vector is called. `input_types`: what says
    that texts are a query, or documents, where it is not `input_type`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    path: str = "/chat/completions"
    embeddings_path: str = "/embeddings"
    dimensions_field: Literal["dimensions", "output_dimension"] = "dimensions"
    input_types: dict[Literal["query", "document"], dict[str, Any]] = {}
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system_role: Literal["system", "developer"] = "system"
    stop_as_list: bool = False
    stream_usage: bool = True
    strict_schema: bool = False
    image_data: Literal["data_url", "base64"] = "data_url"
    audio_data: Literal["object", "base64"] = "object"
    document_part: Literal["file", "document_url"] = "file"
    reasoning: dict[Literal["off", "low", "medium", "high"], dict[str, Any]] = {}
    reasoning_budget: str | None = None
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    reasoning_replay: Literal["omit", "optional", "with_calls", "required"] = "omit"
    reasoning_stand_in: str = ""
    reasoning_parts: dict[str, Any] = {}
    thoughts_in_content: bool = False
    reasoning_grows: bool = False
    tool_ids: ToolIds = ToolIds.model_construct()
    finish_reasons: dict[str, Literal["stop", "length", "tool_calls", "content_filter", "refusal", "other"]] = {}
    finish_errors: dict[str, str] = {}
    body: dict[str, Any] = {}
    tools_body: dict[str, Any] = {}
    stream_tools_body: dict[str, Any] = {}
    unit_interval: bool = False
    least: dict[Literal["temperature", "top_p"], float] = {}
    greedy: dict[str, Any] = {}
    tools_as_schema: bool = False
    typed_schema: bool = False
    joined_text: bool = False
    one_system: bool = False
    calls_content: Literal["null", "omit"] = "null"
    stream_only: bool = False
    answer_status: AnswerStatus | None = None
    code_in_message: CodePattern | None = None
    withdrawn: dict[str, tuple[str, ...]] = {}
    done_ends: bool = False
    spent_headers: tuple[str, ...] = ()
    reset_clock: float | None = None
    eof_ok: bool | Literal["done"] = False
    prefill: PrefillOptions = PrefillOptions.model_construct()
    extras_field: str = ""
    seed_field: Literal["seed", "random_seed"] = "seed"
    after_results: str = ""
    names: bool = True


class ChatCompletionsAdapter(Adapter):
    """Chat Completions. The baseline is what a server that says it is compatible can be expected to take."""

    Options: ClassVar[type[BaseModel]] = ChatCompletionsOptions
    wire: ClassVar[str] = "llmswitch.providers.openai_wire:ChatCompletionsWire"
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
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
    }

    def asks_stream(self, *, stream: bool) -> bool:
        return stream or bool(self.options.stream_only)

    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        options: ChatCompletionsOptions = self.options
        stream = self.asks_stream(stream=stream)
        body: dict[str, Any] = {
            "model": self.identity.model,
            "messages": build_messages(request, options, self.identity),
            **options.body,
            **self._settings(request),
            **self.prepare_tools(request, stream=stream),
            **_response_format(request, options),
        }
        if stream:
            body["stream"] = True
            if options.stream_usage:
                body["stream_options"] = {"include_usage": True}
        path = options.path.replace("{model}", quote(self.identity.model, safe=""))
        if request.prefill:
            path = options.prefill.base_path + path
            body.update(options.prefill.body)
            body["messages"][-1].update(options.prefill.last)
        body.update(request.extra.get(self.identity.provider, {}))
        try:
            return HTTPRequest(path, dumps(body))
        except ValueError as problem:
            raise InvalidRequest(f"the request can't be written as JSON: {problem}") from None

    def _settings(self, request: ChatRequest) -> dict[str, Any]:
        options: ChatCompletionsOptions = self.options
        settings: dict[str, Any] = {}
        if request.max_tokens is not None:
            settings[options.max_tokens_field] = request.max_tokens
        if request.temperature is not None:
            settings["temperature"] = _legal("temperature", request.temperature, options)
            if request.temperature == 0:
                settings.update(options.greedy)
        if request.top_p is not None:
            settings["top_p"] = _legal("top_p", request.top_p, options)
        if request.stop:
            single = len(request.stop) == 1 and not options.stop_as_list
            settings["stop"] = request.stop[0] if single else list(request.stop)
        if request.seed is not None:
            settings[self.options.seed_field] = request.seed
        if isinstance(request.reasoning, str):
            if request.reasoning in self.capabilities.reasoning:  # `off` needs no word where there is no switch
                settings.update(options.reasoning.get(request.reasoning, {}))
        elif request.reasoning is not None and options.reasoning_budget is not None:
            settings.update(options.reasoning.get("high", {}))
            settings[options.reasoning_budget] = request.reasoning
        return settings

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:
        return strict_gap(schema) if self.options.strict_schema else None

    def prepare_tools(self, request: ChatRequest, *, stream: bool) -> dict[str, Any]:
        """The fields of the body that concern tools; `none` is said by leaving the tools out where it can't be said."""
        options: ChatCompletionsOptions = self.options
        choice = request.tool_choice
        if not request.tools or options.tools_as_schema:
            return {}
        sayable = self.capabilities.tool_choice
        if choice == "none" and "required" not in sayable:
            return {}
        fields: dict[str, Any] = {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        **({"description": tool.description} if tool.description else {}),
                        "parameters": typed_schema(tool.parameters) if options.typed_schema else dict(tool.parameters),
                    },
                }
                for tool in request.tools
            ],
            **options.tools_body,
            **(options.stream_tools_body if stream else {}),
        }
        if choice in ("auto", "none", "required"):
            fields["tool_choice"] = choice
        elif choice is not None:
            fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
        if request.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
        return fields

    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        schema = self._as_schema(request)
        return parse_completion(
            body, self.options, self.identity, tools_as_schema=schema, echo=self._echo(request, whole=True)
        )

    def build_embedding(self, request: "EmbedRequest") -> HTTPRequest:
        from llmswitch.providers.openai_embeddings import build_embedding

        return build_embedding(request, self.options, self.identity)

    def parse_embedding(self, body: Any, request: "EmbedRequest") -> "VectorAssembly":
        from llmswitch.providers.openai_embeddings import parse_embedding

        return parse_embedding(body, request, self.options)

    def decoder(self, request: ChatRequest) -> ChatCompletionsDecoder:
        return ChatCompletionsDecoder(
            self.options,
            self.identity,
            tools=[tool.name for tool in request.tools],
            tools_as_schema=self._as_schema(request),
            echo=self._echo(request, whole=False),
        )

    def _echo(self, request: ChatRequest, *, whole: bool) -> str:
        """The text that the answer will begin with, although the caller has it."""
        echoes = self.options.prefill.echoes
        return request.messages[-1].text if request.prefill and (echoes is True or (whole and echoes)) else ""

    def _as_schema(self, request: ChatRequest) -> bool:
        return bool(self.options.tools_as_schema and request.tools and request.tool_choice != "none")

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
        facts = read_error(status, body, lambda value: vendor_facts(value, self.options))
        add_limits(facts, headers, self.options)
        return facts


def _legal(name: Literal["temperature", "top_p"], value: float, options: ChatCompletionsOptions) -> float:
    """The nearest legal value; in an interval that is open at its ends, in steps of a hundredth."""
    if options.unit_interval:
        return min(max(value, 0.01), 0.99)
    return max(value, options.least.get(name, value))


def _response_format(request: ChatRequest, options: ChatCompletionsOptions) -> dict[str, Any]:
    form = request.response_format
    if options.tools_as_schema and request.tools and request.tool_choice != "none":
        return {"response_format": _json_schema("tool_call", tool_schema(request), strict=True)}
    if form is None:
        return {}
    if form.schema is None:
        return {"response_format": {"type": "json_object"}}
    strict = strict_schema(form.schema) if options.strict_schema else None
    schema = strict if strict is not None else dict(form.schema)
    return {"response_format": _json_schema(form.name, schema, strict=strict is not None)}


def _json_schema(name: str, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": schema, **({"strict": True} if strict else {})},
    }


ADAPTER = ChatCompletionsAdapter
