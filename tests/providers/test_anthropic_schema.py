"""Messages: a JSON schema in the subset of structured output, and what has no place in it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from llmswitch import CapabilityMismatch
from llmswitch.providers.anthropic_schema import closed_schema
from tests.rows import rows


@rows(
    ("schema", "expected"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 10, "description": "A number"},
            {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 10}"},
        ),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "description": "{pattern: ^a$}"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "format": "binary"}, {"type": "string", "description": "{format: binary}"}),
        ({"type": "null"}, {"type": "null"}),
        ({"enum": ["a", 1, None], "type": "string"}, {"enum": ["a", 1, None]}),
        ({"const": "a", "type": "string", "title": "A"}, {"const": "a", "title": "A"}),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "description": "{maxItems: 3}"},
        ),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            {"type": "array", "items": {"type": "boolean"}, "description": "{minItems: 2}"},
        ),
        ({"oneOf": [{"type": "null"}]}, {"anyOf": [{"type": "null"}]}),
        (
            {"anyOf": [{"type": "null"}], "default": None},
            {"anyOf": [{"type": "null"}], "description": "{default: None}"},
        ),
        ({"allOf": [{"type": "null"}]}, {"allOf": [{"type": "null"}]}),
        (
            {"type": ["string", "null"], "maxLength": 3, "description": "D"},
            {
                "anyOf": [{"type": "string", "description": "{maxLength: 3}"}, {"type": "null"}],
                "description": "D",
            },
        ),
        (
            {"properties": {"a": {"type": "object", "additionalProperties": False}}, "additionalProperties": True},
            {
                "type": "object",
                "properties": {"a": {"type": "object", "properties": {}, "additionalProperties": False}},
                "additionalProperties": False,
            },
        ),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "null"}, {"type": "null"}),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/definitions/A"}},
                "required": ["a"],
                "definitions": {"A": {"type": "string"}},
            },
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/definitions/A"}},
                "additionalProperties": False,
                "required": ["a"],
                "definitions": {"A": {"type": "string"}},
            },
        ),
    ],
)
def test_a_schema_in_the_subset(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the subset has stays, objects are closed, and the rest is said in the description."""
    assert expected == closed_schema(schema)


@rows(
    ("schema", "named"),
    [
        ({"type": "object", "properties": {"a": {}}}, r"response_format\.properties\.a: it names no type"),
        ({"type": "array", "items": True}, r"response_format\.items: it allows anything"),
        ({"type": "object"}, "response_format: it is a mapping"),
        (
            {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
            r"response_format\.properties\.a: it is a mapping",
        ),
        ({"$ref": "https://example.com/a.json"}, "no definition of this schema"),
        ({"$ref": "#/$defs/Gone", "$defs": {}}, "no definition of this schema"),
        ({"anyOf": [{"type": "null"}], "allOf": [{"type": "null"}]}, "anyOf and allOf side by side"),
        ({"properties": {"a": {"type": "null"}}, "anyOf": [{"type": "null"}]}, "properties and anyOf side by side"),
        ({"type": {"not": "a type"}}, "it names no type"),
        ({"$ref": ["#/$defs/A"], "$defs": {"A": {"type": "null"}}}, "no definition of this schema"),
        ({"anyOf": [{"type": "null"}, {"type": "unheard of"}]}, r"response_format\.anyOf\[1\]: it names no type"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            r"response_format\.properties\.a: it leads back to #",
        ),
    ],
)
def test_what_the_subset_can_not_say_is_refused_with_its_place(schema: dict[str, Any], named: str) -> None:
    """A change of meaning is never sent: the error names the place in the schema."""
    with pytest.raises(CapabilityMismatch, match=named):
        closed_schema(schema)


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Holder(BaseModel):
    node: Node


class Ping(RootModel[list["Pong"]]):
    pass


class Pong(RootModel[list[Ping]]):
    pass


@rows("model", [Node, Holder, Ping])
def test_recursion_is_refused(model: type[BaseModel]) -> None:
    """A model that holds itself, at once or by way of another, is refused; the definition is named."""
    with pytest.raises(CapabilityMismatch, match=r"leads back to #/\$defs/\w+: the vendor takes no recursive schema"):
        closed_schema(model.model_json_schema())


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    kind: Literal["line"]
    length: Annotated[float, Field(gt=0)]


class Dot(BaseModel):
    kind: Literal["dot"]
    colour: Colour | None = None


class Drawing(BaseModel):
    """What is drawn."""

    shapes: list[Annotated[Line | Dot, Field(discriminator="kind")]]
    first: Line


def test_a_pydantic_model_keeps_its_definitions() -> None:
    """Unions become choices, references stay, optional fields stay optional."""
    lowered = closed_schema(Drawing.model_json_schema())
    assert ["shapes", "first"] == lowered["required"]
    assert "What is drawn." == lowered["description"]
    assert {"$ref": "#/$defs/Line"} == lowered["properties"]["first"]
    choice = lowered["properties"]["shapes"]["items"]
    assert [{"$ref": "#/$defs/Line"}, {"$ref": "#/$defs/Dot"}] == choice["anyOf"]
    assert {
        "type": "object",
        "title": "Line",
        "properties": {
            "kind": {"const": "line", "title": "Kind"},
            "length": {"type": "number", "title": "Length", "description": "{exclusiveMinimum: 0}"},
        },
        "required": ["kind", "length"],
        "additionalProperties": False,
    } == lowered["$defs"]["Line"]
    assert ["kind"] == lowered["$defs"]["Dot"]["required"]


def test_the_callers_schema_is_not_changed() -> None:
    """The schema is shared by the targets of a chain: lowering it for one leaves it as it was."""
    schema = Drawing.model_json_schema()
    before = Drawing.model_json_schema()
    closed_schema(schema)
    assert before == schema


def test_a_definition_that_nobody_refers_to_is_left_out() -> None:
    """What is not used can't stand in the way."""
    schema = {"type": "null", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert {"type": "null"} == closed_schema(schema)


def test_a_schema_nested_without_end_is_refused() -> None:
    """Depth that Python can't follow is a refusal, not a crash."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(CapabilityMismatch, match="nested too deeply"):
        closed_schema(schema)


def test_a_wide_schema_takes_no_more_than_its_size() -> None:
    """A definition that is used from many places, over many levels, is not walked through anew for each."""
    levels = 40
    defs: dict[str, Any] = {f"D{levels}": {"type": "null"}}
    for level in range(levels):
        step = {"$ref": f"#/$defs/D{level + 1}"}
        defs[f"D{level}"] = {"type": "object", "properties": {"a": step, "b": step}}
    lowered = closed_schema({"$ref": "#/$defs/D0", "$defs": defs})
    assert levels + 1 == len(lowered["$defs"])
