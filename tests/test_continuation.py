"""`on_stream_failure = "continue"`: when a broken answer is gone on with, what is asked for, and how it is joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from llmswitch import (
    ChatReply,
    Client,
    ConfigError,
    Finish,
    Message,
    ReasoningDelta,
    StreamInterrupted,
    StreamReset,
    TextDelta,
    Tool,
)
from llmswitch._continuation import Joint
from llmswitch._json import loads
from llmswitch._reply import Usage
from llmswitch.testing import FakeVendor
from tests.rows import rows
from tests.test_streams import SSE

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


def event(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}], **more}).encode() + b"\n\n"


def said(*pieces: str, finish: str | None = None) -> bytes:
    """A stream of these pieces of text, which breaks off if it has no finish."""
    return b"".join(event({"content": piece}) for piece in pieces) + (event({}, finish) if finish else b"")


def stream(body: bytes) -> httpx.Response:
    return httpx.Response(200, headers=SSE, content=body)


def refused(status: int, message: str = "no", code: str | None = None) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "code": code}})


BROKEN = said("One, ", "two, ")
REST = said(" three,", " four", finish="stop")


class Chain:
    """Targets t0, t1, … that give these answers in turn; those in `able` go on with unfinished ones."""

    def __init__(
        self,
        *answers: bytes | httpx.Response,
        able: tuple[int, ...] = (1,),
        options: Mapping[str, Any] | None = None,
        dialects: Mapping[int, str] | None = None,
        **settings: Any,
    ) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._left = {f"t{number}.local": [answer] for number, answer in enumerate(answers)}
        providers = {
            f"t{number}": {
                "dialect": (dialects or {}).get(number, "openai"),
                "base_url": f"http://t{number}.local/v1",
                "capabilities": {"prefill": number in able},
                **({"options": {"prefill": options}} if options and number in able else {}),
            }
            for number in range(len(answers))
        }
        chain = {"targets": [f"{name}:m" for name in providers], "on_stream_failure": "continue", **settings}
        config = {"providers": providers, "chains": {"c": chain}, "default": "c"}
        self.client = Client.from_config(config, http_client=FakeVendor(self._answer))

    def then(self, number: int, answer: bytes | httpx.Response) -> Chain:
        """What the target answers when it is asked again."""
        self._left[f"t{number}.local"].append(answer)
        return self

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.host.removesuffix(".local"), loads(request.content)))
        answers = self._left[request.url.host]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return stream(answer) if isinstance(answer, bytes) else answer

    def ask(self, messages: Any = "Count.", **options: Any) -> tuple[list[Any], ChatReply]:
        """All events, and the reply."""
        with self.client.stream(messages, **options) as running:
            return list(running), running.reply

    def breaks(self, messages: Any = "Count.", **options: Any) -> StreamInterrupted:
        """The error with which the answer breaks off."""
        with pytest.raises(StreamInterrupted) as caught:
            self.ask(messages, **options)
        return caught.value


def text_of(events: list[Any]) -> str:
    return "".join(each.text for each in events if isinstance(each, TextDelta))


def trail(attempts: Any) -> list[tuple[str, str, str | None]]:
    return [(attempt.target, attempt.kind, attempt.error) for attempt in attempts]


def test_the_rest_comes_from_the_next_target():
    """The caller gets one answer without a seam; the reply is the whole of it and says that it was stitched."""
    chain = Chain(BROKEN, REST)
    events, reply = chain.ask()
    assert "One, two, three, four" == text_of(events) == reply.text
    assert not any(isinstance(each, StreamReset) for each in events)
    assert [Finish] == [type(each) for each in events[-1:]]
    assert (True, "t1", "stop") == (reply.stitched, reply.provider, reply.finish_reason)
    assert ["stitched"] == [warning.code for warning in reply.warnings]
    assert "t0:m" in reply.warnings[0].message
    assert [("t0:m", "first", "StreamInterrupted"), ("t1:m", "continue", None)] == trail(reply.attempts)
    assert 1 == len(reply.message.parts)


def test_what_is_asked():
    """The caller's own messages and the text so far, without the space at its end; no word of ours."""
    chain = Chain(BROKEN, REST, options={"last": {"prefix": True}})
    chain.ask([Message("system", "Be brief."), Message("user", "Count.")], temperature=0.5)
    (_, first), (_, second) = chain.asked
    assert [*first["messages"], {"role": "assistant", "content": "One, two,", "prefix": True}] == second["messages"]
    del first["messages"], second["messages"]
    assert first == second


def test_plain_text_may_go_on():
    """`.text` is taken: nothing of it is ever taken back."""
    assert "One, two, three, four" == "".join(Chain(BROKEN, REST).client.stream("Count.").text)


def test_an_answer_that_does_not_break_is_not_stitched():
    """What is whole is as ever."""
    _, reply = Chain(said("all", finish="stop"), REST).ask()
    assert ("all", False, []) == (reply.text, reply.stitched, reply.warnings)


def test_usage_of_both_is_in_the_trail():
    """Each attempt has what its vendor counted; the reply has that of the target that finished."""
    counted = {"prompt_tokens": 5, "completion_tokens": 2}
    more = {"prompt_tokens": 9, "completion_tokens": 4}
    first = event({"content": "One, two, "}, usage=counted)
    _, reply = Chain(first, said(" three") + event({}, "stop", usage=more)).ask()
    assert [Usage(5, 2), Usage(9, 4)] == [attempt.usage for attempt in reply.attempts]
    assert Usage(9, 4) == reply.usage


def test_a_target_that_cannot_is_passed_over():
    """Nothing is sent to a target that does not go on with answers; the next one that does is asked."""
    chain = Chain(BROKEN, REST, REST, able=(2,))
    _, reply = chain.ask()
    assert ["t0", "t2"] == [name for name, _ in chain.asked]
    assert "One, two, three, four" == reply.text
    assert "unfinished" in reply.attempts[1].skipped_because


def test_the_same_target_may_go_on():
    """Where it is the last, or the only one, that does."""
    chain = Chain(BROKEN, able=(0,)).then(0, REST)
    _, reply = chain.ask()
    assert "One, two, three, four" == reply.text
    assert [("t0:m", "first", "StreamInterrupted"), ("t0:m", "continue", None)] == trail(reply.attempts)


def test_a_whole_answer_in_one_piece_is_joined_too():
    """A vendor that answers with JSON in place of a stream goes on as well."""
    choice = {"message": {"content": "two, three"}, "finish_reason": "stop"}
    events, reply = Chain(said("One, two, "), httpx.Response(200, json={"choices": [choice]})).ask()
    assert text_of(events) == reply.text
    assert reply.text.endswith("three")


# When it is not done

CALL = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "look", "arguments": '{"a"'}}]}
NOT: dict[str, tuple[bytes, dict[str, Any]]] = {
    "tools": (BROKEN, {"tools": [Tool("look", "Looks.")]}),
    "schema": (BROKEN, {"response_format": {"type": "object", "properties": {"n": {"type": "integer"}}}}),
    "json": (BROKEN, {"response_format": "json"}),
    "logprobs": (BROKEN, {"extra": {"t0": {"logprobs": True}}}),
    "choices": (BROKEN, {"extra": {"t0": {"n": 2}}}),
    "own-tools": (BROKEN, {"extra": {"t0": {"tools": [{"type": "x"}]}}}),
    "a-call": (BROKEN + event(CALL), {}),
    "thinking-alone": (event({"reasoning_content": "hm"}), {}),
    "thinking-after-text": (BROKEN + event({"reasoning_content": "hm"}), {}),
    "blank": (said(" \n"), {}),
    "filtered": (BROKEN + b'data: {"error": {"message": "no", "code": "content_filter"}}\n\n', {}),
}


@rows(("broken", "options"), NOT.values(), ids=NOT)
def test_what_is_not_gone_on_with(broken: bytes, options: dict[str, Any]):
    """Anything but plain text, asked for as such, raises as it does by default; nobody else is asked."""
    chain = Chain(broken, REST)
    chain.breaks(**options)
    assert ["t0"] == [name for name, _ in chain.asked]


def test_unsigned_thinking_before_the_text_stays():
    """Thinking that nobody signed is no obstacle; it is not sent, and stays in the reply."""
    chain = Chain(event({"reasoning_content": "hm"}) + BROKEN, REST)
    events, reply = chain.ask()
    assert ["hm"] == [each.text for each in events if isinstance(each, ReasoningDelta)]
    assert ("hm", "One, two, three, four") == (reply.reasoning, reply.text)
    assert "One, two," == chain.asked[1][1]["messages"][-1]["content"]


def messages(*events: dict[str, Any]) -> bytes:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in (start, *events))


def block(index: int, kind: str, *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind}},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
    ]


TEXT = block(1, "text", {"type": "text_delta", "text": "One, two, "})


def test_signed_thinking_is_not_gone_on_with():
    """A signature binds the text that follows to the model that thought it."""
    thought = [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "c2ln"}]
    chain = Chain(messages(*block(0, "thinking", *thought), *TEXT), REST, dialects={0: "anthropic"})
    chain.breaks()
    assert 1 == len(chain.asked)


def test_from_dialect_to_dialect():
    """What began in one dialect goes on in another, both ways."""
    _, reply = Chain(messages(*TEXT), REST, dialects={0: "anthropic"}).ask()
    assert "One, two, three, four" == reply.text
    assert 3 == reply.attempts[0].usage.input_tokens
    rest = messages(
        *block(0, "text", {"type": "text_delta", "text": " three"}),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    )
    chain = Chain(BROKEN, rest, dialects={1: "anthropic"})
    assert "One, two, three" == chain.ask()[1].text
    assert {"role": "assistant", "content": "One, two,"} == chain.asked[1][1]["messages"][-1]


def test_an_unfinished_answer_of_the_callers_grows():
    """Where the caller's last message was to be gone on with, it is one message with what came after it."""
    chain = Chain(BROKEN, REST, able=(0, 1))
    _, reply = chain.ask([Message("user", "Count."), Message("assistant", "Zero, ")], prefill=True)
    assert {"role": "assistant", "content": "Zero, One, two,"} == chain.asked[1][1]["messages"][-1]
    assert "One, two, three, four" == reply.text


# What may go wrong with it


@rows(
    "refusal",
    [refused(400, "assistant prefill is not possible"), refused(422), refused(400, "x", "unsupported_value")],
    ids=["400", "422", "unsupported"],
)
def test_a_rejected_continuation_is_not_the_callers_business(refusal: httpx.Response):
    """He is raised what broke his answer, with what he has of it, and not the refusal."""
    broken = BROKEN + b'data: {"error": {"message": "overloaded", "code": "slow_down"}}\n\n'
    error = Chain(broken, refusal).breaks()
    assert "One, two, " == error.partial.text
    assert ("Overloaded", "t0:m") == (type(error.__cause__).__name__, error.target)
    assert not error.partial.stitched
    assert ["first", "continue"] == [attempt.kind for attempt in error.attempts]


def test_a_continuation_that_does_not_begin_is_another_targets():
    """As long as nothing of it was handed over, the next target that goes on with answers may be asked."""
    chain = Chain(BROKEN, refused(503), REST, able=(1, 2))
    _, reply = chain.ask()
    assert "One, two, three, four" == reply.text
    assert ["first", "continue", "continue"] == [attempt.kind for attempt in reply.attempts]


def test_it_is_done_once():
    """A continuation that breaks off too is not gone on with; the error holds all that the caller has."""
    chain = Chain(BROKEN, said(" three, ", "four"), REST, able=(1, 2))
    error = chain.breaks()
    assert ["t0", "t1"] == [name for name, _ in chain.asked]
    assert "One, two, three, four" == error.partial.text
    assert error.partial.stitched
    assert "t1:m" == error.target


def test_what_the_caller_saw_is_what_the_error_holds():
    """Also where the second answer breaks off at once."""
    chain = Chain(BROKEN, said(" three, ", "four"), able=(1,))
    seen: list[Any] = []
    with pytest.raises(StreamInterrupted) as caught:
        seen.extend(chain.client.stream("Count."))
    assert text_of(seen) == caught.value.partial.text


def test_no_words_more():
    """A target that has nothing to add ends the answer."""
    events, reply = Chain(BROKEN, event({}, "stop")).ask()
    assert "One, two, " == text_of(events) == reply.text
    assert reply.stitched


def test_a_chain_that_never_could_is_refused():
    """Where no target goes on with unfinished answers, that is said when the chain is made."""
    with pytest.raises(ConfigError, match=r"chains\.c: on_stream_failure = \"continue\" needs a target") as refusal:
        Chain(BROKEN, REST, able=())
    assert "t0:m, t1:m" in str(refusal.value)


# The joint


def joined(text: str, *pieces: str) -> tuple[str, list[str]]:
    """The whole, and the pieces as they were handed over."""
    before = ChatReply(Message("assistant", text), "other", Usage(), "t0", "m")
    joint = Joint(before)
    out = [each for piece in pieces for each in joint.join([TextDelta(piece)])] + joint.rest()
    reply = joint.stitch(ChatReply(Message("assistant", "".join(pieces)), "stop", Usage()))
    handed = [each.text for each in out if isinstance(each, TextDelta)]
    assert text + "".join(handed) == reply.text
    return reply.text, handed


STORY = "The quick brown fox jumps over the lazy dog"


@rows(
    ("before", "pieces", "expected"),
    [
        ("One, two, ", ["three"], "One, two, three"),
        ("One, two, ", [" three"], "One, two, three"),
        ("One, two, ", [" ", "three"], "One, two, three"),
        ("def f():\n    ", ["\n    return"], "def f():\n    return"),
        ("def f():\n    ", ["return"], "def f():\n    return"),
        ("One.\n", ["\n\nTwo."], "One.\n\nTwo."),
        ("wor", ["ld"], "world"),
        ("boo", ["k"], "book"),
        ("It is very ", ["very good"], "It is very very good"),
        ("20", ["20"], "2020"),
        ("w1 w2 w3 ", ["w2 w3 ", "w4"], "w1 w2 w3 w4"),
        (STORY, [" jumps over the lazy dog", " and runs"], STORY + " and runs"),
        (STORY, [STORY, " and runs"], STORY + " and runs"),
        (STORY + " ", ["the lazy dog and runs"], STORY + " and runs"),
        (STORY, list(" over the lazy dog, twice"), STORY + ", twice"),
        ("la la la la ", ["la la la"], "la la la la la la la"),
        ("| - | - |\n| - | - |\n", ["| - | - |\n"], "| - | - |\n| - | - |\n| - | - |\n"),
        ("从前有一只敏捷的棕色狐狸", ["只敏捷的棕色狐狸", "跳了"], "从前有一只敏捷的棕色狐狸跳了"),
        ("哈哈", ["哈哈"], "哈哈哈哈"),
        ("x" * 300, ["x" * 10], "x" * 310),
    ],
)
def test_the_seam(before: str, pieces: list[str], expected: str):
    """Spaces that were trimmed and words that are said again are left out; what may be meant to be there stays."""
    assert expected == joined(before, *pieces)[0]


@rows("size", [1, 2, 7, 50])
def test_the_seam_does_not_depend_on_the_pieces(size: int):
    """However the second answer is cut, the whole is the same."""
    again = "fox jumps over the lazy dog. Then it sleeps."
    pieces = [again[at : at + size] for at in range(0, len(again), size)]
    assert (
        "The quick brown fox jumps over the lazy dog. Then it sleeps."
        == joined("The quick brown fox jumps ", *pieces)[0]
    )


def test_words_further_back_are_not_looked_for():
    """Only the last 200 characters are: a longer repetition is the model's own."""
    before = "".join(f"word{number} " for number in range(100)).strip()
    long = before[-250:]
    assert (before + long + " end") == joined(before, long, " end")[0]
    short = before[before.index("word80") :]
    assert (before + " end") == joined(before, short, " end")[0]


def test_new_text_is_not_kept():
    """A piece that can't have been said before is handed over at once."""
    assert [" three", " four"] == joined("One, two,", " three", " four")[1]
