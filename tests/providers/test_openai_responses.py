"""Responses: what goes out of a conversation, what an answer's items become, and which models are asked in it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    Client,
    ConfigError,
    Document,
    Image,
    Message,
    Reasoning,
    StreamInterrupted,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmswitch._capabilities import Capabilities
from llmswitch._catalog import find_model
from llmswitch._errors import IncompleteToolCall, LLMSwitchError
from llmswitch.providers.openai_responses import ResponsesOptions
from llmswitch.providers.openai_responses_wire import ResponsesWire
from llmswitch.testing import FakeVendor
from tests.providers.one_vendor import OneVendor
from tests.rows import rows

MODEL = "openai:gpt-5.4-mini"
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
SEALED = {**THOUGHT, "encrypted_content": "gAAAA-1"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "now", "arguments": "{}"}
NO_ID = {name: CALL[name] for name in CALL if name != "id"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYED_VENDOR_KEY", "CANARY-key-0f4c2a9b7d31e865")


def said(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content, **more}


def whole(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "m", "status": status, "output": list(output), **more}


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


# What goes out


def test_what_was_said_becomes_items() -> None:
    """Only the system's first words are instructions; files, pictures in results and errors have their forms."""
    conversation = [
        Message("system", "Brief."),
        Message("user", [Text("See"), Document(url="https://example.com/a.pdf")]),
        Message("assistant", [Text("I look."), ToolCall("c1", "now", {}), ToolCall("c2", "now", {})]),
        Message("tool", [ToolResult("c1", [Image(data="aGk=", media_type="image/png")]), ToolResult("c2", "no", True)]),
        Message("system", "Be kind."),
        Message("user", "Well?"),
    ]
    body = OneVendor(MODEL).sent(conversation)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    file = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    assert body["instructions"] == "Brief."
    assert body["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "See"}, file]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [picture]},
        {"type": "function_call_output", "call_id": "c2", "output": "Error: no"},
        {"type": "message", "role": "system", "content": "Be kind."},
        {"type": "message", "role": "user", "content": "Well?"},
    ]
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])


def test_tools_are_strict_only_where_that_asks_for_nothing_more() -> None:
    """A tool whose arguments are all required is strict; one with an optional argument would be changed by it."""
    optional = {**CITY, "properties": {**CITY["properties"], "unit": {"type": "string"}}}
    body = OneVendor(MODEL).sent(tools=[Tool("all", "", CITY), Tool("some", "", optional)], tool_choice="some")
    assert [(tool["name"], tool["strict"]) for tool in body["tools"]] == [("all", True), ("some", False)]
    assert body["tools"][0]["parameters"] == {**CITY, "additionalProperties": False}
    assert body["tools"][1]["parameters"] == optional
    assert body["tool_choice"] == {"type": "function", "name": "some"}


def test_thinking_is_summed_up_for_who_asks_for_it() -> None:
    """A level asks for a summary too, unless that is switched off; without a level the model is left alone."""
    assert "reasoning" not in OneVendor(MODEL).sent()
    assert OneVendor(MODEL).sent(reasoning="low")["reasoning"] == {"effort": "low", "summary": "auto"}
    assert OneVendor(MODEL, options={"summary": ""}).sent(reasoning="low")["reasoning"] == {"effort": "low"}
    body = OneVendor(MODEL).sent(reasoning="off")
    assert (body["reasoning"], "include" in body) == ({"effort": "none"}, False)


def test_fields_of_the_callers_own_have_their_places() -> None:
    """`extra` is taken by the names of Chat Completions where the field moved, beside the form that was asked for."""
    own = {
        "store": True,
        "verbosity": "low",
        "reasoning_effort": "xhigh",
        "service_tier": "flex",
        "metadata": {"a": "b"},
    }
    body = OneVendor(MODEL).sent(extra={"openai": own}, response_format="json")
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert body["reasoning"] == {"effort": "xhigh"}
    assert (body["store"], body["service_tier"], body["metadata"]) == (True, "flex", {"a": "b"})
    hosted = {"openai": {"tools": [{"type": "web_search"}]}}
    body = OneVendor(MODEL).sent(extra=hosted, tools=[Tool("now", "")])
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]


def test_what_was_changed_is_said_on_the_reply() -> None:
    """A limit below the least that is taken is raised to it, and names of speakers have no field."""
    vendor = OneVendor(MODEL)
    assert vendor.sent(max_tokens=3)["max_output_tokens"] == 16
    client = vendor.client(httpx.Response(200, json=whole(said("Hi"))))
    reply = client.chat([Message("user", "Hi", name="Ann")], max_tokens=3)
    assert ["name_left_out", "max_tokens_raised"] == [warning.code for warning in reply.warnings]


@rows("options", [{"extra": {"openai": {"n": 2, "logit_bias": {}}}}, {"seed": 7}, {"stop": "END"}])
def test_what_the_dialect_has_not_is_refused(options: dict[str, Any]) -> None:
    """Nothing is dropped in silence: what has no field here is refused before a byte is sent."""
    vendor = OneVendor(MODEL)
    with pytest.raises(CapabilityMismatch, match=next(iter(options.get("extra", {}).get("openai", options)))):
        vendor.sent(**options)
    assert vendor.requests == []


# What comes back, and goes out again


def test_items_of_the_vendors_go_back_in_their_places() -> None:
    """Hidden thoughts, searches and the phase of a text; a null says nothing, and no item goes back with its id."""
    vendor = OneVendor(MODEL)
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    drawn = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}
    texts = said("I look.", phase="commentary"), said("Now.", phase="final_answer")
    thought = {**SEALED, "content": None, "id": "rs_2"}
    reply = vendor.reply(whole(SEALED, {**search, "id": "ws_1"}, drawn, texts[0], thought, CALL, texts[1]))
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("I look.Now.", "Hm.Hm.", "tool_calls")
    turn = [Message("user", "Time?"), reply.message, Message("tool", [ToolResult("call_1", "noon")])]
    items = vendor.sent(turn)["input"][1:]
    kept = {name: value for name, value in SEALED.items() if name != "id"}
    assert [items[0], items[1], items[3], items[4]] == [kept, search, kept, NO_ID]
    assert [item.get("phase") for item in items] == [None, None, "commentary", None, None, "final_answer", None]
    azure = OneVendor("azure:gpt-5", resource="r", dialect="openai-responses")
    answer = azure.reply(whole(SEALED, CALL)).message
    assert azure.sent([turn[0], answer, turn[2]])["input"][1:3] == [SEALED, NO_ID]


def test_a_thought_that_nothing_follows_stays_at_home() -> None:
    """The vendor refuses a thought without what it led to, and one that is no more than an id, which it never kept."""
    vendor = OneVendor(MODEL)
    cut = vendor.reply(whole(said("Well,"), SEALED, status="incomplete", incomplete_details={"reason": "max_messages"}))
    plain = vendor.reply(whole(THOUGHT, said("Yes.")))
    assert (cut.finish_reason, plain.reasoning) == ("length", "Hm.")
    items = vendor.sent([Message("user", "A"), cut.message, plain.message, Message("user", "B")])["input"]
    assert [item.get("role") for item in items] == ["user", "assistant", "assistant", "user"]


@rows(
    ("answer", "reason"),
    [
        (whole(said("Hi")), "stop"),
        (whole(CALL), "tool_calls"),
        (whole(CALL, status="requires_action"), "tool_calls"),
        (whole({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}), "refusal"),
        (whole(said("H"), status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (whole(said("H"), status="incomplete", incomplete_details={"reason": "a new one"}), "other"),
    ],
)
def test_why_an_answer_ended(answer: dict[str, Any], reason: str) -> None:
    """The finish reason is read from status, details and items, whole and streamed."""
    last = {"type": f"response.{'incomplete' if answer['status'] == 'incomplete' else 'completed'}", "response": answer}
    _, streamed = OneVendor(MODEL).streamed(stream(last))
    assert (OneVendor(MODEL).reply(answer).finish_reason, streamed.finish_reason) == (reason, reason)


def test_tokens_are_counted_by_either_names() -> None:
    """What was read from the cache and written to it is within the input, by OpenAI's names and by Perplexity's."""
    details = {"cached_tokens": 4, "cache_write_tokens": 3}
    usage = {"input_tokens": 9, "output_tokens": 5, "input_tokens_details": details}
    counted = OneVendor(MODEL).reply(whole(usage={**usage, "output_tokens_details": {"reasoning_tokens": 2}})).usage
    assert (counted.input_tokens, counted.cached_tokens, counted.cache_write_tokens) == (9, 4, 3)
    assert (counted.output_tokens, counted.reasoning_tokens) == (5, 2)
    usage["input_tokens_details"] = {"cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}
    counted = OneVendor("perplexity").reply(whole(usage=usage)).usage
    assert (counted.cached_tokens, counted.cache_write_tokens) == (4, 3)


# Streams


def test_a_stream_without_deltas_is_read_from_its_items() -> None:
    """Copies send items whole, events that nobody knows, no numbers, and `[DONE]`: what is there is taken once."""
    started = {"type": "response.reasoning.started", "thought": "x"}
    numberless = [
        {name: value for name, value in done(0, item).items() if name != "output_index"} for item in (said("Hi"), CALL)
    ]
    last = {"type": "response.completed", "response": whole(said("Hi"), CALL)}
    for events in ([started, done(0, said("Hi")), done(1, CALL)], numberless, []):
        _, reply = OneVendor(MODEL).streamed(stream(*events, last) + b"data: [DONE]\n\n")
        assert (reply.text, [call.name for call in reply.tool_calls]) == ("Hi", ["now"])


def test_much_may_stand_before_the_answer() -> None:
    """The first events hold the whole request again, and hosted tools say much while they work: no fault in that."""
    begun = {"type": "response.created", "response": {**whole(), "instructions": "x" * 200_000}}
    searching = {"type": "response.web_search_call.searching", "output_index": 0}
    last = {"type": "response.completed", "response": whole(said("Hi"))}
    _, reply = OneVendor(MODEL).streamed(stream(begun, begun, *[searching] * 200, last))
    assert reply.text == "Hi"


def test_thoughts_in_several_parts_are_paragraphs() -> None:
    """The parts of a summary stand apart, streamed as whole, and what is sealed is that of the item's last event."""
    item = {**SEALED, "summary": [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]}
    at = {"output_index": 0, "item_id": "rs_1", "type": "response.reasoning_summary_text.delta"}
    deltas = [{**at, "summary_index": 0, "delta": "One."}, {**at, "summary_index": 1, "delta": "Two."}]
    begun = {"type": "response.output_item.added", "output_index": 0, "item": {**THOUGHT, "encrypted_content": "gA"}}
    last = {"type": "response.completed", "response": whole(item, said("Hi"))}
    _, streamed = OneVendor(MODEL).streamed(stream(begun, *deltas, done(0, item), last))
    reply = OneVendor(MODEL).reply(whole(item, said("Hi")))
    assert "One.\n\nTwo." == streamed.reasoning == reply.reasoning
    (thought,) = (part for part in streamed.message.parts if isinstance(part, Reasoning))
    assert thought.vendor is not None
    assert dict(thought.vendor.data) == item
    assert streamed.message == reply.message


def test_what_is_sealed_may_come_at_the_very_end() -> None:
    """Where a thought's own last event lacks its sealed content, it is that of the whole answer (Azure)."""
    last = {"type": "response.completed", "response": whole(SEALED, said("Hi"))}
    _, reply = OneVendor(MODEL).streamed(stream(done(0, THOUGHT), done(1, said("Hi")), last))
    assert isinstance(reply.message.parts[0], Reasoning)
    assert reply.message.parts[0].vendor is not None
    assert reply.message.parts[0].vendor.data["encrypted_content"] == SEALED["encrypted_content"]


def test_items_that_come_at_once_are_told_apart() -> None:
    """Pieces go to the item that they name, in the order in which they came; `[DONE]` alone is no end of an answer."""
    deltas = [
        {"type": "response.output_text.delta", "output_index": index, "delta": text}
        for index, text in ((0, "One"), (1, "Two"), (0, "."))
    ]
    last = {"type": "response.completed", "response": whole(said("One."), said("Two"))}
    _, reply = OneVendor(MODEL).streamed(stream(*deltas, last))
    assert [part.text for part in reply.message.parts if isinstance(part, Text)] == ["One", "Two", "."]
    with pytest.raises(StreamInterrupted):
        OneVendor(MODEL).streamed(stream(*deltas) + b"data: [DONE]\n\n")


def test_a_stream_that_lost_something_says_so() -> None:
    """Text that is not what the whole answer says is warned of; arguments of a call that are not are no call."""
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "H!"}
    _, reply = OneVendor(MODEL).streamed(
        stream(delta, done(0, said("Hi!")), {"type": "response.completed", "response": whole(said("Hi!"))})
    )
    assert (reply.text, [warning.code for warning in reply.warnings]) == ("H!", ["text_differs"])
    begun = {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}}
    piece = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}
    with pytest.raises(LLMSwitchError, match="not those that were streamed"):
        OneVendor(MODEL).streamed(stream(begun, piece, done(0, {**CALL, "arguments": '{"zone": "UTC"}'})))


@rows("arguments", ["", "{}", '{"city": "Pa'])
def test_a_call_that_was_cut_is_none(arguments: str) -> None:
    """A call in an answer that the limit cut is not run, whatever its arguments look like."""
    cut = {**CALL, "arguments": arguments, "status": "incomplete"}
    answer = whole(cut, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    with pytest.raises(IncompleteToolCall):
        OneVendor(MODEL).reply(answer)
    with pytest.raises(IncompleteToolCall):
        OneVendor(MODEL).streamed(stream(done(0, cut), {"type": "response.incomplete", "response": answer}))


@rows(
    ("event", "becomes"),
    [
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}},
            "RateLimited",
        ),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}, "ServerError"),
        (
            {"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "m"}}},
            "ContentFiltered",
        ),
        ({"type": "response.failed", "response": {"error": {"code": "image_too_large", "message": "m"}}}, "BadRequest"),
        ({"type": "response.failed", "error": {"code": "server_error", "message": "m"}}, "ServerError"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None}, "RateLimited"),
        ({"type": "error", "error": {"type": "insufficient_quota", "code": None, "message": "m"}}, "Arrears"),
    ],
)
def test_a_failure_is_classified_by_its_code(event: dict[str, Any], becomes: str) -> None:
    """What fails at the beginning of a stream is what its code says, as it would be in Chat Completions."""
    with pytest.raises(LLMSwitchError) as caught:
        OneVendor(MODEL).streamed(stream({"type": "response.created", "response": {"id": "r"}}, event))
    found = caught.value.__cause__ if isinstance(caught.value, StreamInterrupted) else caught.value
    assert type(found).__name__ == becomes


KEPT = {name: THOUGHT[name] for name in THOUGHT if name != "id"}
SAID = {"type": "message", "role": "user", "content": "Hi"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}


@rows(
    ("items", "why"),
    [
        ([SAID, SEALED, NO_ID, RESULT], "not as given"),
        ([SAID, {**KEPT, "encrypted_content": "c2VhbA"}], "nothing follows"),
        ([SAID, CALL, RESULT], "is looked for"),
        ([SAID, NO_ID, SAID], "answered first"),
        ([SAID, NO_ID, RESULT, RESULT], "and once"),
        ([SAID, NO_ID], "every call is answered"),
    ],
)
def test_the_vendors_side_refuses(items: list[dict[str, Any]], why: str) -> None:
    """What Responses refuses in a conversation, its side of the wire refuses."""
    wire = ResponsesWire(ResponsesOptions(), Capabilities(tools=True))
    with pytest.raises(AssertionError, match=why):
        wire.hear({"model": "m", "store": False, "input": items})


# Who is asked in it


def sent_to(config: dict[str, Any], target: Any) -> list[str]:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json={**whole(said("Hi")), "choices": [{"message": {"content": "Hi"}}]})

    given = {"providers": {"openai": {"api_key": {"env": "PLAYED_VENDOR_KEY"}, **config}}, "default": "a"}
    with Client.from_config(
        {**given, "chains": {"a": {"targets": [target]}}}, http_client=FakeVendor(answer)
    ) as client:
        client.chat("Hi")
    return paths


@rows(
    ("config", "target", "path"),
    [
        ({}, "openai:gpt-6-luna", "/v1/responses"),
        ({}, "openai:gpt-4.1", "/v1/chat/completions"),
        ({"dialect": "openai"}, "openai:gpt-6-luna", "/v1/chat/completions"),
        ({"dialect": "openai-responses"}, "openai:gpt-4.1", "/v1/responses"),
        ({"dialect": "openai"}, {"target": "openai:gpt-5", "dialect": "openai-responses"}, "/v1/responses"),
        ({"options": {"max_tokens_field": "max_tokens", "summary": ""}}, "openai:gpt-5", "/v1/responses"),
        ({"options": {"max_tokens_field": "max_tokens", "summary": ""}}, "openai:gpt-4o", "/v1/chat/completions"),
    ],
)
def test_the_dialect_is_the_models_the_providers_or_the_targets(config: dict[str, Any], target: Any, path: str) -> None:
    """The file says for each model; the configuration of the provider, and then of the target, say otherwise."""
    assert sent_to(config, target) == [path]


def test_a_dialect_that_the_provider_does_not_speak_is_told_of() -> None:
    """A target's dialect is one of its provider's, which are named; the catalog says which is usual."""
    with pytest.raises(
        ConfigError, match="can't be asked in the dialect 'anthropic'; it has: openai, openai-responses"
    ):
        sent_to({}, {"target": "openai:gpt-5", "dialect": "anthropic"})
    assert [find_model(f"openai:{name}").dialect for name in ("gpt-5", "gpt-4.1")] == ["openai-responses", "openai"]


def test_a_server_of_ones_own_speaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dialect` makes a provider of its own, whose failures are read by OpenAI's rules."""
    vendor = OneVendor("mine:m", dialect="openai-responses", base_url="http://127.0.0.1:9/v1")
    assert vendor.reply(whole(said("Hi"))).text == "Hi"
    error, _ = vendor.refusal(429, {"error": {"code": "credit_balance_exhausted", "message": "no"}})
    assert type(error).__name__ == "Arrears"


def test_perplexity_departs_from_it() -> None:
    """History as strings, the form in a field of its own, results that repeat their call, nothing opaque sent back."""
    vendor = OneVendor("perplexity")
    found = {"type": "search_results", "results": []}
    reply = vendor.reply(whole(found, {**CALL, "thought_signature": "c2ln"}, said("I look."), status="requires_action"))
    conversation = [Message("user", "Time?"), reply.message, Message("tool", [ToolResult("call_1", "noon")])]
    body = vendor.sent(conversation, response_format={**CITY, "required": []}, reasoning="low")
    call = {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}", "thought_signature": "c2ln"}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "noon", "name": "now"}
    assert body["input"][1:] == [
        call,
        {"type": "message", "role": "assistant", "content": "I look."},
        {**result, "thought_signature": "c2ln"},
    ]
    assert body["response_format"]["json_schema"]["schema"]["properties"] == CITY["properties"]
    assert (body["reasoning"], body["store"]) == ({"effort": "low"}, False)
    assert {"text", "include", "tool_choice"} & set(body) == set()
    error, scope = vendor.refusal(
        401, {"error": {"message": "You are out of credits", "type": "unauthorized", "code": 401}}
    )
    assert (type(error).__name__, scope) == ("Arrears", "account")
