"""
Nulls that stand for what was left out: a vendor who holds to a schema strictly demands every property, so one that may
be left out is asked for as itself or null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["without_nulls"]

_CHOICES = ("anyOf", "oneOf", "allOf")


def without_nulls(value: Any, schema: Mapping[str, Any]) -> Any:
    """
    The value without properties that are null, where the schema lets them be left out and does not let them be null.

    `value` is what JSON gives, and is not changed. A schema that leads nowhere is taken to allow anything.
    """
    return _pruned(value, [schema], schema)


def _pruned(value: Any, schemas: list[Mapping[str, Any]], root: Mapping[str, Any]) -> Any:
    said = [each for schema in schemas for each in _spread(schema, root)]
    if isinstance(value, list):
        items = [each["items"] for each in said if isinstance(each.get("items"), Mapping)]
        return [_pruned(item, items, root) for item in value] if items else value
    if not isinstance(value, dict):
        return value
    out = {}
    for name, inner in value.items():
        speaks = [each for each in said if name in (each.get("properties") or {})]
        about = [each["properties"][name] for each in speaks if isinstance(each["properties"][name], Mapping)]
        needed = any(name in (each.get("required") or ()) for each in speaks)
        if inner is None and about and not needed and not _allows_null(about, root):
            continue
        out[name] = _pruned(inner, about, root) if about else inner
    return out


def _spread(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema, and those that it refers to or chooses between: all that speak of the same value, each once."""
    waiting, seen = [schema], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        target = _target(each.get("$ref"), root)
        waiting += [] if target is None else [target]
        waiting += [member for key in _CHOICES for member in each.get(key) or () if isinstance(member, Mapping)]


def _target(reference: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for step in filter(None, reference[1:].split("/")):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _allows_null(schemas: list[Mapping[str, Any]], root: Mapping[str, Any]) -> bool:
    return any(_says_null(each) for schema in schemas for each in _spread(schema, root))


def _says_null(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    listed = schema.get("enum")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or (isinstance(listed, list) and None in listed):
        return True
    if "const" in schema:
        return schema["const"] is None
    return not {"type", "enum", "$ref", "properties", *_CHOICES} & schema.keys()  # it allows anything
