"""
A JSON schema in the strict subset of OpenAI's structured output, where it can be said there.

The subset (OpenAI's SDK 3.54.0, its converter, and issue threads; read 2026-11-23): every object is closed and lists
all its properties as required; no `oneOf`, `patternProperties`, `default`, and `allOf` of one member only; a `$ref`
has no siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["strict_schema", "typed_schema"]

_REFUSED = frozenset(
    {"oneOf", "patternProperties", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"}
)


class _Inexpressible(Exception):
    """The schema says something that the subset can't."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the strict subset, or `None` where that would change what it allows."""
    try:
        return _lower(schema, dict(schema.get("$defs", {})))
    except (_Inexpressible, RecursionError):
        return None


def _lower(schema: Any, defs: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or _REFUSED & schema.keys():
        raise _Inexpressible
    out = {key: value for key, value in schema.items() if key not in ("default", "title")}
    reference = out.get("$ref")
    if isinstance(reference, str):
        siblings = {key: value for key, value in out.items() if key not in ("$ref", "$defs")}
        if not siblings:
            return _with_defs(out, defs)
        target = defs.get(reference.removeprefix("#/$defs/"))
        if not isinstance(target, Mapping):
            raise _Inexpressible
        out = {**target, **siblings}
        return _lower(out, defs)
    if "allOf" in out:
        members = out.pop("allOf")
        if len(members) != 1:
            raise _Inexpressible
        return _lower({**members[0], **out}, defs)
    if "anyOf" in out:
        out["anyOf"] = [_lower(member, defs) for member in out["anyOf"]]
    if "items" in out:
        out["items"] = _lower(out["items"], defs)
    if "prefixItems" in out:
        raise _Inexpressible
    if out.get("type") == "object" or "properties" in out:
        _close(out, defs)
    return _with_defs(out, defs)


def _close(out: dict[str, Any], defs: Mapping[str, Any]) -> None:
    extra = out.get("additionalProperties")
    if extra not in (None, False):  # a free-form mapping has no strict form
        raise _Inexpressible
    properties = out.get("properties")
    if not isinstance(properties, Mapping):
        raise _Inexpressible
    out["properties"] = {name: _lower(value, defs) for name, value in properties.items()}
    out["required"] = list(properties)
    out["additionalProperties"] = False


def _with_defs(out: dict[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    if "$defs" in out:
        out["$defs"] = {name: _lower(value, defs) for name, value in defs.items()}
    return out


# Where one of these stands, a type beside it is not needed, or would say something else.
_TYPED_BY = ("type", "$ref", "anyOf", "oneOf", "allOf", "not", "if")
_JSON_TYPES = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def typed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with a `type` in every property: that of its enum, or of what is said of it, else `string`."""
    out = dict(schema)
    for key in ("properties", "$defs"):
        if isinstance(out.get(key), Mapping):
            out[key] = {name: _typed(value) for name, value in out[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), Mapping):
            out[key] = _typed(out[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(out.get(key), list):
            out[key] = [_typed(member) for member in out[key]]
    return out


def _typed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    out = typed_schema(schema)
    if not any(key in out for key in _TYPED_BY):
        out["type"] = _type_of(out)
    return out


def _type_of(schema: Mapping[str, Any]) -> str | list[str]:
    if "properties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    values = [schema["const"]] if "const" in schema else schema.get("enum") or [""]
    names = {next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null") for value in values}
    return names.pop() if len(names) == 1 else sorted(names)
