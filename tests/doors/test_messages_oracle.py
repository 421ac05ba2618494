"""Anthropic's SDK comes in by the door of Messages: its own types, its own stream and its own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from llmswitch import Message, Text, ToolCall
from llmswitch._errors import AuthInvalid, ContextTooLong, LLMSwitchError, ModelGone, Overloaded, RateLimited
from llmswitch.doors import Asked
from llmswitch.doors.messages import MessagesDoor
from tests.doors.conversations import plain
from tests.doors.loopback import BREAKS, OPAQUE, Answered, answered, standing

pytestmark = pytest.mark.slow

USER: Any = {"role": "user", "content": "Hi"}
TOOLS: Any = [{"name": "add", "description": "Adds", "input_schema": {"type": "object", "properties": {}}}]
DONE = "tool_calls"


class City(BaseModel):
    name: str


@contextmanager
def coming_in(given: Answered | LLMSwitchError) -> Iterator[tuple[anthropic.Anthropic, list[Asked]]]:
    with (
        standing(MessagesDoor(), lambda _: given) as (url, heard),
        anthropic.Anthropic(api_key="k", base_url=url) as client,
    ):
        yield client, heard


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_the_sdk_holds_comes_back_as_it_was(stream: bool) -> None:
    """Thoughts, calls and what is opaque are of the SDK's types; its message goes back as it is, and is heard whole."""
    given = answered(OPAQUE, DONE)
    with coming_in(given) as (client, heard):
        asked: dict[str, Any] = {"model": "chain", "max_tokens": 50, "tools": TOOLS}
        if stream:
            with client.messages.stream(messages=[USER], **asked) as events:
                kinds = [event.type for event in events]
                message: Any = events.get_final_message()
            assert {"text", "thinking", "signature", "input_json", "message_stop"} <= set(kinds)
        else:
            message = client.messages.create(messages=[USER], **asked)
        type(message).model_validate(message.to_dict())
        assert (message.stop_reason, message.model, message.usage.input_tokens) == ("tool_use", "chain", 50)
        assert [block.input for block in message.content if block.type == "tool_use"] == [{"a": 1}, {"b": 2}]
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "3"}
            for block in message.content
            if block.type == "tool_use"
        ]
        turns: Any = [USER, {"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
        client.messages.create(messages=turns, **asked)
    assert plain(heard[1].messages[1].parts) == plain(given[0].message.parts)
    assert heard[1].messages[2].role == "tool"


def test_every_event_is_of_the_sdks_types() -> None:
    """Its types, asked to be strict about what has to be there, take each event of a stream."""
    with coming_in(answered(OPAQUE, DONE)) as (client, _):
        adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
        with client.messages.create(model="c", max_tokens=9, messages=[USER], stream=True) as events:
            kinds = [adapter.validate_python(event.to_dict(mode="json")).type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])


def test_structured_output_is_parsed_by_the_sdk() -> None:
    """`messages.parse` sends its schema and gets its object, which goes back into the conversation as it is."""
    with coming_in(answered([Text('{"name": "Bern"}')])) as (client, heard):
        parsed = client.messages.parse(model="chain", max_tokens=50, messages=[USER], output_format=City)
        assert parsed.parsed_output == City(name="Bern")
        turns: Any = [USER, {"role": "assistant", "content": parsed.content}, USER]
        client.messages.create(model="chain", max_tokens=50, messages=turns)
    form: Any = heard[0].options["response_format"]
    assert form["properties"]["name"]["type"] == "string"
    assert heard[1].messages[1] == Message("assistant", [Text('{"name": "Bern"}')])


def test_a_call_without_arguments_is_an_empty_object() -> None:
    """A stream of a call that takes nothing leads to an empty input."""
    given = answered([ToolCall("c1", "add", {})], DONE)
    with (
        coming_in(given) as (client, _),
        client.messages.stream(model="c", max_tokens=9, messages=[USER], tools=TOOLS) as stream,
    ):
        block: Any = stream.get_final_message().content[0]
    assert (block.id, block.input) == ("c1", {})


ERRORS: list[tuple[LLMSwitchError, type[anthropic.APIStatusError]]] = [
    (ContextTooLong("too long"), anthropic.BadRequestError),
    (ModelGone("gone"), anthropic.NotFoundError),
    (RateLimited("slow"), anthropic.RateLimitError),
    (AuthInvalid("the key is refused"), anthropic.InternalServerError),
    (Overloaded("busy"), anthropic.InternalServerError),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_error_is_of_the_sdks_own_class(error: LLMSwitchError, kind: type[anthropic.APIStatusError]) -> None:
    """The SDK raises its class at once, without trying again."""
    calls: list[Asked] = []

    def script(asked: Asked) -> LLMSwitchError:
        calls.append(asked)
        return error

    with (
        standing(MessagesDoor(), script) as (url, _),
        anthropic.Anthropic(api_key="k", base_url=url, max_retries=2) as client,
        pytest.raises(kind) as raised,
    ):
        client.messages.create(model="chain", max_tokens=9, messages=[USER])
    assert raised.value.body["llmswitch"]["error"] == type(error).__name__  # type: ignore[index]
    assert len(calls) == 1


def test_a_stream_that_breaks_off_raises() -> None:
    """What fails after it began is an error of the SDK's too, not a short answer."""
    with (
        coming_in(answered([Text(BREAKS)])) as (client, _),
        pytest.raises(anthropic.APIStatusError, match="broke off"),
        client.messages.stream(model="chain", max_tokens=9, messages=[USER]) as stream,
    ):
        stream.get_final_message()
