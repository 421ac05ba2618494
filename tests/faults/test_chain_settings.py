"""What a chain can be set to do about answers that are not quite what they should be; by default it does none of it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from llmswitch import ChatReply, ConfigError, StreamInterrupted
from llmswitch._events import Finish, ReasoningDelta, StreamReset, TextDelta
from llmswitch.testing.fault_server import (
    LAST_CHUNK,
    Hang,
    Pause,
    ReadRequest,
    Reset,
    Send,
    Step,
    chunk,
    response,
    sse,
    sse_head,
)
from llmswitch.testing.fault_server import event_bytes as event
from tests.faults.bench import (
    DONE,
    HEALTHY,
    IMPATIENT,
    LIBRARY,
    PATIENT,
    ROLE,
    STOP,
    USAGE,
    Bench,
    Script,
    completion,
    delta,
    refusing,
    spelled,
    text,
    words,
)

BROKEN = b'data: {"choices": [{"index": 0, "delta": {"content": \n\n'


def stream(*events: Any, after: list[Step] | None = None) -> Script:
    """The script of a server that answers with this stream, which ends in order unless something is to come after."""
    return [ReadRequest(), Send(sse(events, ended=after is None)), *(after or [])]


def codes(reply: ChatReply) -> list[str]:
    """What the reply warns of."""
    return [warning.code for warning in reply.warnings]


# Row 30: eof_ok


def ending(value: Any) -> dict[str, Any]:
    """T1 with this value of the option."""
    return {"t1": {"options": {"eof_ok": value}}}


@pytest.mark.parametrize("value", ["done", True])
def test_row_30_done_is_enough_where_the_vendor_is_known_for_it(bench: Bench, value: Any) -> None:
    """With `eof_ok`, `[DONE]` without a finish reason ends an answer, and the reply says that no reason was given."""
    outcome = bench.ask(stream(*words(5), USAGE, DONE), providers=ending(value))
    assert ("stop", spelled(5)) == (outcome.answered.finish_reason, outcome.text)
    assert "no_finish_reason" in codes(outcome.answered)
    assert 7 == outcome.answered.usage.output_tokens


def test_row_30_an_orderly_end_is_enough_if_that_is_said(streaming: Bench) -> None:
    """With `eof_ok = true` the end of the body will do; with `"done"` it is a cut, as it is by default."""
    script = stream(*words(5), USAGE)
    outcome = streaming.ask(script, providers=ending(True))
    assert ("stop", spelled(5)) == (outcome.answered.finish_reason, outcome.text)
    assert ["no_finish_reason"] == codes(outcome.answered)
    streaming.raised(streaming.ask(script, providers=ending("done")), "StreamInterrupted")


@pytest.mark.parametrize("value", ["done", True])
def test_row_30_a_connection_that_broke_is_no_orderly_end(streaming: Bench, value: Any) -> None:
    """Whatever the option, a broken connection cuts the answer."""
    outcome = streaming.ask(stream(*words(5), after=[Pause(0.02), Reset()]), providers=ending(value))
    streaming.raised(outcome, "StreamInterrupted")


@pytest.mark.parametrize("arguments", ['{"at": "a', ""])
def test_row_30_half_a_call_is_not_whole(streaming: Bench, arguments: str) -> None:
    """Nor is a call whose arguments have not come."""
    call = {"index": 0, "id": "1", "function": {"name": "look", "arguments": arguments}}
    outcome = streaming.ask(stream(delta({"tool_calls": [call]}), DONE), providers=ending(True))
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert ("look",) == error.incomplete_tool_calls


def test_row_30_nothing_is_no_answer(streaming: Bench) -> None:
    """A stream in which nothing came is none."""
    streaming.moved(streaming.ask(stream(ROLE, DONE), providers=ending(True)), "StreamInterrupted", billed=True)


# Row 32: lenient

LENIENT = {**PATIENT, "lenient": 1}


def test_row_32_one_broken_event_is_skipped(streaming: Bench) -> None:
    """With `lenient = 1` one broken event after text is skipped, and the reply says that text may be missing."""
    outcome = streaming.ask(stream(*words(2), BROKEN, *words(3), STOP, USAGE, DONE), limits=LENIENT)
    assert spelled(2) + spelled(3) == outcome.text == outcome.answered.text
    assert ["broken_event"] == codes(outcome.answered)


def test_row_32_the_same_in_packets(streaming: Bench) -> None:
    """It makes no difference how the stream was cut into packets."""
    parts = [*(event(word) for word in words(2)), BROKEN, event(text("end")), event(STOP)]
    steps = [step for part in parts for step in (Send(chunk(part)), Pause(0.005))]
    outcome = streaming.ask([ReadRequest(), Send(sse_head()), *steps, Send(b"0\r\n\r\n")], limits=LENIENT)
    assert spelled(2) + "end" == outcome.text
    assert ["broken_event"] == codes(outcome.answered)


def test_row_32_a_second_one_is_not(streaming: Bench) -> None:
    """The second one raises."""
    outcome = streaming.ask(stream(*words(2), BROKEN, BROKEN, *words(3), STOP, DONE), limits=LENIENT)
    error = streaming.raised(outcome, "StreamInterrupted")
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert spelled(2) == error.partial.text


def test_row_32_before_any_text_it_moves(bench: Bench) -> None:
    """Where the caller has seen nothing, the next target is asked."""
    events = [ROLE, BROKEN, *words(5), STOP, DONE]
    if not bench.way.stream:
        events[1:1] = words(3)
    bench.moved(bench.ask(stream(*events), limits=LENIENT), "MalformedResponse", billed=True)


def test_row_32_a_request_with_tools_skips_nothing(streaming: Bench) -> None:
    """What was lost might have been a call, or its arguments."""
    from llmswitch import Tool

    options = {"tools": [Tool("look", "Looks.")]}
    outcome = streaming.ask(stream(*words(2), BROKEN, STOP, DONE), limits=LENIENT, options=options)
    streaming.raised(outcome, "StreamInterrupted")


def test_row_32_a_broken_event_after_the_finish(streaming: Bench) -> None:
    """Without any setting: once the answer was said to be whole, rubbish behind it changes nothing, and is told."""
    outcome = streaming.ask(stream(*words(2), STOP, BROKEN, DONE))
    assert ("stop", spelled(2)) == (outcome.answered.finish_reason, outcome.text)
    assert ["broken_event"] == codes(outcome.answered)


# Row 77: fallback_on

FILTERED = {**PATIENT, "fallback_on": ["content_filter"]}
REFUSAL = refusing(400, {"error": {"message": "no", "type": "invalid_request_error", "code": "content_filter"}})


def test_row_77_a_refused_question_moves_if_that_was_chosen(bench: Bench) -> None:
    """With `fallback_on` another vendor is asked what one refused to hear, and the reply says so."""
    outcome = bench.ask(REFUSAL, limits=FILTERED)
    bench.moved(outcome, "ContentFiltered", billed=False, closed=False)
    assert ["content_filtered"] == codes(outcome.answered)
    assert "t1:m" in outcome.answered.warnings[0].message


def test_row_77_by_default_it_raises(bench: Bench) -> None:
    """Without it the refusal raises."""
    bench.raised(bench.ask(REFUSAL), "ContentFiltered")


def test_row_77_a_filtered_answer_moves_too(whole: Bench) -> None:
    """So does an answer that a filter cut, where the caller has seen nothing of it."""
    cut = [ReadRequest(), Send(response(200, completion("I was", "content_filter")))]
    outcome = whole.ask(cut, limits=FILTERED)
    whole.moved(outcome, "ContentFiltered", billed=True, closed=False)
    assert ["content_filtered"] == codes(outcome.answered)
    assert 7 == outcome.attempts[0].usage.output_tokens


def test_row_77_a_stream_that_was_filtered_before_its_first_word(streaming: Bench) -> None:
    """In a stream as well; but what the caller has seen is his, with the reason for its end."""
    outcome = streaming.ask(stream(delta({}, "content_filter"), DONE), limits=FILTERED)
    streaming.moved(outcome, "ContentFiltered", billed=True)
    outcome = streaming.ask(stream(text("I was"), delta({}, "content_filter"), DONE), limits=FILTERED)
    assert ("I was", "content_filter") == (outcome.text, outcome.answered.finish_reason)


def test_row_77_the_last_answer_is_handed_over(bench: Bench) -> None:
    """Where nobody else is left to ask, a filtered answer is a reply with that finish, as by default."""
    cut = [ReadRequest(), Send(response(200, completion("I was", "content_filter")))]
    outcome = bench.ask(cut, limits=FILTERED, alone=True)
    assert ("I was", "content_filter") == (outcome.text, outcome.answered.finish_reason)


def test_row_77_all_of_them_refuse(bench: Bench) -> None:
    """Where everybody refuses, the error names each."""
    t1, t2 = bench.serve(REFUSAL), bench.serve(REFUSAL)
    bench.client = bench.client_of(bench.config(t1.url, t2.url, limits=FILTERED))
    outcome = bench.ask()
    assert "AllTargetsFailed" == type(outcome.error).__name__
    assert ["ContentFiltered"] * 2 == [type(each).__name__ for each in outcome.error.exceptions]  # type: ignore[union-attr]


# commit_on

THOUGHTS = [delta({"reasoning_content": f"t{number} "}) for number in range(4)]
LATE = {**PATIENT, "commit_on": "text"}


def test_a_stream_that_dies_while_it_thinks(streaming: Bench) -> None:
    """With `commit_on = "text"` nobody sees thinking that leads to nothing; by default it is handed over at once."""
    script = stream(ROLE, *THOUGHTS, after=[Pause(0.02), Reset()])
    streaming.moved(streaming.ask(script, limits=LATE), "StreamInterrupted", billed=True)
    outcome = streaming.ask(script)
    streaming.raised(outcome, "StreamInterrupted")
    assert 4 == sum(isinstance(each, ReasoningDelta) for each in outcome.events)


def test_a_stream_that_stalls_while_it_thinks(streaming: Bench) -> None:
    """So it is with one that goes silent."""
    outcome = streaming.ask(stream(*THOUGHTS, after=[Hang()]), limits={**LATE, **IMPATIENT, "timeout": 5.0})
    streaming.moved(outcome, "StreamStalled", billed=True, within=2.0)


@pytest.mark.parametrize("more", [[text("a")], [delta({}, "length")]], ids=["text", "finish"])
def test_thinking_is_handed_over_with_the_first_word(streaming: Bench, more: list[Any]) -> None:
    """What was kept comes in order, in front of the text, or of the end where there is no text."""
    outcome = streaming.ask(stream(*THOUGHTS, *more, STOP, USAGE, DONE), limits=LATE)
    kinds = [type(each) for each in outcome.events]
    assert [*[ReasoningDelta] * 4, *[TextDelta] * (len(kinds) - 5), Finish] == kinds
    assert "t0 t1 t2 t3 " == outcome.answered.reasoning


def test_thinking_without_end_is_handed_over(streaming: Bench) -> None:
    """More than a mebibyte is not kept."""
    much = [delta({"reasoning_content": "x" * 100_000}) for _ in range(11)]
    outcome = streaming.ask(stream(*much), limits=LATE)
    streaming.raised(outcome, "StreamInterrupted")
    assert 1_100_000 == sum(len(each.text) for each in outcome.events if isinstance(each, ReasoningDelta))


def test_text_is_not_kept(streaming: Bench) -> None:
    """A stream of text binds with its first word, as ever."""
    outcome = streaming.ask(stream(*words(2), after=[Pause(0.02), Reset()]), limits=LATE)
    streaming.raised(outcome, "StreamInterrupted")
    assert spelled(2) == outcome.text


# min_tokens_per_second

PACED = {**PATIENT, "min_tokens_per_second": 100}


def slowly(number: int, pause: float) -> Script:
    """So many words, one after the other."""
    steps = [step for word in words(number) for step in (Send(chunk(event(word))), Pause(pause))]
    return [ReadRequest(), Send(sse_head()), *steps, Send(chunk(event(STOP)) + b"0\r\n\r\n")]


def test_a_stream_that_begins_slowly_is_left(streaming: Bench) -> None:
    """It is alive, but slower than the policy takes it: the next target is asked, and the caller sees nothing of it."""
    outcome = streaming.ask(slowly(20, 0.05), limits=PACED)
    streaming.moved(outcome, "Overloaded", billed=True, within=1.0)
    assert "100 tokens a second" in (outcome.attempts[0].message or "")


def test_a_stream_that_is_fast_enough_is_not(streaming: Bench) -> None:
    """One that is fast at first is the caller's, however slow it becomes; and so is one that is short."""
    outcome = streaming.ask(stream(*words(20), STOP, USAGE, DONE), limits=PACED)
    assert ([("t1:m", None)], spelled(20)) == (outcome.trail, outcome.text)
    outcome = streaming.ask(stream(*words(3), STOP, USAGE, DONE), limits=PACED)
    assert ([("t1:m", None)], spelled(3)) == (outcome.trail, outcome.text)


def test_nobody_is_too_slow_who_is_the_last(streaming: Bench) -> None:
    """Where nobody else is left a slow answer is better than none."""
    outcome = streaming.ask(slowly(18, 0.02), limits=PACED, alone=True)
    assert spelled(18) == outcome.text


@pytest.mark.slow
def test_a_slow_target_is_gone_back_to(streaming: Bench) -> None:
    """So it is where the others have failed: after its cool-down the slow one is asked again, and waited for."""
    t1, t2 = streaming.serve(slowly(18, 0.02)), streaming.serve(refusing(500))
    streaming.client = streaming.client_of(streaming.config(t1.url, t2.url, limits=PACED))
    outcome = streaming.ask()
    assert spelled(18) == outcome.text
    assert ["Overloaded", "ServerError", "ServerError", None] == [attempt.error for attempt in outcome.attempts]


# What comes before an answer

PREAMBLE = {"choices": [], "object": "status"}


@pytest.mark.parametrize("cut", [1, 40, 5000])
def test_a_preamble_is_bounded(bench: Bench, cut: int) -> None:
    """More than 64 events that mean nothing are no answer, however they are cut into packets."""
    sent = b"".join(event(PREAMBLE) for _ in range(65)) + event(text("late")) + event(STOP)
    pieces = [sent[at : at + cut] for at in range(0, len(sent), cut)]
    script = [ReadRequest(), Send(sse_head() + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")]
    bench.moved(bench.ask(script), "MalformedResponse", billed=True)


def test_a_large_preamble_is_too_much(bench: Bench) -> None:
    """Nor are more than 64 KiB of them."""
    large = {**PREAMBLE, "padding": "x" * 40_000}
    bench.moved(bench.ask(stream(large, large, *words(3), STOP, DONE)), "MalformedResponse", billed=True)


def test_a_preamble_of_the_usual_kind(bench: Bench) -> None:
    """Sixty-four are taken; heart-beats do not count, nor does what comes later."""
    beats = [b"event: ping\ndata: {}\n\n", b": beat\n\n"] * 100
    outcome = bench.ask(stream(*beats, *[PREAMBLE] * 64, *words(3), *[PREAMBLE] * 100, STOP, DONE))
    assert ([("t1:m", None)], spelled(3)) == (outcome.trail, outcome.text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lenient", 2),
        ("lenient", True),
        ("commit_on", "always"),
        ("fallback_on", ["everything"]),
        ("min_tokens_per_second", 0),
    ],
)
def test_other_values_are_refused(whole: Bench, name: str, value: Any) -> None:
    """A value that means nothing is said when the configuration is read, with its place."""
    with pytest.raises(ConfigError, match=rf"chains\.c\.{name}"):
        whole.client_of(whole.config("http://127.0.0.1:1", limits={name: value}))


# Rows 26 and 27 with the two other ways to go on after the first word

ENDS: dict[str, tuple[list[Step], str]] = {
    "stall": ([Hang()], "StreamStalled"),
    "reset": ([Pause(0.05), Reset()], "StreamInterrupted"),
}


@pytest.mark.parametrize(("end", "error"), ENDS.values(), ids=ENDS)
def test_rows_26_and_27_begun_anew(streaming: Bench, end: list[Step], error: str) -> None:
    """With `restart` the caller is told to throw away the 20 words, once, and gets the whole answer of T2."""
    limits = {**IMPATIENT, "timeout": 10.0, "on_stream_failure": "restart"}
    outcome = streaming.ask(stream(*words(20), after=end), limits=limits)
    told = [each for each in outcome.events if isinstance(each, StreamReset)]
    assert [StreamReset(error, len(spelled(20)), "t2:m")] == told
    assert (spelled(20) + HEALTHY, HEALTHY) == (outcome.text, outcome.answered.text)
    assert [("t1:m", error), ("t2:m", None)] == outcome.trail


@pytest.mark.parametrize(("end", "error"), ENDS.values(), ids=ENDS)
def test_rows_26_and_27_gone_on_with(streaming: Bench, end: list[Step], error: str) -> None:
    """With `continue` T2 is given the 20 words to go on with, and the caller gets one answer."""
    limits = {**IMPATIENT, "timeout": 10.0, "on_stream_failure": "continue"}
    able = {"t2": {"capabilities": {"prefill": True}}}
    outcome = streaming.ask(stream(*words(20), after=end), limits=limits, providers=able)
    assert spelled(20) + HEALTHY == outcome.text == outcome.answered.text
    assert (True, ["stitched"]) == (outcome.answered.stitched, codes(outcome.answered))
    assert [("t1:m", "first", error), ("t2:m", "continue", None)] == [
        (attempt.target, attempt.kind, attempt.error) for attempt in outcome.attempts
    ]
    last = streaming.t2.requests[0].json()["messages"][-1]
    assert {"role": "assistant", "content": spelled(20).rstrip()} == last
    streaming.settle()
    assert streaming.t1.wait_closed()


@pytest.mark.parametrize("status", [400, 500])
def test_rows_26_and_27_a_continuation_that_is_refused(streaming: Bench, status: int) -> None:
    """What the caller is raised is what broke his answer, whatever T2 says."""
    t1, t2 = streaming.serve(stream(*words(20), after=[Pause(0.05), Reset()])), streaming.serve(refusing(status))
    able = {"t2": {"capabilities": {"prefill": True}}}
    limits = {**PATIENT, "on_stream_failure": "continue"}
    streaming.client = streaming.client_of(streaming.config(t1.url, t2.url, limits=limits, providers=able))
    outcome = streaming.ask()
    error = outcome.error
    assert isinstance(error, StreamInterrupted)
    assert error.partial is not None
    assert ("t1:m", spelled(20), spelled(20)) == (error.target, error.partial.text, outcome.text)
    assert ("t2:m", "BadRequest" if status == 400 else "ServerError") == outcome.trail[-1]


# The limit between two pieces


@pytest.mark.parametrize("brought", [False, True], ids=["", "client-brought-along"])
def test_a_silence_longer_than_that_before_the_first_piece(streaming: Bench, brought: bool) -> None:
    """Between two pieces `idle_timeout` holds, also where it is longer than `first_token_timeout`; and then it ends."""
    engine = None
    if brought:
        library = importlib.import_module(LIBRARY)
        engine = (library.Client if streaming.way.sync else library.AsyncClient)(trust_env=False)
    limits = {**PATIENT, "first_token_timeout": 0.3, "idle_timeout": 0.9}
    rest = [Pause(0.5), Send(b"".join(chunk(event(each)) for each in (text("more"), STOP, DONE)) + LAST_CHUNK)]
    outcome = streaming.ask(stream(*words(2), after=rest), limits=limits, http_client=engine)
    assert spelled(2) + "more" == outcome.answered.text
    outcome = streaming.ask(stream(*words(2), after=[Hang()]), limits=limits, http_client=engine)
    streaming.raised(outcome, "StreamStalled")
    assert 0.8 < outcome.seconds < 2.5
    if engine is not None:
        engine.close() if streaming.way.sync else streaming.run(engine.aclose())
