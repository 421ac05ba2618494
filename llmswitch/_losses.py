"""What would be lost by going from one model to another, by their records of what they can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2

from ._capabilities import Capabilities

__all__ = ["Loss", "losses"]


@dataclass(slots=True, frozen=True)
class Loss:
    """
    One thing that the other model does not give. `field` is that of the request or of the capability record.

    `weight` says how much it counts when models are ranked: 8 is a model without tools, 1 is something that most
    programs do without.
    """

    field: str
    message: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.message


_FLAGS: Mapping[str, tuple[float, str]] = {
    "tools": (8, "calls no tools"),
    "images": (3, "takes no images"),
    "documents": (2, "takes no documents"),
    "audio": (2, "takes no audio"),
    "tool_result_images": (0.5, "takes no images in tool results"),
    "parallel_switch": (0.25, "has no switch for parallel tool calls"),
    "json_object": (1, "has no JSON mode"),
    "json_schema": (2, "holds to no JSON schema"),
    "tools_with_schema": (1, "takes no tools and schema in one request"),
    "prefill": (0.5, "can't go on with an unfinished answer"),
}
_CHOICES: Mapping[str, tuple[float, str]] = {
    "required": (1, "can't be made to call a tool"),
    "named": (0.5, "can't be made to call the tool that is named"),
    "none": (0.25, "can't be kept from calling tools"),
    "auto": (0.25, "can't be left to choose whether to call a tool"),
}
_SETTINGS: Mapping[str, float] = {"max_tokens": 1, "stop": 0.5, "temperature": 0.5, "seed": 0.25, "top_p": 0.25}
_BOUNDS: Mapping[str, str] = {
    "max_stop": "stop strings",
    "max_stop_length": "characters in a stop string",
    "max_stop_bytes": "bytes in a stop string",
}
_EXCLUDED: Mapping[str, str] = {
    "forced_tool": "be made to call a tool",
    "json_object": "be held to JSON",
    "json_schema": "be held to a JSON schema",
    "prefill": "go on with an unfinished answer",
}


def losses(had: Capabilities, given: Capabilities) -> list[Loss]:
    """What a model with the first record can do and one with the second can't, the weightiest first."""
    found = [
        *_sizes(had, given),
        *_abilities(had, given),
        *_tool_choice(had, given),
        *_settings(had, given),
        *_reasoning(had, given),
        *_while_it_thinks(had, given),
    ]
    return sorted(found, key=lambda loss: -loss.weight)


def _sizes(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    for field, said, weight in (("context", "context of", 1.0), ("max_output", "at most", 0.5)):
        before, after = getattr(had, field), getattr(given, field)
        if before is not None and after is not None and after < before:
            what = "tokens" if field == "context" else "tokens of output"
            # a little less is no matter; each halving counts
            yield Loss(
                field, f"{said} {after:,} in place of {before:,} {what}", round(weight * log2(before / after), 2)
            )


def _abilities(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    for field, (weight, message) in _FLAGS.items():
        if getattr(had, field) and not getattr(given, field):
            yield Loss(field, message, weight)
    if had.json_schema and given.json_schema and (had.schema_root, given.schema_root) == ("any", "object"):
        yield Loss("schema_root", "a JSON schema's root must be an object", 0.25)


def _tool_choice(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    if had.tools and given.tools:
        for form in sorted(had.tool_choice - given.tool_choice, key=lambda form: (-_CHOICES[form][0], form)):
            weight, message = _CHOICES[form]
            if form == "required" and "named" in given.tool_choice:
                weight, message = 0.5, "can be made to call a tool by its name alone"
            yield Loss("tool_choice", message, weight)


def _settings(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    for setting in sorted(had.settings - given.settings, key=lambda name: (-_SETTINGS[name], name)):
        yield Loss(setting, f"does not take {setting}", _SETTINGS[setting])
    shared = had.settings & given.settings
    if "temperature" in shared and given.temperature_max < had.temperature_max:
        said = f"temperature up to {given.temperature_max:g} in place of {had.temperature_max:g}"
        yield Loss("temperature_max", said, 0.25)
    for field, what in _BOUNDS.items():
        before, after = getattr(had, field), getattr(given, field)
        if "stop" in shared and after is not None and (before is None or after < before):
            yield Loss(field, f"at most {after} {what}", 0.1)


def _reasoning(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    missing = had.reasoning - given.reasoning
    if not given.thinks_unasked:
        missing -= {"off"}  # it is off
    if missing - {"off"} and not given.reasoning and not given.thinks_unasked:
        yield Loss("reasoning", "does not reason", 2)
    elif missing:
        levels = [level for level in ("off", "low", "medium", "high", "budget") if level in missing]
        yield Loss("reasoning", f"can't be told to reason: {', '.join(levels)}", 0.25 * len(levels))
    if _always_thinks(given) and not _always_thinks(had):
        yield Loss("thinks_unasked", "always thinks before it answers: a later first word, more tokens to pay", 1)
    elif given.thinks_unasked and not had.thinks_unasked:
        yield Loss("thinks_unasked", 'thinks unless it is told not to (reasoning="off")', 0.25)


def _while_it_thinks(had: Capabilities, given: Capabilities) -> Iterator[Loss]:
    """What it can do, but not while it thinks: lost where it always does, or where thinking was to be had beside it."""
    able = {
        "forced_tool": _forces(had) and _forces(given),
        "json_object": had.json_object and given.json_object,
        "json_schema": had.json_schema and given.json_schema,
        "prefill": had.prefill and given.prefill,
    }
    always, thought = _always_thinks(given), bool(had.reasoning) or had.thinks_unasked
    for what in sorted(given.thinking_excludes - had.thinking_excludes):
        if able[what] and (always or thought):
            said = f"can't {_EXCLUDED[what]} while it thinks{', which it always does' if always else ''}"
            yield Loss("thinking_excludes", said, 1 if always and what != "prefill" else 0.25)
    for ignored in sorted((given.thinking_ignores - had.thinking_ignores) & had.settings & given.settings):
        said = f"{ignored} has no effect while it thinks{', which it always does' if always else ''}"
        yield Loss("thinking_ignores", said, 0.5 if always else 0.1)


def _always_thinks(able: Capabilities) -> bool:
    return able.thinks_unasked and "off" not in able.reasoning


def _forces(able: Capabilities) -> bool:
    return able.tools and bool(able.tool_choice & {"required", "named"})
