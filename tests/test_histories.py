"""Random conversations, as other vendors and careless callers leave them: refused before a byte, or taken by all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmswitch import (
    Audio,
    CapabilityMismatch,
    Document,
    Image,
    InvalidRequest,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorData,
    VendorPart,
)
from llmswitch._capabilities import fit
from llmswitch._request import ChatRequest
from llmswitch._vendor_wire import Heard
from llmswitch.testing import Party
from llmswitch.testing._conversations import NOW, PIXEL, WEATHER
from tests.everyday import many
from tests.test_crossing import PROVIDERS, TARGETS, party

ELSEWHERE = "THOUGHT-ELSEWHERE"

words = st.sampled_from(["", " ", "\n", "Hi", "naïve 你好 🙂\u2028\x85", "And\n\ntomorrow? ", '{"name": 1}', "</s>"])
foreign = st.sampled_from(
    [
        VendorData("elsewhere", "0123456789abcdef", "their-model", {"signature": "c2ln", "type": "thinking"}),
        VendorData("anthropic", "0123456789abcdef", "claude-sonnet-5-5", {"signature": "c2ln", "type": "thinking"}),
        VendorData("minimax", "0123456789abcdef", "MiniMax-M3", {"reasoning_details": [{"text": ELSEWHERE}]}),
    ]
)
texts = st.builds(Text, words)
images = st.sampled_from([Image(data=PIXEL, media_type="image/png"), Image(url="https://example.com/a.png")])
files = st.sampled_from(
    [Document(data="JVBERi0xLjQK", media_type="application/pdf"), Audio(data="UklGRg==", media_type="audio/wav")]
)
thoughts = st.builds(Reasoning, st.just(ELSEWHERE), foreign) | st.builds(Reasoning, words)
opaque = st.builds(VendorPart, foreign)
ids = st.sampled_from(["c1", "c1", "c2", "functions.now:0", "x" * 70, "天气", "", "a b", "abcDEF123"])
arguments = st.sampled_from([{}, {"city": "Zürich"}, {"deep": {"list": [1, None, "\u2028"]}}])
calls = st.builds(
    ToolCall,
    ids,
    st.sampled_from(["get_weather", "now"]),
    arguments,
    st.sampled_from(["", "  "]),
    st.none() | foreign,
) | st.just(ToolCall("c9", "now", {}, "{ }"))


@st.composite
def loops(draw: Any) -> list[Message]:
    """A turn with calls, and its results, in one message or in several."""
    made = draw(st.lists(calls, min_size=1, max_size=3))
    said = draw(st.lists(thoughts | texts | opaque, max_size=3))
    answered = draw(st.permutations(made))
    contents = words | st.lists(texts, max_size=2) | st.lists(texts | images, max_size=2)
    results = [ToolResult(call.id, draw(contents), draw(st.booleans())) for call in answered]
    cut = draw(st.integers(0, len(results)))
    parted = [Message("tool", part) for part in (results[:cut], results[cut:]) if part]
    return [Message("assistant", [*said, *made]), *parted]


@st.composite
def histories(draw: Any) -> list[Message]:
    """Turns in any order, as long as calls are answered; the last word is not the assistant's."""
    user = st.builds(Message, st.just("user"), words | st.lists(texts | images | files, min_size=1, max_size=3))
    plain = st.builds(Message, st.just("user"), st.just("Weather?"))
    system = st.builds(Message, st.just("system"), words)
    answer = st.builds(Message, st.just("assistant"), words | st.lists(thoughts | texts | opaque, max_size=3))
    turns = draw(st.lists(st.one_of(plain, user, system, answer, loops()), max_size=5))
    flat = [message for turn in turns for message in (turn if isinstance(turn, list) else [turn])]
    first = draw(
        st.sampled_from([[], [Message("user", "Hello")], [Message("system", "Brief."), Message("user", "Hello")]])
    )
    last = draw(st.one_of(plain.map(lambda one: [one]), loops()))
    return [*first, *flat, *last]


options = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just([WEATHER, NOW]),
        "reasoning": st.just("low"),
        "degrade": st.just(value=True),
        "stream": st.booleans(),
    },
)


def hear(target: Party, messages: list[Message], chosen: dict[str, Any]) -> Heard | None:
    """What the vendor hears; `None` where the request is refused before a byte is sent. Raises where he refuses it."""
    adapter = target._target.adapter
    given = {name: value for name, value in chosen.items() if name != "stream"}
    if not adapter.capabilities.tools:
        given.pop("tools", None)
    if "low" not in adapter.capabilities.reasoning:
        given.pop("reasoning", None)
    request = ChatRequest.read(messages, **given)
    try:
        request, _ = fit(request, adapter.capabilities, provider=target.provider, model="m")
        built = adapter.build(request, stream=chosen.get("stream", False))
    except (CapabilityMismatch, InvalidRequest):
        return None
    assert ELSEWHERE not in built.body.decode() or target.provider == "minimax", f"{target} hears what others thought"
    adapter.decoder(request)
    return target.wire.hear_request(built)


def is_plain(messages: list[Message], target: Party) -> bool:
    """Whether there is nothing in it that anybody may refuse."""
    able = target._target.adapter.capabilities
    parts = [part for message in messages for part in message.parts]
    inner = [piece for part in parts if isinstance(part, ToolResult) for piece in part.parts]
    shown = any(isinstance(part, (Image, Document, Audio)) for part in [*parts, *inner])
    called = any(isinstance(part, ToolCall) for part in parts)
    spoken = [message for message in messages if message.role != "system"]
    return not shown and spoken[0].role == "user" and bool(spoken[0].text.strip()) and (able.tools or not called)


def squeezed(parts: list[Any], kind: type[Text]) -> str:
    return "".join("".join(part.text.split()) for part in parts if isinstance(part, kind))


def in_order(messages: list[Message]) -> list[bool]:
    """Which results are errors, in the order of the calls that they answer."""
    out: list[bool] = []
    waiting: dict[int, str] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                waiting[len(out)] = part.id
                out.append(False)
            elif isinstance(part, ToolResult):
                place = next(place for place, call_id in waiting.items() if call_id == part.tool_call_id)
                del waiting[place]
                out[place] = part.is_error
    return out


def check(target: Party, messages: list[Message], chosen: dict[str, Any]) -> None:
    heard = hear(target, messages, chosen)
    if heard is None:
        assert not is_plain(messages, target), f"{target} refuses a plain conversation"
        return
    said = [part for message in messages if message.role != "system" for part in message.parts]
    parts = [part for role, inner in heard.messages if role != "system" for part in inner]
    made = [(call.name, call.arguments) for call in said if isinstance(call, ToolCall)]
    assert made == [(call.name, call.arguments) for call in parts if isinstance(call, ToolCall)]
    results = [result.is_error for result in said if isinstance(result, ToolResult)]
    # some vendors take a call at a time, or by name: the results stand in the order of their calls there
    assert [result.is_error for result in parts if isinstance(result, ToolResult)] in (results, in_order(messages))
    moved = any(message.role == "system" for message in messages[1:])
    pictures = any(isinstance(result, ToolResult) and not isinstance(result.content, str) for result in said)
    if not moved and not pictures and "degrade" not in chosen:
        filler = getattr(target.wire.options, "filler", "")
        words = squeezed(parts, Text)
        assert squeezed(said, Text) == (words.replace(filler, "") if filler else words)


@settings(max_examples=many(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(), options)
def test_a_history_is_refused_before_a_byte_or_taken_by_every_provider(messages, chosen):
    """Whatever was said before, and by whom: the strict side of each provider's wire takes what it is sent."""
    for name in PROVIDERS:
        check(party(name), messages, chosen)


@pytest.mark.slow
@settings(max_examples=many(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(), options)
def test_many_histories_at_every_target(messages, chosen):
    """The same, many times, at all models whose rules differ."""
    for target in TARGETS:
        check(party(*target), messages, chosen)


@settings(max_examples=25, deadline=None)
@given(histories(), st.data())
def test_calls_without_their_results_are_refused(messages, data):
    """A result that is missing, doubled or out of place is told of before any vendor is asked."""
    places = [index for index, message in enumerate(messages) if message.role == "tool"]
    if not places:
        return
    index = data.draw(st.sampled_from(places))
    broken = list(messages)
    match data.draw(st.sampled_from(["missing", "doubled", "late"])):
        case "missing":
            del broken[index]
        case "doubled":
            broken.insert(index, messages[index])
        case "late":
            broken.insert(index, Message("user", "Wait."))
    with pytest.raises(InvalidRequest) as caught:
        ChatRequest.read(broken)
    assert "messages[" in str(caught.value)
    assert json.dumps(str(caught.value))
