"""Settings that OpenAI's two protocols say alike: sampling, effort, form, and the choice among tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmswitch._request import ChatOptions, ReasoningLevel

from ._fields import Fields, refuse

__all__ = ["read_choice", "read_effort", "read_form", "read_sampling", "read_session"]

_EFFORTS: Mapping[str, ReasoningLevel] = {
    "none": "off",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def read_effort(fields: Fields, name: str, options: ChatOptions) -> None:
    """How much thinking goes before the answer."""
    effort = fields.take(name, str)
    if effort is not None:
        if effort not in _EFFORTS:
            refuse(fields.at(name), f"must be one of {', '.join(_EFFORTS)}")
        options["reasoning"] = _EFFORTS[effort]


def read_sampling(fields: Fields, options: ChatOptions) -> None:
    """`temperature` and `top_p`."""
    temperature, top_p = fields.take("temperature", int, float), fields.take("top_p", int, float)
    if temperature is not None:
        options["temperature"] = temperature
    if top_p is not None:
        options["top_p"] = top_p


def read_session(fields: Fields, options: ChatOptions) -> None:
    """
    `prompt_cache_key`: the program says that requests with the same key begin alike, so that whoever has answered one
    has the beginning of the others in his cache. That is what a session is for.
    """
    key = fields.take("prompt_cache_key", str)
    if key:
        options["session"] = key


def read_choice(fields: Fields, options: ChatOptions, named: Callable[[Fields], str], *, offered: bool) -> None:
    """Which tools may be called, and whether several at once. `named` reads the name from the rest of a choice."""
    parallel = fields.take("parallel_tool_calls", bool)
    if parallel is not None and offered:
        options["parallel_tool_calls"] = parallel
    choice = fields.take("tool_choice", str, dict)
    if isinstance(choice, dict):
        one = Fields(choice, "tool_choice")
        if one.need("type", str) != "function":
            refuse("tool_choice.type", "must be function: no other tools can be offered here")
        options["tool_choice"] = named(one)
        one.done("is no field of a choice")
    elif choice not in (None, "auto", "none", "required"):
        refuse("tool_choice", "must be auto, none, required, or a function by its name")
    elif choice is not None and (offered or choice == "required"):  # without tools the others change nothing
        options["tool_choice"] = choice


def read_form(form: Fields, options: ChatOptions, described: Callable[[Fields], Fields]) -> None:
    """The form of the answer. `described` gives the fields that describe a schema, which may be the form's own."""
    match form.need("type", str):
        case "text":
            pass
        case "json_object":
            options["response_format"] = "json"
        case "json_schema":
            schema = described(form)
            options["response_format"] = schema.need("schema", dict)
            schema.ignore("name", "strict", "description")
            if schema is not form:
                schema.done("is no field of a schema's form")
        case _:
            refuse(form.at("type"), "must be text, json_object or json_schema")
    form.done("is no field of a form")
