"""Bad input: a typed error that names the field and the way out, before any byte is sent, quoting nothing."""

from __future__ import annotations

import enum
import socket
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field

from llmswitch import Client, Image, InvalidRequest, Message, Text, Tool, ToolCall, ToolResult
from llmswitch._chat_shape import read_messages
from llmswitch._request import ChatRequest
from llmswitch.testing import FakeVendor
from tests.rows import rows

CANARY = "CANARY-prompt-0cc175b9c0f1b6a8"


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")

    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError("bytes were sent")

    return Client("openai:gpt-4.1", http_client=FakeVendor(never))


def get_weather(city: str, unit: Literal["c", "f"] = "c") -> str:
    """
    The weather in a city.

    Args:
        city: its name,
            in any language
        unit: of the temperature

    """
    return f"18 {unit} in {city}"


CALLED = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
ANSWERED = {"role": "tool", "tool_call_id": "1", "content": CANARY}

BAD_MESSAGES: list[tuple[Any, str]] = [
    ("", "messages"),
    ([], "messages"),
    (7, "messages"),
    ({"role": "user", "content": CANARY}, "messages"),
    ([7], "messages[0]"),
    ([{"role": "user"}], "messages[0].content"),
    ([{"role": "usr", "content": CANARY}], "messages[0].role"),
    ([{"role": "user", "contents": CANARY}], "messages[0].contents"),
    ([{"role": "user", "content": [{"type": "txt", "text": CANARY}]}], "messages[0].content[0].type"),
    ([{"role": "user", "content": [{"type": CANARY, "text": CANARY}]}], "messages[0].content[0].type"),
    ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": CANARY}]}], "messages[0].content[0].image_url"),
    ([{"role": "tool", "content": CANARY}], "messages[0].tool_call_id"),
    (
        [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": CANARY}}]}],
        "messages[0].tool_calls[0].function.arguments",
    ),
    ([{"role": "tool", "tool_call_id": "nobody", "content": CANARY}], "messages[0].tool_call_id"),
    ([CALLED], "messages[0]"),
    ([CALLED, {"role": "user", "content": CANARY}, ANSWERED], "messages[0]"),
    ([CALLED, ANSWERED, ANSWERED], "messages[2].tool_call_id"),
    ([CALLED, ANSWERED, CALLED, {"role": "user", "content": CANARY}], "messages[2]"),
]


@rows(("messages", "field"), BAD_MESSAGES, ids=[field for _, field in BAD_MESSAGES])
def test_bad_messages(client, messages, field):
    """The place of a bad message is named, what stood there is not."""
    with pytest.raises(InvalidRequest) as caught:
        client.chat(messages)
    assert field == caught.value.field
    assert field.split("[")[0] in str(caught.value)
    assert CANARY not in f"{caught.value} {caught.value!r}"
    assert caught.value.attempts == ()


def test_calls_that_are_answered_are_taken():
    """An id may come again in a later turn, results may come in any order, in one message or in several."""
    calls = [ToolCall("1", "f", {}), ToolCall("2", "f", {}), ToolCall("2", "f", {})]
    turn = [
        Message("assistant", calls),
        Message("tool", [ToolResult("2", "a"), ToolResult("1", "b")]),
        Message("tool", [ToolResult("2", "c")]),
    ]
    assert 7 == len(ChatRequest.read([Message("user", "Go"), *turn, *turn]).messages)


def test_the_nearest_key_is_named(client):
    """A mistyped key of a message is answered with the right one."""
    with pytest.raises(InvalidRequest, match="did you mean 'content'"):
        client.chat([{"role": "user", "contents": CANARY}])


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"stop": ""}, "stop"),
    ({"stop": [1]}, "stop"),
    ({"seed": 1.5}, "seed"),
    ({"reasoning": "much"}, "reasoning"),
    ({"reasoning": 0}, "reasoning"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": float("inf")}, "timeout"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tools": [get_weather], "tool_choice": "get_wether"}, "tool_choice"),
    ({"tools": get_weather}, "tools"),
    ({"tools": [7]}, "tools[0]"),
    ({"tools": [get_weather, get_weather]}, "tools"),
    ({"response_format": "xml"}, "response_format"),
    ({"response_format": {"foo": 1}}, "response_format"),
    ({"extra": {"openai": 1}}, "extra"),
    ({"extra": {"opnai": {}}}, "extra"),
    ({"temprature": 1}, "temprature"),
]


@rows(("options", "field"), BAD_OPTIONS, ids=[f"{number}-{field}" for number, (_, field) in enumerate(BAD_OPTIONS)])
def test_bad_options(client, options, field):
    """The option at fault is named, before anything is sent."""
    with pytest.raises(InvalidRequest) as caught:
        client.chat("Hi", **options)
    assert field == caught.value.field


def test_an_unknown_option_names_the_nearest(client):
    """A mistyped option is answered with the right one."""
    with pytest.raises(InvalidRequest, match="did you mean 'temperature'"):
        client.chat("Hi", temprature=1)


def test_text_that_utf_8_cannot_hold_is_refused(client):
    """A lone surrogate in a prompt is a bad request, not a crash of the encoder."""
    with pytest.raises(InvalidRequest):
        client.chat("\ud800")


# Tools


def test_a_typed_function_is_a_tool():
    """Name, docstring and annotations of a function give the tool's schema."""
    tool = Tool.from_function(get_weather)
    assert "get_weather" == tool.name
    assert "The weather in a city." == tool.description
    assert {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "its name, in any language"},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c", "description": "of the temperature"},
        },
        "required": ["city"],
    } == tool.parameters


def test_richer_types_have_schemas():
    """Enums, dataclasses, pydantic models, Annotated fields and names that pydantic keeps for itself all work."""

    class Color(enum.Enum):
        RED = "red"

    @dataclass
    class Size:
        width: int

    class Item(BaseModel):
        name: str

    def order(color: Color, size: Size, items: list[Item], model_name: str, n: Annotated[int, Field(ge=1)] = 1) -> None:
        """Order.

        :param color: which
        """

    globals().update(Color=Color, Size=Size, Item=Item)
    schema = Tool.from_function(order).parameters
    assert ["color", "size", "items", "model_name"] == schema["required"]
    assert {"Color", "Size", "Item"} == set(schema["$defs"])
    assert 1 == schema["properties"]["n"]["minimum"]
    assert "which" == schema["properties"]["color"]["description"]


def _untyped(city): ...
def _socket(connection: socket.socket): ...
def _positional(city: str, /): ...
def _many(*cities: str): ...


@rows(
    ("function", "said"),
    [
        (_untyped, "parameter city has no type"),
        (_socket, "parameter connection has the type socket, which has no JSON schema"),
        (_positional, "parameter city can't be given by name"),
        (_many, "parameter cities can't be given by name"),
        (lambda city: city, "a named function"),
    ],
)
def test_a_tool_that_cannot_be_described(client, function, said):
    """A function that no schema describes is refused with the parameter's name and what to do."""
    with pytest.raises(InvalidRequest, match=said):
        client.chat("Hi", tools=[function])


@rows(("name", "parameters"), [("get weather", None), ("x" * 65, None), ("f", {"type": "string"}), ("f", {})])
def test_a_tool_that_vendors_refuse(name, parameters):
    """A name or a schema that no vendor takes is refused when the tool is made."""
    with pytest.raises(InvalidRequest):
        Tool(name, "", *([parameters] if parameters is not None else []))


# Messages


def test_dicts_and_messages_mix():
    """The Chat Completions shape and our own messages may stand in one list."""
    messages = list(
        read_messages(
            [
                {"role": "developer", "content": "Be brief"},
                Message("user", [Text("Look"), Image(url="https://example.com/a.png")]),
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "annotations": [],
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "done"},
            ]
        )
    )
    assert ["system", "user", "assistant", "tool"] == [message.role for message in messages]
    assert [ToolCall("1", "f", {"a": 1}, '{"a": 1}')] == messages[2].tool_calls
    assert [ToolResult("1", "done")] == messages[3].content


def test_a_data_url_is_data():
    """A data: URL is taken apart, so that vendors who want bare base64 can have it."""
    image = Image(url="data:image/png;base64,aGk=")
    assert (None, "aGk=", "image/png") == (image.url, image.data, image.media_type)
    assert "data:image/png;base64,aGk=" == image.data_url


@rows(
    "arguments",
    [{}, {"url": "https://a", "data": "x"}, {"data": "x"}, {"url": "file:///etc/passwd"}, {"url": "data:x"}],
)
def test_a_bad_image(arguments):
    """An image that is nowhere, twice, untyped or a local path is refused."""
    with pytest.raises(InvalidRequest):
        Image(**arguments)


def test_an_image_from_a_file(tmp_path):
    """A file on disk becomes base64 data with its type."""
    path = tmp_path / "a.png"
    path.write_bytes(b"hi")
    assert Image(data="aGk=", media_type="image/png") == Image.from_file(path)


@rows(
    ("role", "content"),
    [("tool", "text"), ("user", [ToolResult("1", "x")]), ("system", [Image(url="https://a")]), ("x", "")],
)
def test_a_part_in_the_wrong_place(role, content):
    """A message can't hold a part that its role has no use for."""
    with pytest.raises(InvalidRequest):
        Message(role, content)


def test_no_repr_shows_what_was_said():
    """The repr of messages, parts and replies shows kinds and sizes, never text."""
    message = Message(
        "assistant",
        [Text(CANARY), ToolCall("1", "f", {"secret": CANARY}), Image(data=CANARY, media_type="image/png")],
    )
    assert CANARY not in repr(message)
    assert CANARY not in repr(Message("user", CANARY))
    assert CANARY not in repr(ToolResult("1", CANARY))
