"""OpenAI's SDK comes in by the door of Responses: its own types, its own stream and its own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from llmswitch import Message, Text
from llmswitch._errors import AuthInvalid, ContextTooLong, LLMSwitchError, ModelGone, Overloaded, RateLimited
from llmswitch.doors import Asked
from llmswitch.doors.responses import ResponsesDoor
from tests.doors.conversations import plain
from tests.doors.loopback import BREAKS, OPAQUE, Answered, answered, standing

pytestmark = pytest.mark.slow

USER: Any = {"role": "user", "content": "Hi"}
TOOLS: Any = [{"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}]


class City(BaseModel):
    name: str


@contextmanager
def coming_in(given: Answered | LLMSwitchError) -> Iterator[tuple[openai.OpenAI, list[Asked]]]:
    with (
        standing(ResponsesDoor(), lambda _: given) as (url, heard),
        openai.OpenAI(api_key="k", base_url=f"{url}/v1") as client,
    ):
        yield client, heard


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_the_sdk_holds_comes_back_as_it_was(stream: bool) -> None:
    """Thoughts, calls and what is opaque are of the SDK's types; its output goes back as it is, and is heard whole."""
    given = answered(OPAQUE, "tool_calls")
    with coming_in(given) as (client, heard):
        if stream:
            with client.responses.stream(model="chain", input=[USER], tools=TOOLS) as events:
                kinds = {event.type for event in events}
                response: Any = events.get_final_response()
            assert {"response.output_text.delta", "response.function_call_arguments.delta"} <= kinds
        else:
            response = client.responses.create(model="chain", input=[USER], tools=TOOLS)
        assert (response.status, response.model, response.usage.total_tokens) == ("completed", "chain", 107)
        assert response.output_text == "Here: now."
        calls = [item for item in response.output if item.type == "function_call"]
        assert [call.arguments for call in calls] == ['{"a": 1}', '{"b": 2}']
        outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "3"} for call in calls]
        client.responses.create(model="chain", input=[USER, *response.output, *outputs], tools=TOOLS)
    assert plain(heard[1].messages[1].parts) == plain(given[0].message.parts)
    assert heard[1].messages[2].role == "tool"


def test_every_event_and_answer_is_of_the_sdks_types() -> None:
    """Its types, asked to be strict about what has to be there, take the whole answer and each event."""
    given = answered(OPAQUE, "tool_calls")
    with coming_in(given) as (client, _):
        answer = client.responses.with_raw_response.create(model="chain", input=[USER], tools=TOOLS)
        Response.model_validate_json(answer.text)
        with client.responses.create(model="chain", input=[USER], tools=TOOLS, stream=True) as events:
            adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
            kinds = [adapter.validate_python(event.to_dict(mode="json")).type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert "response.reasoning_summary_text.delta" in kinds


@pytest.mark.parametrize("stream", [False, True])
def test_structured_output_is_parsed_by_the_sdk(stream: bool) -> None:
    """`responses.parse` and its stream send a schema and get an object, which goes back as it is."""
    with coming_in(answered([Text('{"name": "Bern"}')])) as (client, heard):
        if stream:
            with client.responses.stream(model="chain", input="Hi", text_format=City) as events:
                parsed: Any = events.get_final_response()
        else:
            parsed = client.responses.parse(model="chain", input="Hi", text_format=City)
        assert parsed.output_parsed == City(name="Bern")
        client.responses.create(model="chain", input=[USER, *parsed.output, USER])
    form: Any = heard[0].options["response_format"]
    assert form["properties"]["name"]["type"] == "string"
    assert heard[1].messages[1] == Message("assistant", [Text('{"name": "Bern"}')])


def test_a_refusal_is_no_object() -> None:
    """Where the model refuses, there is a refusal in place of the form."""
    with coming_in(answered([Text("I won't")], "refusal")) as (client, _):
        parsed: Any = client.responses.parse(model="chain", input="Hi", text_format=City)
    assert parsed.output_parsed is None
    assert parsed.output[0].content[0].refusal == "I won't"


ERRORS: list[tuple[LLMSwitchError, type[openai.APIStatusError], str]] = [
    (ContextTooLong("too long"), openai.BadRequestError, "context_length_exceeded"),
    (ModelGone("gone"), openai.NotFoundError, "model_not_found"),
    (RateLimited("slow"), openai.RateLimitError, "rate_limit_exceeded"),
    (AuthInvalid("the key is refused"), openai.InternalServerError, "server_error"),
    (Overloaded("busy"), openai.InternalServerError, "server_overloaded"),
]


@pytest.mark.parametrize(("error", "kind", "code"), ERRORS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_error_is_of_the_sdks_own_class(error: LLMSwitchError, kind: type[openai.APIStatusError], code: str) -> None:
    """The SDK raises its class at once, without trying again."""
    calls: list[Asked] = []

    def script(asked: Asked) -> LLMSwitchError:
        calls.append(asked)
        return error

    with (
        standing(ResponsesDoor(), script) as (url, _),
        openai.OpenAI(api_key="k", base_url=url, max_retries=2) as client,
        pytest.raises(kind) as raised,
    ):
        client.responses.create(model="chain", input="Hi")
    assert raised.value.code == code
    assert len(calls) == 1


def test_a_stream_that_breaks_off_raises() -> None:
    """What fails after it began is an error of the SDK's too, not a short answer."""
    with (
        coming_in(answered([Text(BREAKS)])) as (client, _),
        pytest.raises(openai.APIError, match="broke off"),
        client.responses.stream(model="chain", input="Hi") as stream,
    ):
        stream.until_done()
