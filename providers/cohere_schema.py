"""
A JSON schema in the subset that Cohere holds to: an object whose every object has a required property.

Facts: the vendor's page on structured outputs (a stored version of 2025, read 2026-11-27). What it lists as unsupported
is said in the description as text, and the answer is checked on arrival. `anyOf` and its like are sent as they are:
the page lists them too, and there is no other way to say them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._errors import CapabilityMismatch

__all__ = ["held_schema"]

_LIMITS = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "uniqueItems", "minLength", "maxLength"),
    }
)
_FORMATS = frozenset({"date-time", "uuid", "date", "time"})
_ANCHORS = ("^", "$", "(?=", "(?!")
_UNSAID = frozenset({"$schema", "$id", "$comment"})
_NAMED = frozenset({"properties", "$defs", "definitions"})  # their keys are names, and no words of a schema


def held_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the subset. Raises `CapabilityMismatch` that names an object which can't be said in it."""
    lowered: dict[str, Any] = _lowered(schema, "response_format")
    return lowered


def _lowered(schema: Any, where: str) -> Any:
    if isinstance(schema, list):
        return [_lowered(each, f"{where}[{index}]") for index, each in enumerate(schema)]
    if not isinstance(schema, Mapping):
        return schema
    out: dict[str, Any] = {}
    told: list[str] = []
    for key, value in schema.items():
        if key in _UNSAID or key == "additionalProperties":
            continue
        if _is_unheld(key, value):
            told.append(f"{key}: {value}")
        elif key in _NAMED and isinstance(value, Mapping):
            out[key] = {name: _lowered(each, f"{where}.{key}.{name}") for name, each in value.items()}
        elif key in ("items", "anyOf", "oneOf", "allOf", "not"):
            out[key] = _lowered(value, f"{where}.{key}")
        else:
            out[key] = value
    if told:
        said = "{" + ", ".join(told) + "}"
        out["description"] = f"{out['description']}\n\n{said}" if "description" in out else said
    if out.get("type") == "object":
        _require(out, where)
    return out


def _is_unheld(key: str, value: Any) -> bool:
    if key == "format":
        return value not in _FORMATS
    if key == "pattern":
        return any(anchor in str(value) for anchor in _ANCHORS)
    return key in _LIMITS


def _require(schema: dict[str, Any], where: str) -> None:
    """Where nothing is required the first property is: more would make the model invent what it does not know."""
    properties = schema.get("properties")
    if not properties:
        raise CapabilityMismatch(
            f"{where}: it is an object without named properties, and the vendor needs one at least"
        )
    if not schema.get("required"):
        schema["required"] = [next(iter(properties))]
