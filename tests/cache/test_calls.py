"""What a caller notices of the cache: the same answer, at no cost, where he asked for that; and else nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, field_validator

from llmswitch import AsyncClient, Client, Hooks, InvalidRequest, OutputInvalid, Tool
from llmswitch.testing import FakeVendor
from tests.rows import rows

PRICED = "gpt-5.4-mini"


def answer(text: str = "hi", *, finish: str = "stop", **message: Any) -> httpx.Response:
    choice = {"message": {"content": text, **message}, "finish_reason": finish}
    return httpx.Response(200, json={"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})


def streamed(finish: str | None = "stop") -> httpx.Response:
    deltas: list[dict[str, Any]] = [{"delta": {"content": "h"}}, {"delta": {"content": "i"}}]
    deltas += [{"delta": {}, "finish_reason": finish}] if finish else []
    lines = "".join(f"data: {json.dumps({'choices': [delta]})}\n\n" for delta in deltas)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=lines + "data: [DONE]\n\n")


def config(**more: Any) -> dict[str, Any]:
    return {
        "providers": {name: {"dialect": "openai", "base_url": f"http://{name}.local/v1"} for name in "ab"},
        "chains": {"kept": {"targets": ["a:m"], "cache": True}, "not": {"targets": ["a:m"]}},
        "default": "kept",
        "cache": {"kind": "memory"},
        **more,
    }


def client(vendor: FakeVendor, hooks: Hooks | None = None, **more: Any) -> Client:
    return Client.from_config(config(**more), http_client=vendor, hooks=hooks)


def vendor(*answers: httpx.Response) -> FakeVendor:
    """It gives these answers in turn, and the last of them for ever."""
    left = list(answers or [answer()])
    return FakeVendor(lambda _request: left.pop(0) if len(left) > 1 else left[0])


def test_the_same_request_is_answered_once_by_the_vendor():
    """A hit is the reply as it was, marked, with no attempt; the vendor hears nothing of it."""
    asked = vendor(answer(reasoning_content="well"))
    made = client(asked)
    first, second = made.chat("Hi"), made.chat("Hi")
    assert (False, True) == (first.from_cache, second.from_cache)
    assert 1 == len(asked.requests)
    assert first.message == second.message
    assert (first.usage, first.finish_reason, "a", "m") == (
        second.usage,
        second.finish_reason,
        second.provider,
        second.model,
    )
    assert ((), {}) == (second.attempts, second.raw)


def test_a_hit_costs_nothing_and_a_budget_is_not_touched():
    """What the vendor is not asked, nobody pays for."""
    priced = {"openai": {"api_key": {"env": "K"}}}
    asked = vendor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("K", "sk-test-0123456789")
        made = client(
            asked,
            providers=priced,
            chains={"kept": {"targets": [{"target": f"openai:{PRICED}", "dialect": "openai"}], "cache": True}},
            budgets=[{"limit": "1 USD", "per": "day"}],
        )
        first = made.chat("Hi", max_tokens=10)
        spent = made.allowances()[0].spent
        second = made.chat("Hi", max_tokens=10)
    assert first.cost is not None
    assert first.cost.amount > 0
    assert "0 USD" == str(second.cost)
    assert spent == made.allowances()[0].spent


def test_nothing_is_kept_where_nobody_asked_for_it():
    """Neither by a chain without `cache`, nor by a call with cache=False, nor without `[cache]`."""
    asked = vendor()
    made = client(asked)
    for options in ({"model": "not"}, {"cache": False}, {"model": "a:m"}) * 2:
        assert not made.chat("Hi", **options).from_cache
    assert 6 == len(asked.requests)
    bare = client(asked, cache={}, chains={"kept": {"targets": ["a:m"]}})
    assert bare._cache is None
    with pytest.raises(InvalidRequest, match=r"cache=True needs a \[cache\]"):
        bare.chat("Hi", cache=True)
    with pytest.raises(InvalidRequest, match="cache must be True or False"):
        made.chat("Hi", cache="yes")  # type: ignore[arg-type]


def test_a_call_may_ask_for_it_itself():
    """cache=True uses the cache with a chain that does not; chains of the same targets have the same answers."""
    asked = vendor()
    made = client(asked)
    made.chat("Hi", model="not", cache=True)
    assert made.chat("Hi", model="not", cache=True).from_cache
    assert made.chat("Hi").from_cache
    assert 1 == len(asked.requests)


@rows(
    "given",
    [
        {"temperature": 0.5},
        {"max_tokens": 7},
        {"seed": 1},
        {"stop": ["x"]},
        {"extra": {"a": {"logit_bias": {}}}},
        {"tags": ["other"]},
        {"response_format": "json"},
        {"tools": [Tool("look")]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_request_that_differs_is_another(given):
    """Whatever shapes the answer, or says whose it is."""
    asked = vendor(answer("1"))
    made = client(asked)
    made.chat("Hi")
    assert not made.chat("Hi", **given).from_cache


def test_an_answer_is_never_of_a_target_that_the_chain_has_not():
    """Another target, the same one with other settings, and the same name at another address are others."""
    asked = vendor()
    chains = {
        "kept": {"targets": ["a:m", "b:m"], "cache": True},
        "one": {"targets": ["b:m"], "cache": True},
        "cool": {"targets": ["a:m", {"target": "b:m", "temperature": 0}], "cache": True},
    }
    made = client(asked, chains=chains)
    made.chat("Hi")
    assert not made.chat("Hi", model="one").from_cache
    assert not made.chat("Hi", model="cool").from_cache
    moved = client(
        asked, chains=chains, providers={name: {"dialect": "openai", "base_url": "http://c.local/v1"} for name in "ab"}
    )
    moved._cache = made._cache
    assert not moved.chat("Hi").from_cache
    assert made.chat("Hi").from_cache


def test_tags_may_be_shared():
    """With `shared` the tags of a call make no difference."""
    asked = vendor()
    made = client(asked, cache={"kind": "memory", "shared": True})
    made.chat("Hi", tags=["alice"])
    assert made.chat("Hi", tags=["bob"]).from_cache


@rows(
    ("given", "options"),
    [
        (answer(finish="length"), {}),
        (answer(finish="content_filter"), {}),
        (answer(""), {}),
        (answer(None, refusal="no"), {}),
        (answer("not JSON"), {"response_format": "json"}),
    ],
    ids=["cut", "filtered", "empty", "refused", "of another form"],
)
def test_what_is_not_whole_is_not_kept(given, options):
    """An answer that is cut, filtered, refused, empty or of another form is asked for again."""
    asked = vendor(given)
    made = client(asked)
    for _ in range(2):
        try:
            assert not made.chat("Hi", **options).from_cache
        except OutputInvalid:
            pass
    assert 2 == len(asked.requests)


def test_an_answer_with_a_warning_is_not_kept():
    """What was degraded for one target is not given again when another may do better."""
    asked = vendor()
    made = client(asked)
    for _ in range(2):
        reply = made.chat("Hi", reasoning="high", degrade=True)
        assert reply.warnings
        assert not reply.from_cache


def test_a_stream_is_kept_and_played():
    """A stream that was read to its end serves `chat()` and is played again; one that was left or broke off is not."""
    asked = vendor(streamed(None), streamed(), streamed())
    made = client(asked)
    with pytest.raises(Exception, match=r"a:m"):
        list(made.stream("Hi"))
    with made.stream("Hi") as left:
        next(left)
    first = made.stream("Hi")
    assert "hi" == "".join(first.text)
    assert 3 == len(asked.requests)
    assert made.chat("Hi").from_cache
    again = made.stream("Hi")
    events = list(again)
    assert ["TextDelta", "Finish"] == [type(event).__name__ for event in events]
    assert first.reply.message == again.reply.message
    assert again.reply.from_cache


def test_tool_calls_are_played():
    """A kept call of a tool comes as its piece and as the whole of it, with its own id."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    made = client(vendor(answer(None, finish="tool_calls", tool_calls=[call])))
    first = made.chat("Hi", tools=[Tool("look")])
    events = list(made.stream("Hi", tools=[Tool("look")]))
    assert ["ToolCallDelta", "ToolCallDone", "Finish"] == [type(event).__name__ for event in events]
    assert first.tool_calls == [events[1].call]  # type: ignore[union-attr]


class Even(BaseModel):
    number: int


class Strange(BaseModel):
    """The same schema, under the same name, with a rule of its own."""

    number: int

    @field_validator("number")
    @classmethod
    def _odd(cls, number: int) -> int:
        if number % 2 == 0:
            raise ValueError
        return number


Strange.__name__ = Strange.__qualname__ = "Even"
Strange.model_config["title"] = "Even"
Strange.__doc__ = None
Strange.model_rebuild(force=True)


def test_a_kept_answer_is_read_into_its_form_anew():
    """An instance of the caller's own class; what does not fit it is a miss."""
    asked = vendor(answer('{"number": 2}'), answer('{"number": 3}'))
    made = client(asked)
    first = made.chat("Hi", response_format=Even).parsed
    again = made.chat("Hi", response_format=Even)
    assert (True, first) == (again.from_cache, again.parsed)
    assert first is not again.parsed
    other = made.chat("Hi", response_format=Strange)
    assert (False, 3) == (other.from_cache, other.parsed.number)


def test_a_drill_asks_the_vendors():
    """A rehearsal neither takes an answer from the cache nor leaves one there."""
    asked = vendor()
    made = client(asked, chains={"kept": {"targets": ["a:m", "b:m"], "cache": True}})
    made.chat("Hi")
    made.rehearse({"a": "overloaded"})
    reply = made.chat("Hi")
    assert (False, "b") == (reply.from_cache, reply.provider)
    made.rehearse({})
    assert "a" == made.chat("Hi").provider


def test_hooks_are_told_of_a_hit():
    """`on_call` sees the call begin and end with a marked reply and no attempt; no attempt is told of."""
    told: list[Any] = []

    class Watching:
        def began(self) -> None:
            told.append("began")

        def ended(self, trail: Any, reply: Any, error: Any) -> None:
            told.append((list(trail), reply.from_cache, error))

    made = client(vendor(), Hooks(on_call=lambda _call: Watching(), on_attempt=told.append))
    made.chat("Hi")
    told.clear()
    made.chat("Hi")
    assert ["began", ([], True, None)] == told


def test_async_clients_do_the_same():
    """Whole and as a stream; emptied, it is asked again."""
    asked = vendor()

    async def run() -> None:
        made = AsyncClient.from_config(config(), http_client=asked)
        await made.chat("Hi")
        assert (await made.chat("Hi")).from_cache
        events = [event async for event in made.stream("Hi")]
        assert ["TextDelta", "Finish"] == [type(event).__name__ for event in events]
        await made.clear_cache()
        assert not (await made.chat("Hi")).from_cache
        await made.aclose()

    asyncio.run(run())
    assert 2 == len(asked.requests)


def test_a_kept_answer_is_the_callers_own():
    """What he does to it is not seen by the next one."""
    made = client(vendor(), chains={"kept": {"targets": ["a:m"], "cache": True}})
    made.chat("Hi").message.parts[0].text = "spoilt"  # type: ignore[union-attr]
    second = made.chat("Hi")
    second.message.parts[0].text = "spoilt"  # type: ignore[union-attr]
    assert "hi" == made.chat("Hi").text
