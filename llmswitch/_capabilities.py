"""What a target can do: one record, which refuses before sending, drives the tests and prints the docs' matrix."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

from ._errors import CapabilityMismatch
from ._messages import Audio, Document, Image, Message, ToolResult
from ._reply import ChatWarning
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._structured import ResponseFormat

__all__ = ["Capabilities", "SchemaGap", "fit"]


class Capabilities(BaseModel):
    """
    What one model at one vendor takes. The defaults are the least that any chat model can do.

    `context`, `max_output`: tokens. `tool_choice`: which forms of it are taken. `parallel_switch`: whether
    `parallel_tool_calls` can be set. `schema_root`: whether a schema's root must be an object. `reasoning`: the
    levels there are a switch for (`budget`: a number of tokens). `settings`: which sampling settings are taken;
    `temperature_max` bounds one of them; `max_stop_length` counts the characters of one stop string, `max_stop_bytes`
    its bytes. `prefill`: whether an unfinished assistant message can be continued. `thinks_unasked`: it reasons though
    nobody asked it to, so it may be silent for long before its first word. `thinking_excludes`: what can't be had while
    it reasons (`forced_tool`: a tool choice of `required` or a name; `prefill`: see there). `thinking_ignores`: what it
    takes then, to no effect. `embeddings`: whether vectors of texts can be had here, from the models that make them.
    `embedding_settings`: which of the options of `embed()` are taken. `token_counting`: whether the vendor counts the
    tokens of a request that is not to be answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    context: int | None = None
    max_output: int | None = None
    images: bool = False
    documents: bool = False
    audio: bool = False
    tool_result_images: bool = False
    tools: bool = False
    tool_choice: frozenset[Literal["auto", "none", "required", "named"]] = frozenset({"auto", "none"})
    parallel_switch: bool = False
    json_object: bool = False
    json_schema: bool = False
    schema_root: Literal["object", "any"] = "object"
    tools_with_schema: bool = True
    reasoning: frozenset[Literal["off", "low", "medium", "high", "budget"]] = frozenset()
    settings: frozenset[Literal["max_tokens", "temperature", "top_p", "stop", "seed"]] = frozenset({"max_tokens"})
    temperature_max: float = 2.0
    max_stop: int | None = None
    max_stop_length: int | None = None
    max_stop_bytes: int | None = None
    prefill: bool = False
    embeddings: bool = False
    embedding_settings: frozenset[Literal["dimensions", "input_type"]] = frozenset({"dimensions"})
    token_counting: bool = False
    thinks_unasked: bool = False
    thinking_excludes: frozenset[Literal["forced_tool", "json_object", "json_schema", "prefill"]] = frozenset()
    thinking_ignores: frozenset[Literal["temperature", "top_p"]] = frozenset()


class SchemaGap(NamedTuple):
    """
    What a target can't be held to of a JSON schema: `why` begins with the place of the keyword. `sent`: the schema is
    sent all the same, for the model to read.
    """

    why: str
    sent: bool = False


_GapIn: TypeAlias = Callable[[Mapping[str, Any]], SchemaGap | None]


class _Lack(NamedTuple):
    """`change` is what to do without it where the caller allows that; `None` where there is no honest way."""

    field: str
    why: str
    change: Mapping[str, Any] | None
    instead: str = "left out"


def fit(
    request: ChatRequest,
    able: Capabilities,
    gap_in: _GapIn | None = None,
    *,
    provider: str,
    model: str,
) -> tuple[ChatRequest, list[ChatWarning]]:
    """
    The request as this target can take it, and a warning for each thing that was changed. `gap_in` says what of a
    schema it can't be held to.

    Nothing is changed unless the request allows it (`degrade=True`). Raises `CapabilityMismatch` that names every field
    in the way.
    """
    target = f"{provider}:{model}"
    request, warnings = _unasked_thinking(request, able, target)
    if _thinks(request, able):
        warnings += [
            ChatWarning("ignored", f"{target}: {name}: it has no effect while this model thinks")
            for name in sorted(able.thinking_ignores)
            if getattr(request, name) is not None
        ]
    gap = _gap(request, able, gap_in)
    if gap is not None and gap.sent:
        warnings.append(ChatWarning("schema_not_enforced", f"{target}: {gap.why}; the schema was sent as it is"))
        gap = None
    lacks = [
        *_content(request, able),
        *_tools(request, able),
        *_form(request, able, gap),
        *_settings(request, able),
        *_beside_thinking(request, able),
        *_unfinished(request, able),
    ]
    if not lacks:
        return request, warnings
    hopeless = [lack for lack in lacks if lack.change is None]
    if hopeless or not request.degrade:
        named = hopeless or lacks
        way_out = "" if hopeless else "; pass degrade=True to go on without, or choose another model"
        raise CapabilityMismatch(
            "; ".join(f"{lack.field}: {lack.why}" for lack in named) + way_out, provider=provider, model=model
        )
    changes: dict[str, Any] = {}
    for lack in lacks:
        changes.update(lack.change or {})
    warnings += [ChatWarning("degraded", f"{target}: {lack.field}: {lack.why}; {lack.instead}") for lack in lacks]
    return replace(request, **changes), warnings


def _excluded(request: ChatRequest, able: Capabilities) -> Iterator[tuple[str, str]]:
    """The fields of the request that can't be had while the model reasons, and why."""
    forced = request.tools and request.tool_choice not in (None, "auto", "none")
    if forced and "forced_tool" in able.thinking_excludes:
        yield "tool_choice", "this model can't be made to call a tool while it thinks"
    form = request.response_format
    if form is not None:
        kind = "json_schema" if form.schema is not None and able.json_schema else "json_object"
        if kind in able.thinking_excludes:
            yield "response_format", "this model holds to no form while it thinks"
    if request.prefill and "prefill" in able.thinking_excludes:
        yield "prefill", "this model goes on with no answer while it thinks"


def _unasked_thinking(request: ChatRequest, able: Capabilities, target: str) -> tuple[ChatRequest, list[ChatWarning]]:
    """Thinking that nobody asked for gives way to what was asked for, where there is a switch for it."""
    in_the_way = list(_excluded(request, able))
    if not in_the_way or request.reasoning is not None or not able.thinks_unasked or "off" not in able.reasoning:
        return request, []
    said = [f"{target}: {field}: {why}; thinking was switched off" for field, why in in_the_way]
    return replace(request, reasoning="off"), [ChatWarning("thinking_off", words) for words in said]


def _thinks(request: ChatRequest, able: Capabilities) -> bool:
    return able.thinks_unasked if request.reasoning is None else request.reasoning != "off"


def _beside_thinking(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    if not _thinks(request, able):
        return []
    if "off" in able.reasoning:
        return [_Lack(*found, {"reasoning": "off"}, "thinking was switched off") for found in _excluded(request, able)]
    change: Mapping[str, Any] = {"tool_choice": "auto"}
    return [
        _Lack(field, why, change if field in change else None, "auto was sent")
        for field, why in _excluded(request, able)
    ]


def _content(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    missing = [
        (kind, plural)
        for kind, taken, plural in (
            (Image, able.images, "images"),
            (Document, able.documents, "documents"),
            (Audio, able.audio, "audio"),
        )
        if not taken
    ]
    return [
        _Lack(f"messages[{index}]", f"this model takes no {plural}", None)
        for index, message in enumerate(request.messages)
        if not isinstance(message.content, str)
        for kind, plural in missing
        if any(isinstance(part, kind) for part in message.content)
    ] + _tool_results(request.messages, able)


def _tool_results(messages: tuple[Message, ...], able: Capabilities) -> list[_Lack]:
    if able.tool_result_images:
        return []
    return [
        _Lack(f"messages[{index}]", "this model takes only text in tool results", None)
        for index, message in enumerate(messages)
        if message.role == "tool"
        for result in message.parts
        if isinstance(result, ToolResult) and any(isinstance(part, (Image, Document)) for part in result.parts)
    ]


def _tools(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    lacks: list[_Lack] = []
    if not able.tools:
        lacks += [
            _Lack(f"messages[{index}]", "this model calls no tools", None)
            for index, message in enumerate(request.messages)
            if message.tool_calls
        ]
        return [_Lack("tools", "this model calls no tools", None), *lacks] if request.tools else lacks
    if request.tool_choice is not None:
        form = request.tool_choice if request.tool_choice in ("auto", "none", "required") else "named"
        if form not in able.tool_choice:
            taken = ", ".join(sorted(able.tool_choice))
            lacks.append(
                _Lack("tool_choice", f"this model knows only {taken}", {"tool_choice": "auto"}, "auto was sent")
            )
    if request.tools and request.parallel_tool_calls is not None and not able.parallel_switch:
        lacks.append(_Lack("parallel_tool_calls", "this model has no such switch", {"parallel_tool_calls": None}))
    return lacks


def _gap(request: ChatRequest, able: Capabilities, gap_in: _GapIn | None) -> SchemaGap | None:
    form = request.response_format
    if gap_in is None or form is None or form.schema is None or not able.json_schema:
        return None
    return gap_in(form.schema)


def _form(request: ChatRequest, able: Capabilities, gap: SchemaGap | None) -> list[_Lack]:
    form = request.response_format
    if form is None:
        return []
    if request.tools and not able.tools_with_schema:
        return [_Lack("response_format", "this model can't hold a form and tools in one request", None)]
    if form.schema is None:
        return [] if able.json_object else [_in_words(request, form, able, "this model has no JSON mode")]
    if not able.json_schema:
        return [_in_words(request, form, able, "this model holds to no JSON schema")]
    if able.schema_root == "object" and form.schema.get("type") != "object" and "$ref" not in form.schema:
        return [_Lack("response_format", "the schema's root must be an object; wrap it in one", None)]
    return [] if gap is None else [_in_words(request, form, able, gap.why)]


def _in_words(request: ChatRequest, form: "ResponseFormat", able: Capabilities, why: str) -> _Lack:
    """The form as an instruction after those of the system, which the vendor's cache may hold."""
    from ._structured import ResponseFormat

    leading = next(
        (index for index, said in enumerate(request.messages) if said.role != "system"), len(request.messages)
    )
    instruction = Message("system", form.in_words)
    messages = (*request.messages[:leading], instruction, *request.messages[leading:])
    mode = ResponseFormat("json") if able.json_object else None
    checked = "checked on arrival" if form.checked else "not checked: pip install 'llmswitch[jsonschema]'"
    return _Lack(
        "response_format",
        why,
        {"messages": messages, "response_format": mode},
        f"it was asked for in words, and is {checked}",
    )


def _unfinished(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    if not request.prefill or able.prefill:
        return []
    return [_Lack("prefill", "this model does not go on with an unfinished answer", None)]


def _settings(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    empty: Mapping[str, Any] = {"stop": ()}
    lacks = [
        _Lack(name, "this model does not take it", {name: empty.get(name)})
        for name in ("max_tokens", "temperature", "top_p", "stop", "seed")
        if getattr(request, name) not in (None, ()) and name not in able.settings
    ]
    temperature = request.temperature
    if temperature is not None and "temperature" in able.settings and temperature > able.temperature_max:
        most = able.temperature_max
        lacks.append(_Lack("temperature", f"at most {most:g} here", {"temperature": most}, f"{most:g} was sent"))
    if able.max_stop is not None and len(request.stop) > able.max_stop and "stop" in able.settings:
        lacks.append(_Lack("stop", f"at most {able.max_stop} here", None))
    longest = (able.max_stop_length, max(map(len, request.stop), default=0), "characters")
    heaviest = (able.max_stop_bytes, max((len(stop.encode()) for stop in request.stop), default=0), "bytes")
    lacks += [
        _Lack("stop", f"at most {most} {units} each here", None)
        for most, found, units in (longest, heaviest)
        if most is not None and found > most and "stop" in able.settings
    ]
    if able.max_output is not None and (request.max_tokens or 0) > able.max_output:
        most_tokens = able.max_output
        lacks.append(
            _Lack(
                "max_tokens",
                f"at most {most_tokens} here",
                {"max_tokens": most_tokens},
                f"{most_tokens} was sent",
            )
        )
    return lacks + _reasoning(request, able)


def _reasoning(request: ChatRequest, able: Capabilities) -> list[_Lack]:
    wanted = request.reasoning
    if wanted is None or (isinstance(wanted, str) and wanted in able.reasoning):
        return []
    if isinstance(wanted, int) and "budget" in able.reasoning:
        return []
    if wanted == "off" and not able.reasoning and not able.thinks_unasked:
        return []  # a model without the switch that does not think is what was asked for
    if isinstance(wanted, int):
        level = "low" if wanted <= 2048 else "medium" if wanted <= 8192 else "high"
        if level in able.reasoning:
            return [_Lack("reasoning", "no token budget here", {"reasoning": level}, f"{level} was sent")]
    taken = ", ".join(sorted(able.reasoning)) or "none"
    return [_Lack("reasoning", f"this model has no such level (it has: {taken})", {"reasoning": None})]
