"""
A JSON schema in the subset of the Messages dialect's structured output.

Lowered as Anthropic's SDK 2.12.0 does it (its schema converter, read 2026-11-23): objects are closed, `oneOf` becomes
`anyOf`, and what the subset lacks goes into the description as text. What would change the meaning is refused here,
with its place: the SDK closes a free-form mapping to an empty object, and sends recursion, which the API refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmswitch._errors import CapabilityMismatch

__all__ = ["closed_schema"]

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_DEFINITIONS = ("$defs", "definitions")
_WORDS = ("description", "title", "default")
_UNSAID = (*_DEFINITIONS, "$schema", "$id", "$comment", "$anchor")  # kept elsewhere, or of no meaning to a model


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the subset. Raises `CapabilityMismatch` that names the place which can't be said in it."""
    try:
        return _Lowering(schema).whole()
    except RecursionError:
        raise _refused("response_format", "it is nested too deeply") from None


class _Lowering:
    """One schema on its way down. Each definition is lowered once, and none may lead back to itself."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._lowered: dict[str, dict[str, Any]] = {}
        self._open: set[str] = set()

    def whole(self) -> dict[str, Any]:
        """The root, with those of its definitions that something refers to."""
        out = self.lower(self._root, "response_format")
        for reference, lowered in self._lowered.items():
            name, _, key = reference.removeprefix("#/").partition("/")
            out.setdefault(name, {})[key] = lowered
        return out

    def lower(self, schema: Any, where: str) -> dict[str, Any]:
        """One schema. `where` names its place in the whole."""
        if not isinstance(schema, Mapping):
            raise _refused(where, "it allows anything, and the vendor needs a type")
        if "$ref" in schema:
            self._definition(schema["$ref"], where)
            return {"$ref": schema["$ref"]}
        left = {key: value for key, value in schema.items() if key not in _UNSAID}
        out: dict[str, Any] = {}
        self._kind(left, out, where)
        for key in ("description", "title"):
            if left.get(key) is not None:
                out[key] = left.pop(key)
        if left:
            said = "{" + ", ".join(f"{key}: {value}" for key, value in left.items()) + "}"
            out["description"] = f"{out['description']}\n\n{said}" if "description" in out else said
        return out

    def _definition(self, reference: Any, where: str) -> None:
        """What a reference leads to has to be a definition of this schema, and not where it came from."""
        if reference == "#" or (isinstance(reference, str) and reference in self._open):
            raise _refused(where, f"it leads back to {reference}: the vendor takes no recursive schema")
        name, _, key = str(reference).removeprefix("#/").partition("/")
        found = self._root.get(name)
        if name not in _DEFINITIONS or not isinstance(found, Mapping) or key not in found:
            raise _refused(where, f"it refers to {reference}, which is no definition of this schema")
        if reference not in self._lowered:
            self._open.add(reference)
            self._lowered[reference] = self.lower(found[key], f"response_format.{name}.{key}")
            self._open.remove(reference)

    def _kind(self, left: dict[str, Any], out: dict[str, Any], where: str) -> None:
        """Which values there may be: moved from `left` to `out`."""
        kind = left.pop("type", "object" if "properties" in left else None)
        literal = _literals(left, out)
        choices = [key for key in ("anyOf", "oneOf", "allOf") if isinstance(left.get(key), list)]
        beside = [key for key in ("properties", *choices) if key in left]
        if choices and len(beside) > 1:
            raise _refused(where, f"it has {' and '.join(beside)} side by side, and the vendor takes one")
        if choices:
            key = choices[0]
            target = "allOf" if key == "allOf" else "anyOf"
            members = enumerate(left.pop(key))
            out[target] = [self.lower(member, f"{where}.{key}[{index}]") for index, member in members]
            return
        if literal:
            return
        if isinstance(kind, list):
            self._several(kind, left, out, where)
            return
        if not isinstance(kind, str) or kind not in _TYPES:
            raise _refused(where, "it names no type, and the vendor needs one")
        out["type"] = kind
        if kind == "object":
            self._object(left, out, where)
        elif kind == "array":
            self._array(left, out, where)
        elif kind == "string" and left.get("format") in _FORMATS:
            out["format"] = left.pop("format")

    def _several(self, kinds: list[Any], left: dict[str, Any], out: dict[str, Any], where: str) -> None:
        """`"type": ["string", "null"]` as a choice between the two; null takes nothing of the rest with it."""
        words: dict[str, Any] = {key: left.pop(key) for key in _WORDS if key in left}
        rest = dict(left)
        left.clear()
        left.update(words)
        out["anyOf"] = [
            self.lower({"type": kind} if kind == "null" else {**rest, "type": kind}, where) for kind in kinds
        ]

    def _object(self, left: dict[str, Any], out: dict[str, Any], where: str) -> None:
        properties = left.pop("properties", None) or {}
        if not properties and left.get("additionalProperties") is not False:
            raise _refused(where, "it is a mapping with keys of any name, and the vendor needs each one named")
        left.pop("additionalProperties", None)  # fewer values than were allowed are still values that were allowed
        out["properties"] = {
            name: self.lower(value, f"{where}.properties.{name}") for name, value in properties.items()
        }
        out["additionalProperties"] = False
        if "required" in left:
            out["required"] = list(left.pop("required"))

    def _array(self, left: dict[str, Any], out: dict[str, Any], where: str) -> None:
        if "items" in left:
            out["items"] = self.lower(left.pop("items"), f"{where}.items")
        if left.get("minItems") in (0, 1):
            out["minItems"] = left.pop("minItems")


def _literals(left: dict[str, Any], out: dict[str, Any]) -> bool:
    """Values that are listed say their type themselves."""
    values = left.get("enum")
    if isinstance(values, list) and values and all(_is_plain(value) for value in values):
        out["enum"] = list(left.pop("enum"))
    if "const" in left and _is_plain(left["const"]):
        out["const"] = left.pop("const")
    return "enum" in out or "const" in out


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _refused(where: str, why: str) -> CapabilityMismatch:
    return CapabilityMismatch(f"{where}: {why}")
