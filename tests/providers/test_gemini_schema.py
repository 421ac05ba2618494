"""Gemini: a JSON schema in the subset that is taken, and what has no place in it."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmswitch import CapabilityMismatch
from llmswitch.providers.gemini_schema import lowered_schema
from tests.rows import rows


@rows(
    ("schema", "expected"),
    [
        ({"const": "a", "type": "string", "title": "A"}, {"type": "string", "enum": ["a"], "title": "A"}),
        ({"enum": [1, 2], "type": "integer"}, {"type": "integer", "enum": [1, 2]}),
        ({"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        ({"oneOf": [{"type": "null"}, True]}, {"anyOf": [{"type": "null"}, {}]}),
        ({"allOf": [{"type": "string"}], "description": "D"}, {"anyOf": [{"type": "string"}], "description": "D"}),
        (
            {"type": ["string", "null"], "maxLength": 3, "description": "D"},
            {"anyOf": [{"type": "string", "description": "{maxLength: 3}"}, {"type": "null"}], "description": "D"},
        ),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 9}, {"type": "integer", "minimum": 1, "maximum": 9}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "{exclusiveMinimum: 0}"}),
        ({"type": "string", "default": "x", "$comment": "c"}, {"type": "string", "description": "{default: x}"}),
        (
            {"type": "object", "additionalProperties": {"const": 1}},
            {"type": "object", "additionalProperties": {"type": "integer", "enum": [1]}},
        ),
        (
            {"$ref": "#/definitions/A", "description": "D", "definitions": {"A": {"type": "null"}, "B": {"not": {}}}},
            {"anyOf": [{"$ref": "#/$defs/A"}], "description": "D", "$defs": {"A": {"type": "null"}}},
        ),
        (
            {"type": "object", "properties": {"next": {"$ref": "#"}}},
            {"type": "object", "properties": {"next": {"$ref": "#"}}},
        ),
    ],
)
def test_what_is_lowered(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """What says the same in another word is put into it; a limit without a word goes into the description."""
    assert lowered_schema(schema, "response_format") == expected


@rows(
    ("schema", "place"),
    [
        ({"type": "object", "properties": {"x": {"not": {}}}}, "response_format.properties.x.not: "),
        ({"items": {"patternProperties": {}}}, "response_format.items.patternProperties: "),
        ({"allOf": [{}, {}]}, "response_format.allOf: "),
        ({"enum": [True]}, "response_format.enum: "),
        ({"const": False}, "response_format.const: "),
        ({"$defs": {"A": {}}, "definitions": {"A": {}}}, "response_format.definitions: "),
        ({"properties": {"x": {"$ref": "#/$defs/X"}}}, "response_format.properties.x.$ref: "),
        ({"$ref": "#", "type": "object"}, "response_format: it has $ref and type"),
        ({"type": "text"}, "response_format.type: "),
        ({"items": False}, "response_format.items: nothing fits"),
        (
            {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
            "response_format.properties.next.anyOf[0]: it leads back to itself",
        ),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/A"}},
                "$defs": {
                    "A": {"properties": {"c": {"$ref": "#/$defs/C"}, "b": {"$ref": "#/$defs/B"}}, "required": ["b"]},
                    "B": {"type": "array", "items": {"$ref": "#/$defs/C"}},
                    "C": {"additionalProperties": {"$ref": "#/$defs/B"}},
                },
            },
            "it leads back to itself",
        ),
    ],
)
def test_what_is_refused(schema: dict[str, Any], place: str) -> None:
    """What decides which values there may be, and can't be said, is refused with its place."""
    with pytest.raises(CapabilityMismatch) as refused:
        lowered_schema(schema, "response_format")
    assert place in str(refused.value)


class Colour(IntEnum):
    RED = 1
    BLUE = 2


class Node(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] | None = None
    children: list[Node] = []


def test_a_model_that_holds_itself() -> None:
    """A tree goes as it is, for its children may be left out; the same keywords as ever stand in it."""
    lowered = lowered_schema(Node.model_json_schema(), "response_format")
    node = lowered["$defs"]["Node"]["properties"]
    assert lowered["$ref"] == "#/$defs/Node"
    assert node["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert node["colour"]["anyOf"] == [{"$ref": "#/$defs/Colour"}]
    assert lowered_schema(lowered, "response_format") == lowered
