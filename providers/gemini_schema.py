"""
A JSON schema in the subset of Gemini's `responseJsonSchema` and `parametersJsonSchema`.

The subset (google-genai 3.4.0, its types and their comments; read 2026-11-23): `$id`, `$defs`, `$ref`, `$anchor`,
type, format, title, description, enum of strings and numbers, items, prefixItems, minItems, maxItems, minimum, maximum,
anyOf, oneOf (taken as anyOf), properties, additionalProperties, required, propertyOrdering. A `$ref` stands alone, and
leads back to where it came from only by way of a property that may be left out.

What says the same in another word is put into that word; a limit on a value that has no word here goes into the
description as text. What decides which values there may be is refused, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._errors import CapabilityMismatch

__all__ = ["lowered_schema"]

_KEPT = ("format", "title", "description", "minItems", "maxItems", "minimum", "maximum", "required", "propertyOrdering")
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_DEFINITIONS = ("$defs", "definitions")
_UNSAID = frozenset({"$schema", "$id", "$anchor", "$comment", *_DEFINITIONS, "deprecated", "readOnly", "writeOnly"})
_REFUSED = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "contains",
        "additionalItems",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
    }
)
# Where a list of types is taken apart: what is said of one of them alone.
_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties", "propertyOrdering", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("format", "pattern", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def lowered_schema(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """
    The schema in the subset. `where` names it: `response_format`, or a tool's parameters.

    Raises `CapabilityMismatch` that names the place of the keyword which can't be said in it.
    """
    try:
        return _Lowering(schema, where).whole()
    except RecursionError:
        raise _refused(where, "it is nested too deeply") from None


class _Lowering:
    """
    One schema on its way down. Each definition is lowered once.

    `_needed`: which definitions one can't be without, each with the place that says so.
    """

    def __init__(self, root: Mapping[str, Any], where: str) -> None:
        self._root = root
        self._where = where
        self._lowered: dict[str, dict[str, Any]] = {}
        self._begun: set[str] = set()
        self._needed: dict[str, list[tuple[str, str]]] = {}
        self._inside = "#"  # the definition that is being lowered
        self._optional = 0  # how many properties that may be left out were passed within it

    def whole(self) -> dict[str, Any]:
        """The root, with those of its definitions that something refers to."""
        one, other = (self._root.get(name) for name in _DEFINITIONS)
        if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() & other.keys():
            raise _refused(
                f"{self._where}.definitions", "a name in it stands in $defs as well, with one place for both"
            )
        out = self.lower(self._root, self._where)
        for start in self._needed:
            self._check_end(start, start, set())
        if self._lowered:
            out["$defs"] = self._lowered
        return out

    def _check_end(self, start: str, at: str, seen: set[str]) -> None:
        """Raises where a definition can't be without itself: its values would have no end."""
        for target, where in self._needed.get(at, ()):
            if target == start:
                raise _refused(where, "it leads back to itself, which the vendor takes in an optional property alone")
            if target not in seen:
                seen.add(target)
                self._check_end(start, target, seen)

    def lower(self, schema: Any, where: str) -> dict[str, Any]:
        """One schema. `where` names its place in the whole."""
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise _refused(where, "nothing fits it" if schema is False else "it is no JSON schema")
        unknown = next((key for key in schema if key in _REFUSED), None)
        if unknown is not None:
            raise _refused(f"{where}.{unknown}", "the vendor knows no such keyword")
        left = {key: value for key, value in schema.items() if key not in _UNSAID}
        out = self._alternatives(left, where)
        if out is None:
            out = self._one(left, where)
        for key in _KEPT:
            if left.get(key) is not None:
                out[key] = left.pop(key)
        left = {key: value for key, value in left.items() if value is not None}
        if left:
            said = "{" + ", ".join(f"{key}: {value}" for key, value in left.items()) + "}"
            out["description"] = f"{out['description']}\n\n{said}" if "description" in out else said
        return out

    def _alternatives(self, left: dict[str, Any], where: str) -> dict[str, Any] | None:
        """A reference, a choice or a list of types; `None` where the schema is none of these."""
        joined = [key for key in ("$ref", "anyOf", "oneOf", "allOf") if key in left]
        if not joined:
            kinds = left.get("type")
            return self._several(left, where) if isinstance(kinds, list) else None
        beside = [*joined, *(key for key in ("type", "properties", "items", "enum", "const") if key in left)]
        if len(joined) > 1 or (joined[0] in ("$ref", "allOf") and len(beside) > 1):
            raise _refused(where, f"it has {' and '.join(beside)} side by side, and the vendor takes one")
        key = joined[0]
        if key == "$ref":
            made = self._reference(left.pop(key), where)
            return {"anyOf": [made]} if left else made  # beside a $ref nothing may stand
        members = left.pop(key)
        if not isinstance(members, list) or not members:
            raise _refused(f"{where}.{key}", "it lists nothing")
        if key == "allOf":
            if len(members) > 1:
                raise _refused(f"{where}.allOf", "the vendor knows no such keyword")
            return {"anyOf": [self.lower(members[0], f"{where}.allOf[0]")]}
        out = self._one(left, where) if len(beside) > 1 else {}
        out["anyOf"] = [self.lower(member, f"{where}.{key}[{index}]") for index, member in enumerate(members)]
        return out

    def _several(self, left: dict[str, Any], where: str) -> dict[str, Any]:
        """`"type": ["string", "null"]` as a choice between the two, each with what is said of it alone."""
        kinds = left.pop("type")
        own = {key: left.pop(key) for keys in _OF_TYPE.values() for key in keys if key in left}
        values = left.pop("enum", None)
        if values is not None:
            return self._one({"enum": values}, where)
        members = []
        for kind in kinds:
            names = _OF_TYPE.get("number" if kind == "integer" else str(kind), ())
            members.append({"type": kind, **{key: own[key] for key in names if key in own}})
        if len(members) == 1:
            return self.lower(members[0], where)
        return {"anyOf": [self.lower(member, where) for member in members]}

    def _one(self, left: dict[str, Any], where: str) -> dict[str, Any]:
        """What is of one kind: moved from `left` to what is given back."""
        for key in ("const", "enum"):
            if key in left:
                left.pop("type", None)
                values = left.pop(key)
                return _listed([values] if key == "const" else values, f"{where}.{key}")
        out: dict[str, Any] = {}
        kind = left.pop("type", None)
        if kind is not None:
            if not isinstance(kind, str) or kind not in _TYPES:
                raise _refused(f"{where}.type", "there is no such type")
            out["type"] = kind
        if isinstance(left.get("properties"), Mapping):
            self._properties(left, out, where)
        if "additionalProperties" in left:
            more = left.pop("additionalProperties")
            place = f"{where}.additionalProperties"
            out["additionalProperties"] = more if isinstance(more, bool) else self.lower(more, place)
        if "items" in left:
            out["items"] = self.lower(left.pop("items"), f"{where}.items")
        if isinstance(left.get("prefixItems"), list):
            members = enumerate(left.pop("prefixItems"))
            out["prefixItems"] = [self.lower(each, f"{where}.prefixItems[{index}]") for index, each in members]
        if kind == "integer":
            _whole_limits(left)
        return out

    def _properties(self, left: dict[str, Any], out: dict[str, Any], where: str) -> None:
        required = left.get("required")
        needed = frozenset(required) if isinstance(required, (list, tuple)) else frozenset()
        out["properties"] = {
            name: (self.lower if name in needed else self._maybe)(value, f"{where}.properties.{name}")
            for name, value in left.pop("properties").items()
        }

    def _maybe(self, schema: Any, where: str) -> dict[str, Any]:
        """What may be left out."""
        self._optional += 1
        try:
            return self.lower(schema, where)
        finally:
            self._optional -= 1

    def _reference(self, reference: Any, where: str) -> dict[str, Any]:
        """What it leads to has to be the whole, or a definition of it."""
        name, _, target = str(reference).removeprefix("#/").partition("/")
        found = {"#": self._root} if reference == "#" else self._root.get(name)
        target = target or name
        if (reference != "#" and name not in _DEFINITIONS) or not isinstance(found, Mapping) or target not in found:
            raise _refused(f"{where}.$ref", f"{reference} is no definition of this schema")
        if not self._optional:
            self._needed.setdefault(self._inside, []).append((target, where))
        if target != "#" and target not in self._begun:
            self._begun.add(target)
            outer, self._inside, self._optional = (self._inside, self._optional), target, 0
            self._lowered[target] = self.lower(found[target], f"{self._where}.{name}.{target}")
            self._inside, self._optional = outer
        return {"$ref": "#" if target == "#" else f"#/$defs/{target}"}


def _listed(values: Any, where: str) -> dict[str, Any]:
    """Values that are listed: strings and numbers; null is a type of its own."""
    if not isinstance(values, list) or not values:
        raise _refused(where, "it lists nothing")
    plain = [value for value in values if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, (str, int, float)) for value in plain):
        raise _refused(where, "the vendor takes strings and numbers there alone")
    words = [value for value in plain if isinstance(value, str)]
    numbers = [value for value in plain if not isinstance(value, str)]
    kind = "integer" if all(isinstance(value, int) for value in numbers) else "number"
    members: list[dict[str, Any]] = [
        {"type": name, "enum": these} for name, these in (("string", words), (kind, numbers)) if these
    ]
    if len(plain) < len(values):
        members.append({"type": "null"})
    return members[0] if len(members) == 1 else {"anyOf": members}


def _whole_limits(left: dict[str, Any]) -> None:
    """Limits of whole numbers that are not reached are those of the next ones."""
    for open_, closed, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        limit = left.get(open_)
        if isinstance(limit, int) and not isinstance(limit, bool) and closed not in left:
            left[closed] = left.pop(open_) + step


def _refused(where: str, why: str) -> CapabilityMismatch:
    return CapabilityMismatch(f"{where}: {why}")
