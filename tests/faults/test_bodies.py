"""Whole bodies that are not what they should be: wrong form, wrong length, no JSON, or an error under a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch.testing.fault_server import Close, Hang, Pause, ReadRequest, Send, response, sse
from tests.everyday import some
from tests.faults.bench import (
    DONE,
    HEALTHY,
    JSON,
    PATIENT,
    STOP,
    Bench,
    Script,
    answering,
    completion,
    delta,
    refusing,
    spelled,
    streamed,
    words,
)

PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>CANARY-page " + "x" * 5000 + "</body></html>"
JSON_TYPE = {"content-type": "application/json"}
SSE_TYPE = {"content-type": "text/event-stream"}


def answer(body: Any, headers: Any = None, status: int = 200) -> Script:
    """The script of a server that answers everything with this."""
    return refusing(status, body, JSON_TYPE if headers is None else headers)


# The other form


def test_row_56_json_for_a_stream(streaming: Bench) -> None:
    """JSON in place of a stream is read as what it is, told as a stream, and flagged."""
    outcome = streaming.ask(answer(completion("from T1")))
    assert ([("t1:m", None)], "from T1") == (outcome.trail, outcome.text)
    assert ("from T1", "stop", 7) == (
        outcome.answered.text,
        outcome.answered.finish_reason,
        outcome.answered.usage.output_tokens,
    )


def test_row_56_a_stream_for_a_whole_answer(whole: Bench) -> None:
    """A stream in place of JSON is collected, and flagged."""
    outcome = whole.ask([ReadRequest(), Send(sse(streamed("from T1")))])
    assert ([("t1:m", None)], "from T1", 7) == (outcome.trail, outcome.text, outcome.answered.usage.output_tokens)


def test_row_56_is_said(bench: Bench) -> None:
    """Either way the reply says that the answer came in another form than was asked for."""
    if bench.way.stream:
        outcome = bench.ask(answer(completion("from T1")))
    else:
        outcome = bench.ask([ReadRequest(), Send(sse(streamed("from T1")))])
    assert outcome.answered.warnings


# Pages


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/html; charset=utf-8"}, {"content-type": "application/json"}, {}, SSE_TYPE]
)
def test_row_57_a_page_with_200(bench: Bench, headers: dict[str, str]) -> None:
    """A page in place of an answer, whatever it calls itself, is `MalformedResponse`, and is hardly quoted."""
    outcome = bench.ask(answer(PAGE, headers))
    bench.moved(outcome, "MalformedResponse", billed=True, closed=False)
    assert "CANARY-page" not in repr(outcome.attempts)
    assert len(outcome.attempts[0].message or "") <= 400


@pytest.mark.parametrize(
    ("status", "error", "tries"),
    [(502, "ServerError", 2), (503, "Overloaded", 1), (403, "RegionBlocked", 1), (451, "RegionBlocked", 1)],
)
def test_row_58_a_page_with_an_error(bench: Bench, status: int, error: str, tries: int) -> None:
    """A page with an error's status is classified by that: a block page is a region's, not a key's."""
    outcome = bench.ask(answer(PAGE, {"content-type": "text/html"}, status))
    bench.moved(outcome, error, billed=None, tries=tries, closed=False)
    assert "CANARY-page" not in repr(outcome.attempts)


# Errors under a 200

DISGUISED: list[tuple[JSON, str]] = [
    ({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "Arrears"),
    ({"error": {"message": "slow down", "code": "rate_limit_exceeded", "type": "requests"}}, "RateLimited"),
    ({"error": {"message": "Your account balance is insufficient", "code": None}}, "Arrears"),
    ({"error": {"message": "The engine is currently overloaded, please try again later"}}, "Overloaded"),
    ({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, "AuthInvalid"),
    ({"error": {"message": "Country, region, or territory not supported"}}, "RegionBlocked"),
    ({"error": {"message": "no", "code": 429}}, "RateLimited"),
    ({"error": {"message": "no", "code": "503"}}, "Overloaded"),
    ({"error": "overloaded"}, "Overloaded"),
    ({"code": "insufficient_quota", "message": "Access denied"}, "Arrears"),
]


@pytest.mark.parametrize(("body", "error"), some(DISGUISED, 3), ids=[json.dumps(body)[:50] for body, _ in DISGUISED])
def test_row_59_an_error_with_200(bench: Bench, body: JSON, error: str) -> None:
    """An error under a 200 is classified by its code and its words, as the same error with a status of its own is."""
    bench.moved(bench.ask(answer(body)), error, billed=None, closed=False)


# Nothing, and half of something


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, JSON_TYPE), (200, {}), (200, SSE_TYPE), (204, {}), (202, JSON_TYPE), (205, {})],
    ids=["json", "no-type", "stream", "204", "202", "205"],
)
def test_row_60_an_empty_body(bench: Bench, status: int, headers: dict[str, str]) -> None:
    """Nothing at all is `MalformedResponse`, whatever the status and the type."""
    bench.moved(bench.ask(answer(b"", headers, status)), "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_row_61_cut_json(bench: Bench, share: float) -> None:
    """JSON that stops in the middle of a body that is as long as it says is `MalformedResponse`."""
    body = json.dumps(completion("a" * 500))
    sent = body[: int(len(body) * share)]
    bench.moved(bench.ask(answer(sent)), "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_body_that_stalls_where_a_stream_was_asked_for(streaming: Bench, share: float) -> None:
    """One that comes in a piece has no more time to be silent than a stream: to begin, and then to go on."""
    body = json.dumps(completion("a" * 500))
    begun = response(200, body[: int(len(body) * share)], {**JSON_TYPE, "content-length": str(len(body))})
    limits = {**PATIENT, "first_token_timeout": 0.4, "idle_timeout": 0.2}
    outcome = streaming.ask([ReadRequest(), Send(begun), Hang()], limits=limits)
    streaming.moved(outcome, "FirstTokenTimeout", billed=True, within=2.0)


def test_row_62_a_length_that_is_too_long(whole: Bench) -> None:
    """A body that ends before its length is no answer, even where what came is one."""
    body = json.dumps(completion("from T1"))
    script = [ReadRequest(), Send(response(200, body, {**JSON_TYPE, "content-length": "9999"})), Pause(0.02), Close()]
    whole.moved(whole.ask(script), "NoResponse", billed=True)


def test_row_62_a_length_that_is_too_short(bench: Bench) -> None:
    """A body that goes on after its length is cut there: `MalformedResponse`, and the rest is nobody's answer."""
    body = json.dumps(completion("from T1"))
    sent = response(200, body, {**JSON_TYPE, "content-length": str(len(body) - 20)})
    bench.open([ReadRequest(), Send(sent)], answering("second"))
    bench.moved(bench.ask(), "MalformedResponse", billed=True, closed=False)
    assert "second" == bench.ask(options={"model": "t1:m"}).text


@pytest.mark.parametrize("apart", [False, True], ids=["in-one-packet", "in-two"])
def test_row_62_what_comes_after_an_answer_is_nobodys(bench: Bench, apart: bool) -> None:
    """A second answer sent after the first is not taken for the answer to the next request."""
    foreign = response(200, completion("FOREIGN"))
    if bench.way.stream:
        first, foreign = sse(streamed("first")), sse(streamed("FOREIGN"))
    else:
        first = response(200, completion("first"))
    script = [ReadRequest(), Send(first), Pause(0.02), Send(foreign)]
    bench.open(script if apart else [ReadRequest(), Send(first + foreign)], answering("second"))
    assert "first" == bench.ask().text
    bench.settle()
    if apart:
        import time

        time.sleep(0.05)
    outcome = bench.ask()
    assert "FOREIGN" not in outcome.text
    assert "second" == outcome.text


# JSON that is none, or hardly

DEEP = "[" * 100_000 + "]" * 100_000
NO_JSON = {
    "NaN": '{"choices": NaN}',
    "Infinity": json.dumps(completion("x")).replace('"index": 0', '"index": -Infinity'),
    "deep": DEEP,
    "deep-in-an-answer": json.dumps({**completion("x"), "extra": 0})[:-2] + DEEP + "}",
    "long-number": json.dumps({**completion("x"), "created": 0})[:-2] + "9" * 10_000 + "}",
    "words": "not json at all",
    "two-values": json.dumps(completion("x")) * 2,
    "number": "42",
    "list": "[]",
    "text": '"words"',
    "null": "null",
    "comment": "// hello\n" + json.dumps(completion("x")),
}


@pytest.mark.parametrize("body", some(NO_JSON.values(), 3), ids=NO_JSON)
def test_row_63_json_that_is_none(bench: Bench, body: str) -> None:
    """What is not JSON, or JSON that no reader can hold, is `MalformedResponse` and nothing worse."""
    bench.moved(bench.ask(answer(body)), "MalformedResponse", billed=True, closed=False)


EVENTS = {name: body for name, body in NO_JSON.items() if "\n" not in body and name != "list"}


@pytest.mark.parametrize("body", some(EVENTS.values(), 4), ids=EVENTS)
def test_row_63_in_an_event(streaming: Bench, body: str) -> None:
    """The same in the first event of a stream."""
    outcome = streaming.ask([ReadRequest(), Send(sse([body, *words(3), STOP, DONE]))])
    streaming.moved(outcome, "MalformedResponse", billed=True, closed=False)


@pytest.mark.parametrize("body", some([*NO_JSON.values(), '{"error": ' + '{"error": ' * 3000, '["' + "x" * 200_000], 4))
def test_row_63_in_a_refusal(whole: Bench, body: str) -> None:
    """In the body of a refusal it is not even that: the status is what counts."""
    whole.moved(whole.ask(answer(body, status=503)), "Overloaded", billed=None, closed=False)


NESTED = ["[" * depth + "]" * depth for depth in (200, 480, 700, 1000, 1200)]


@pytest.mark.parametrize("nested", some(NESTED, 4), ids=len)
@pytest.mark.parametrize(
    "around", ['{"error": {"message": %s}}', '{"detail": %s}', '{"error": {"code": %s, "message": "x"}}', "%s"]
)
def test_row_63_a_refusal_without_bottom(whole: Bench, around: str, nested: str) -> None:
    """An error's words may be nested however deeply."""
    whole.moved(whole.ask(answer(around % nested, status=503)), "Overloaded", billed=None, closed=False)


@pytest.mark.parametrize("nested", some(NESTED, 4), ids=len)
@pytest.mark.parametrize("spice", ["", r"\ud800"], ids=["plain", "surrogate"])
def test_row_63_an_answer_with_something_deep_in_it(bench: Bench, nested: str, spice: str) -> None:
    """So may a field of an answer that nobody reads; it is an answer, or malformed, and nothing else."""
    body = json.dumps({**completion("x@"), "extra": 0})[:-2] + nested + "}"
    if bench.way.stream:
        chunk = json.dumps(delta({"content": "x@"}, extra=0))[:-2] + nested + "}"
        outcome = bench.ask([ReadRequest(), Send(sse([chunk.replace("@", spice), STOP, DONE]))])
    else:
        outcome = bench.ask(answer(body.replace("@", spice)))
    assert outcome.attempts[0].error in (None, "MalformedResponse")


TWICE = '{"choices": [], ' + json.dumps(completion("from T1"))[1:]


def test_row_63_a_key_twice(whole: Bench) -> None:
    """A key that stands twice in one object leaves open which is meant: `MalformedResponse`."""
    whole.moved(whole.ask(answer(TWICE)), "MalformedResponse", billed=True, closed=False)


def test_row_63_a_key_twice_is_read_in_one_way(bench: Bench) -> None:
    """Whatever becomes of it, it raises nothing but errors of llmswitch."""
    assert bench.ask(answer(TWICE)).answered.text in ("from T1", HEALTHY)


# Answers that lack something

LACKING: dict[str, JSON] = {
    "no-choices": {"id": "x", "usage": {}},
    "empty-choices": {**completion(), "choices": []},
    "null-choices": {**completion(), "choices": None},
    "null-choice": {**completion(), "choices": [None]},
    "null-message": {**completion(), "choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
    "no-message": {**completion(), "choices": [{"index": 0, "finish_reason": "stop"}]},
    "text-message": {**completion(), "choices": [{"index": 0, "message": "hi", "finish_reason": "stop"}]},
    "empty": {},
}


@pytest.mark.parametrize("body", LACKING.values(), ids=LACKING)
def test_row_64_no_answer_in_it(bench: Bench, body: JSON) -> None:
    """An answer without a message is none."""
    bench.moved(bench.ask(answer(body)), "MalformedResponse", billed=True, closed=False)


def test_row_64_a_refusal_of_the_model(bench: Bench) -> None:
    """What the model refuses to do is an answer, with `refusal` for its finish."""
    if bench.way.stream:
        outcome = bench.ask([ReadRequest(), Send(sse([delta({"refusal": "I won't."}), STOP, DONE]))])
    else:
        outcome = bench.ask(answer(completion(None, refusal="I won't.")))
    assert ([("t1:m", None)], "I won't.") == (outcome.trail, outcome.text)
    assert "refusal" == outcome.answered.finish_reason


@pytest.mark.parametrize("finish", [None, "", "null"])
def test_row_65_an_answer_without_formalities(whole: Bench, finish: str | None) -> None:
    """Another model's name, no id, no reason and no usage: the text is there, so it is an answer."""
    body = {"model": "somebody-else-1", "choices": [{"message": {"content": "from T1"}, "finish_reason": finish}]}
    reply = whole.ask(answer(body)).answered
    assert ("from T1", "t1", "m", "somebody-else-1", None) == (
        reply.text,
        reply.provider,
        reply.model,
        reply.served_model,
        reply.id,
    )
    assert reply.usage.input_tokens is None


def test_row_65_an_empty_answer(bench: Bench) -> None:
    """A proper finish without text is an answer that is empty, not a failure."""
    if bench.way.stream:
        outcome = bench.ask([ReadRequest(), Send(sse([STOP, DONE]))])
    else:
        outcome = bench.ask(answer(completion("")))
    assert ([("t1:m", None)], "", True) == (outcome.trail, outcome.text, outcome.answered.empty)


def test_a_body_that_ends_with_its_connection(bench: Bench) -> None:
    """The other half of row 62: without a length, the end of the connection is the end of the body."""
    if bench.way.stream:
        sent = sse([*words(3), STOP, DONE], framing="close")
        expected = spelled(3)
    else:
        sent = response(200, json.dumps(completion("from T1")), {**JSON_TYPE, "content-length": ""})
        expected = "from T1"
    outcome = bench.ask([ReadRequest(), Send(sent), Close()])
    assert ([("t1:m", None)], expected) == (outcome.trail, outcome.text)
