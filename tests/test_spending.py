"""Limits, budgets and grants in real calls: what is reserved, what it comes to, and who is asked instead."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from llmswitch import (
    AllTargetsUnavailable,
    AsyncClient,
    BudgetExceeded,
    Client,
    ConfigError,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    StreamInterrupted,
)
from llmswitch.testing import FakeVendor

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
DAY = timedelta(days=1)
ASK = "x" * 184  # with 20 tokens of an answer just what the vendor will count


def today() -> Any:
    return datetime.now(UTC).date()


def config(*names: str, budgets: list[dict[str, Any]] | None = None, **own: dict[str, Any]) -> dict[str, Any]:
    """A chain of servers with these names, and what is set for each."""
    return {
        "providers": {
            name: {"dialect": "openai", "base_url": f"https://{name}.example/v1", **own.get(name, {})} for name in names
        },
        "chains": {"c": {"targets": [f"{name}:m" for name in names]}},
        "default": "c",
        "budgets": budgets or [],
    }


class Vendor:
    """Answers, or refuses as it is told to by host, and knows whom it was asked as."""

    def __init__(self, **refusals: httpx.Response) -> None:
        self.refusals = refusals
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host.partition(".")[0]
        self.asked.append(name)
        if name in self.refusals:
            return self.refusals[name]
        choice = {"message": {"content": "Hello"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice], "usage": USAGE})


def client(vendor: Vendor, given: dict[str, Any]) -> Client:
    return Client.from_config(given, http_client=FakeVendor(vendor))


def spent(one: Client | AsyncClient) -> dict[str, Decimal | None]:
    return {state.label: state.spent for state in one.allowances()}


# Budgets


def test_a_budget_counts_what_the_vendor_counted() -> None:
    """Reserved is what a call may come to, charged is what it came to; what has no room is not sent."""
    vendor = Vendor()
    one = client(vendor, config("a", budgets=[{"tokens": 1000, "per": "day"}]))
    for number in range(1, 9):
        one.chat(ASK, max_tokens=20)
        assert [Decimal(120 * number)] == list(spent(one).values())
    with pytest.raises(BudgetExceeded, match="has no room") as caught:
        one.chat(ASK, max_tokens=500)
    assert 8 == len(vendor.asked)
    assert 0 < (caught.value.retry_after or 0) <= 86_400
    assert not caught.value.possibly_billed


def test_a_call_that_alone_is_too_large_says_so() -> None:
    """What could never pass is refused with what to do about it."""
    with pytest.raises(BudgetExceeded, match="lower max_tokens, or raise the budget"):
        client(Vendor(), config("a", budgets=[{"tokens": 100, "per": "ever"}])).chat(ASK, max_tokens=5000)


def test_a_target_without_room_is_passed_over() -> None:
    """The chain goes on to the next target, whose budget has some left."""
    vendor = Vendor()
    one = client(vendor, config("a", "b", budgets=[{"tokens": 200, "per": "day", "provider": "a"}]))
    replies = [one.chat(ASK, max_tokens=20) for _ in range(3)]
    assert ["a", "b", "b"] == [reply.provider for reply in replies]
    assert "BudgetExceeded" == replies[1].attempts[0].error
    assert replies[1].attempts[0].skipped_because is not None
    assert ["ok", "ok"] == [shown.state for shown in one.health()]


def test_budgets_go_by_chain_and_tag() -> None:
    """A budget of a tag bounds the calls that carry it, and no others."""
    one = client(Vendor(), config("a", budgets=[{"tokens": 200, "per": "day", "tag": "batch"}]))
    one.chat(ASK, max_tokens=20, tags=["batch"])
    with pytest.raises(BudgetExceeded):
        one.chat(ASK, max_tokens=20, tags=["batch", "night"])
    one.chat(ASK, max_tokens=20)
    one.chat(ASK, max_tokens=20, tags=["night"])
    with pytest.raises(InvalidRequest, match="tags"):
        one.chat(ASK, tags=[1])  # type: ignore[list-item]


def test_a_refusal_costs_nothing_and_a_break_what_was_reserved() -> None:
    """What the vendor refused used no token; what broke off without a count is charged as it was reserved."""
    refused = Vendor(a=httpx.Response(503, json={"error": {"message": "no"}}))
    one = client(refused, config("a", "b", budgets=[{"tokens": 10_000, "per": "day", "provider": "a"}]))
    one.chat(ASK, max_tokens=20)
    assert [Decimal(0)] == list(spent(one).values())
    cut = b'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'
    broken = Vendor(a=httpx.Response(200, content=cut, headers={"content-type": "text/event-stream"}))
    one = client(broken, config("a", budgets=[{"tokens": 10_000, "per": "day"}]))
    with pytest.raises(StreamInterrupted):
        list(one.stream(ASK, max_tokens=20))
    (left,) = spent(one).values()
    assert left is not None
    assert left == 120


def test_what_a_vendor_counts_before_he_is_done_is_no_count() -> None:
    """A stream that breaks off after its first event, which has one token of output, is charged as it was reserved."""
    started = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    word = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Once"}}
    content = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in (started, word))
    cut = Vendor(a=httpx.Response(200, text=content, headers={"content-type": "text/event-stream"}))
    given = config("a", a={"dialect": "anthropic"}, budgets=[{"tokens": 10_000, "per": "day"}])
    one = client(cut, given)
    with pytest.raises(StreamInterrupted):
        list(one.stream(ASK, max_tokens=20))
    assert [Decimal(120)] == list(spent(one).values())


def test_a_stream_that_is_left_at_its_end_is_charged_as_counted() -> None:
    """A caller who stops at the Finish event had an answer, and its usage is known."""
    events = [
        b'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20}}\n\n',
        b"data: [DONE]\n\n",
    ]
    stream = httpx.Response(200, content=b"".join(events), headers={"content-type": "text/event-stream"})
    one = client(Vendor(a=stream), config("a", budgets=[{"tokens": 10_000, "per": "day"}]))
    with one.stream(ASK, max_tokens=20) as answer:
        for event in answer:
            if type(event).__name__ == "Finish":
                break
    assert [Decimal(120)] == list(spent(one).values())


def test_money_is_kept_in_its_own_currency() -> None:
    """A target whose price is not known is passed over where money is bounded, rather than let through uncounted."""
    given = config("a", budgets=[{"limit": "5.00 USD", "per": "day"}])
    with pytest.raises(BudgetExceeded, match="its price is not known"):
        client(Vendor(), given).chat(ASK)


def test_tasks_keep_a_budget_together() -> None:
    """Row 106 in one process: of a hundred calls at once no more pass than the budget holds."""

    async def main() -> list[Any]:
        vendor = Vendor()
        given = config("a", budgets=[{"tokens": 1250, "per": "day"}])
        async with AsyncClient.from_config(given, http_client=FakeVendor(vendor)) as one:
            calls = (one.chat(ASK, max_tokens=20) for _ in range(100))
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert [True] == [state.spent is not None and state.spent <= 1250 for state in one.allowances()]
            return done

    done = asyncio.run(main())
    answered = [each for each in done if not isinstance(each, BaseException)]
    assert {"BudgetExceeded"} == {type(each).__name__ for each in done if isinstance(each, BaseException)}
    assert len(answered) <= 1250 // 120 + 1


# Limits of the vendor's


def test_a_limit_passes_the_target_over_without_a_packet() -> None:
    """Two requests a minute: the third goes to the next target, and alone it is RateLimited with the wait."""
    vendor = Vendor()
    limits = {"limits": {"requests_per_minute": 2}}
    one = client(vendor, config("a", "b", a=limits))
    assert ["a", "a", "b"] == [one.chat(ASK).provider for _ in range(3)]
    alone = client(vendor, {**config("a", a=limits), "chains": {"c": {"targets": ["a:m"], "timeout": 5}}})
    alone.chat(ASK), alone.chat(ASK)
    with pytest.raises(RateLimited) as caught:
        alone.chat(ASK)
    assert 50 < (caught.value.retry_after or 0) <= 62


def test_what_the_vendor_says_is_used_up_is_used_up() -> None:
    """A vendor's QuotaExhausted closes the day's limit here too, for every process that counts with us."""
    daily = httpx.Response(429, json={"error": {"message": "you have reached your daily limit"}})
    one = client(Vendor(a=daily), config("a", "b", a={"limits": {"requests_per_day": 1000}}))
    one.chat(ASK, max_tokens=20)
    (state,) = one.allowances()
    assert state.limit == state.spent


# Grants


def grant(tokens: int, days: int, **more: Any) -> dict[str, Any]:
    return {"tokens": tokens, "expires": today() + days * DAY, **more}


def test_grants_are_spent_soonest_ending_first_and_then_money() -> None:
    """Whose free tokens end first is asked first; when all are gone the chain's own order holds."""
    vendor = Vendor()
    grants = {"b": {"grants": [grant(300, 9)]}, "c": {"grants": [grant(300, 2)]}}
    one = client(vendor, config("a", "b", "c", **grants))
    replies = [one.chat(ASK, max_tokens=20) for _ in range(7)]
    assert ["c", "c", "b", "b", "a", "a", "a"] == [reply.provider for reply in replies]
    assert "c's grant of 300 tokens" in (replies[0].attempts[0].grant or "")
    assert replies[-1].attempts[-1].grant is None
    assert {Decimal(240)} == set(spent(one).values())


@pytest.mark.parametrize("on_exhausted", ["pay", "stop"])
def test_a_free_quota_turns_into_a_bill_only_where_that_is_allowed(on_exhausted: str) -> None:
    """`stop`: when the grant is used up the provider is asked no more; `pay`: it goes on at its price."""
    vendor = Vendor()
    one = client(vendor, config("a", a={"grants": [grant(200, 9, on_exhausted=on_exhausted)]}))
    one.chat(ASK, max_tokens=20)
    if on_exhausted == "pay":
        assert one.chat(ASK, max_tokens=20).attempts[0].grant is None
        return
    with pytest.raises(QuotaExhausted, match=r'on_exhausted = "stop" keeps it from costing money'):
        one.chat(ASK, max_tokens=20)
    assert ["a"] == vendor.asked


def test_a_grant_that_is_over_is_none() -> None:
    """After its last day nothing is spent of it, and `stop` says that it has ended."""
    one = client(Vendor(), config("a", "b", a={"grants": [grant(10**6, -1, on_exhausted="stop")]}))
    reply = one.chat(ASK)
    assert ("b", "QuotaExhausted") == (reply.provider, reply.attempts[0].error)
    assert "have ended" in (reply.attempts[0].message or "")
    alone = client(Vendor(), config("a", a={"grants": [grant(10**6, -1)]}))
    assert alone.chat(ASK).attempts[0].grant is None
    assert grant(1, 0)["expires"] == today()
    assert client(Vendor(), config("a", a={"grants": [grant(10**6, 0)]})).chat(ASK).attempts[0].grant is not None


def test_a_grant_is_for_the_models_that_it_names() -> None:
    """Another model of the same provider is paid for, and `stop` does not hold it."""
    one = client(Vendor(), config("a", a={"grants": [grant(200, 9, models=["free-*"], on_exhausted="stop")]}))
    assert one.chat(ASK).attempts[0].grant is None
    assert one.chat(ASK, model="a:free-1", max_tokens=20).attempts[0].grant is not None
    with pytest.raises(QuotaExhausted):
        one.chat(ASK, model="a:free-1", max_tokens=20)


def test_the_vendor_says_that_the_grant_is_used_up() -> None:
    """A QuotaExhausted of the vendor's ends the grant here, whatever had been counted."""
    gone = httpx.Response(403, json={"error": {"message": "free quota exhausted"}})
    one = client(Vendor(b=gone), config("a", "b", b={"grants": [grant(10**6, 9)]}))
    reply = one.chat(ASK)
    assert [("b:m", "QuotaExhausted"), ("a:m", None)] == [(each.target, each.error) for each in reply.attempts]
    assert [Decimal(10**6)] == list(spent(one).values())


def test_money_budgets_do_not_count_what_is_free() -> None:
    """A call from a grant costs no money, so that a budget of money does not stand in its way."""
    given = config("a", budgets=[{"limit": "1.00 USD", "per": "day"}], a={"grants": [grant(10**6, 9)]})
    assert client(Vendor(), given).chat(ASK).attempts[0].grant is not None


def test_all_who_are_out_of_money_say_so() -> None:
    """A chain that has no room with anybody says which budget, as the error of a budget, and sends nothing."""
    vendor = Vendor()
    one = client(vendor, config("a", "b", budgets=[{"tokens": 50, "per": "day"}]))
    with pytest.raises(BudgetExceeded, match=r"none of the 2 targets .+ the budget of 50 tokens a day"):
        one.chat(ASK, max_tokens=2000)
    assert [] == vendor.asked
    limits = {"b": {"limits": {"requests_per_day": 1}}}
    one = client(vendor, config("a", "b", budgets=[{"tokens": 50, "per": "day", "provider": "a"}], **limits))
    one.chat(ASK)
    with pytest.raises(AllTargetsUnavailable):
        one.chat(ASK)


def test_what_is_no_grant_is_said() -> None:
    """A grant without an end, or of no tokens, is refused with its place."""
    for bad in ({"tokens": 5}, {"tokens": 0, "expires": today()}, {"tokens": 5, "expires": "soon"}):
        with pytest.raises(ConfigError, match=r"providers\.a\.grants\[0\]"):
            client(Vendor(), config("a", a={"grants": [bad]}))
