"""The form that an answer has: what is left out comes as null from a strict vendor, and what does not fit is said."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from llmswitch import CapabilityMismatch, ChatReply, Client, Message, OutputInvalid
from llmswitch._optional_nulls import without_nulls
from llmswitch._structured import ResponseFormat
from llmswitch.providers.openai_schema import strict_gap, strict_schema
from llmswitch.testing import FakeVendor
from tests.everyday import examples
from tests.rows import rows


class Inner(BaseModel):
    label: str = "none"


class Order(BaseModel):
    city: str
    days: int = 3
    note: str | None = "?"
    stops: list[Inner] = []
    last: Inner = Inner()


def form(value: Any) -> ResponseFormat:
    found = ResponseFormat.read(value)
    assert found is not None
    return found


def test_a_null_for_what_may_be_left_out_is_left_out() -> None:
    """A default of the model's holds where a strict vendor had to say null; a null that is allowed is a null."""
    said = '{"city": "Lyon", "days": null, "note": null, "stops": [{"label": null}], "last": {"label": null}}'
    assert Order(city="Lyon", note=None, stops=[Inner()]) == form(Order).parse(said)


def test_what_is_needed_is_not_left_out() -> None:
    """A null where a value is needed is of the wrong form, and said with its place."""
    with pytest.raises(ValueError, match="city: string type"):
        form(Order).parse('{"city": null}')


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "tag": {"type": "string"}},
    "required": ["n"],
}


def test_json_by_a_schema_is_checked() -> None:
    """The complaint names places and keywords, and no value."""
    assert {"n": 2} == form(SCHEMA).parse('{"n": 2, "tag": null}')
    with pytest.raises(ValueError, match=r"^\$.n: minimum$"):
        form(SCHEMA).parse('{"n": 0}')


@rows("broken", [{"type": "nonsense"}, {"$ref": "https://example.com/x"}, {"$ref": "#/$defs/none", "type": "object"}])
def test_a_schema_that_cannot_be_understood_harms_no_answer(broken: dict[str, Any]) -> None:
    """It is not the answer's fault; nothing is fetched."""
    assert {"a": 1} == form(broken).parse('{"a": 1}')


# Schemas as people write them, all expressible strictly.
leaves = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"type": ["number", "null"]}, {"enum": ["a", "b"]}, {"const": 4}]
)


@st.composite
def objects(draw: Any, inner: Any) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from("pqr"), inner, max_size=3))
    needed = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


schemas = st.recursive(
    leaves, lambda inner: objects(inner) | inner.map(lambda each: {"type": "array", "items": each}), max_leaves=8
)


def strictly(schema: dict[str, Any], draw: Any) -> Any:
    """A value that fits a strict schema, as a vendor would make it."""
    if "anyOf" in schema:
        return strictly(draw(st.sampled_from(schema["anyOf"])), draw)
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if "const" in schema:
        return schema["const"]
    kind = schema["type"]
    kind = draw(st.sampled_from(kind)) if isinstance(kind, list) else kind
    if kind == "object":
        assert sorted(schema["properties"]) == sorted(schema["required"])
        return {name: strictly(each, draw) for name, each in schema["properties"].items()}
    if kind == "array":
        return [strictly(schema["items"], draw) for _ in range(draw(st.integers(0, 2)))]
    return {"string": "s", "integer": 3, "number": 0.5, "null": None}[kind]


@examples(8, 40, objects(schemas), st.data())
def test_what_a_strict_vendor_says_fits_the_callers_own_schema(schema: dict[str, Any], data: st.DataObject) -> None:
    """Lowered, filled in by the vendor, and read back: what comes out is of the form that was asked for."""
    lowered = strict_schema(schema)
    assert lowered is not None
    said = json.loads(json.dumps(strictly(lowered, data.draw)))
    assert [] == list(Draft202012Validator(schema).iter_errors(without_nulls(said, schema)))


@examples(8, 40, objects(schemas), st.data())
def test_what_fits_already_stays(schema: dict[str, Any], data: st.DataObject) -> None:
    """A value that fits the schema is what it was."""
    lowered = strict_schema(schema)
    assert lowered is not None
    value = without_nulls(strictly(lowered, data.draw), schema)
    assert value == without_nulls(value, schema)


@rows(
    ("schema", "place"),
    [
        ({"type": "object", "properties": {"a": {"oneOf": []}}}, "response_format.properties.a.oneOf"),
        ({"type": "object"}, "response_format: an object without properties"),
        (
            {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "string"}}}},
            "response_format.properties.m.additionalProperties: keys of any name",
        ),
        ({"type": "array", "items": {"prefixItems": []}}, "response_format.items.prefixItems"),
        ({"$ref": "#/$defs/x", "title": "X", "minimum": 2}, "response_format.$ref: it leads nowhere in $defs"),
        ({"type": "object", "properties": {}, "$defs": {"d": True}}, "response_format.$defs.d: a schema that allows"),
    ],
)
def test_what_has_no_strict_form_is_named(schema: dict[str, Any], place: str) -> None:
    """The place of the first keyword in the way; such a schema is sent as it is."""
    assert strict_schema(schema) is None
    gap = strict_gap(schema)
    assert gap is not None
    assert (True, True) == (gap.why.startswith(place), gap.sent)


FREE = {"type": "object", "properties": {"tags": {"type": "object", "additionalProperties": {"type": "string"}}}}
PLACE = "response_format.properties.tags"


def answer_from(model: str, **options: Any) -> tuple[dict[str, Any], ChatReply]:
    """What goes to the vendor, and the reply, which is an empty JSON object."""
    made = {
        "openai": {"choices": [{"index": 0, "message": {"content": "{}"}, "finish_reason": "stop"}]},
        "anthropic": {"type": "message", "content": [{"type": "text", "text": "{}"}], "stop_reason": "end_turn"},
    }
    vendor = FakeVendor(lambda request: httpx.Response(200, json=made[model.partition(":")[0]]))
    providers = {model.partition(":")[0]: {"api_key": {"env": "FIT_KEY"}}}
    with Client.from_config({"providers": providers, "default": model}, http_client=vendor) as client:
        reply = client.chat([Message("system", "Brief."), Message("user", "Hi")], **options)
    return json.loads(vendor.requests[0].content), reply


def test_a_schema_that_no_vendor_can_be_held_to_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a byte is sent; where the caller allows it, the form is asked for in words and checked on arrival."""
    monkeypatch.setenv("FIT_KEY", "sk-not-a-key-000000")
    with pytest.raises(CapabilityMismatch, match=re.escape(f"{PLACE}: it is a mapping with keys of any name")):
        answer_from("anthropic:claude-sonnet-4-6", response_format=FREE)
    body, reply = answer_from("anthropic:claude-sonnet-4-6", response_format=FREE, degrade=True)
    assert "output_config" not in body
    assert "fits this JSON schema" in json.dumps(body["system"])
    assert ["degraded"] == [warning.code for warning in reply.warnings if "words" in warning.message]
    assert {} == reply.parsed
    needed = {**FREE, "required": ["tags"]}
    with pytest.raises(OutputInvalid, match="required"):
        answer_from("anthropic:claude-sonnet-4-6", response_format=needed, degrade=True)


def test_a_schema_that_strict_mode_lacks_is_sent_and_not_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model reads it, and the reply says what it was not held to."""
    monkeypatch.setenv("FIT_KEY", "sk-not-a-key-000000")
    body, reply = answer_from("openai:gpt-4.1", response_format=FREE)
    sent = body["response_format"]["json_schema"]
    assert (FREE, None) == (sent["schema"], sent.get("strict"))
    (warning,) = reply.warnings
    assert ("schema_not_enforced", True) == (warning.code, PLACE in warning.message)
