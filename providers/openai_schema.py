"""
A JSON schema in the strict subset of OpenAI's structured output, where it can be said there.

The subset (OpenAI's SDK 3.54.0, its converter, and issue threads; read 2026-11-23): every object is closed and lists
all its properties as required; no `oneOf`, `patternProperties`, `default`, and `allOf` of one member only; a `$ref`
has no siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._adapter import SchemaGap

__all__ = ["strict_gap", "strict_schema", "typed_schema"]

_CONDITIONS = ("not", "if", "then", "else", "dependentRequired", "dependentSchemas")
_REFUSED = frozenset({"oneOf", "patternProperties", "prefixItems", *_CONDITIONS})


class _Inexpressible(Exception):
    """The schema says something that the subset can't: where, and what."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    The schema in the strict subset, or `None` where that would change what it allows.

    A property that may be left out may be null instead, which whoever reads the answer takes for left out.
    """
    try:
        return _lower(schema, dict(schema.get("$defs", {})), "response_format")
    except (_Inexpressible, RecursionError):
        return None


def strict_gap(schema: Mapping[str, Any]) -> SchemaGap | None:
    """What has no form in the strict subset. Such a schema can be sent as it is, and is not enforced then."""
    try:
        _lower(schema, dict(schema.get("$defs", {})), "response_format")
    except _Inexpressible as gap:
        return SchemaGap(f"{gap}, which strict mode lacks", sent=True)
    except RecursionError:
        return SchemaGap("response_format: nested too deeply for strict mode", sent=True)
    return None


def _lower(schema: Any, defs: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Inexpressible(f"{where}: a schema that allows anything")
    for key in _REFUSED & schema.keys():
        raise _Inexpressible(f"{where}.{key}")
    out = {key: value for key, value in schema.items() if key not in ("default", "title")}
    reference = out.get("$ref")
    if isinstance(reference, str):
        siblings = {key: value for key, value in out.items() if key not in ("$ref", "$defs")}
        if not siblings:
            return _with_defs(out, defs, where)
        target = defs.get(reference.removeprefix("#/$defs/"))
        if not isinstance(target, Mapping):
            raise _Inexpressible(f"{where}.$ref: it leads nowhere in $defs")
        return _lower({**target, **siblings}, defs, where)
    if "allOf" in out:
        members = out.pop("allOf")
        if len(members) != 1:
            raise _Inexpressible(f"{where}.allOf: more than one member")
        return _lower({**members[0], **out}, defs, where)
    if "anyOf" in out:
        out["anyOf"] = [_lower(each, defs, f"{where}.anyOf[{index}]") for index, each in enumerate(out["anyOf"])]
    if "items" in out:
        out["items"] = _lower(out["items"], defs, f"{where}.items")
    if out.get("type") == "object" or "properties" in out:
        _close(out, defs, where)
    return _with_defs(out, defs, where)


def _close(out: dict[str, Any], defs: Mapping[str, Any], where: str) -> None:
    if out.get("additionalProperties") not in (None, False):  # a free-form mapping has no strict form
        raise _Inexpressible(f"{where}.additionalProperties: keys of any name")
    properties = out.get("properties")
    if not isinstance(properties, Mapping):
        raise _Inexpressible(f"{where}: an object without properties")
    needed = out.get("required") or ()
    lowered = {name: _lower(value, defs, f"{where}.properties.{name}") for name, value in properties.items()}
    out["properties"] = {name: value if name in needed else _or_null(value) for name, value in lowered.items()}
    out["required"] = list(properties)
    out["additionalProperties"] = False


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null" and not {"enum", "const", "anyOf"} & schema.keys():
        return {**schema, "type": [kind, "null"]}
    members = schema.get("anyOf")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or {"type": "null"} in (members or ()):
        return schema
    if members is not None and schema.keys() <= {"anyOf", "description"}:
        return {**schema, "anyOf": [*members, {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}


def _with_defs(out: dict[str, Any], defs: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "$defs" in out:
        out["$defs"] = {name: _lower(value, defs, f"{where}.$defs.{name}") for name, value in defs.items()}
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
