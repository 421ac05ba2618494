"""What a caller is told while calls go on; and that whatever he does with it, the call goes on too."""

from __future__ import annotations

import logging

import httpx
import pytest

from llmswitch import Client, Hooks, RateLimited
from llmswitch.testing import FakeVendor

OK = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def client(status: int, hooks: Hooks | None = None, headers: dict[str, str] | None = None) -> tuple[Client, FakeVendor]:
    """A chain whose first target refuses with a status, and whose second answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a.local":
            return httpx.Response(status, headers=headers, json={"error": {"message": "no"}})
        return httpx.Response(200, json=OK)

    vendor = FakeVendor(answer)
    config = {
        "providers": {name: {"dialect": "openai", "base_url": f"http://{name}.local/v1"} for name in "ab"},
        "chains": {"c": {"targets": ["a:m", "b:m"]}},
        "default": "c",
    }
    return Client.from_config(config, http_client=vendor, hooks=hooks), vendor


def test_attempts_switches_and_alarms_are_told():
    """Each attempt, each move to another target, and what needs a person is told, once each."""
    told: list[tuple[str, object]] = []
    hooks = Hooks(
        on_attempt=lambda attempt: told.append(("attempt", attempt.error)),
        on_switch=lambda before, after, error: told.append(("switch", (before, after, type(error).__name__))),
        account_needs_human=lambda error: told.append(("human", str(error.target))),
    )
    made, _ = client(401, hooks)
    made.chat("Hi")
    assert [
        ("attempt", "AuthInvalid"),
        ("human", "a:m"),
        ("switch", ("a:m", "b:m", "AuthInvalid")),
        ("attempt", None),
    ] == told
    told.clear()
    made.chat("Hi")  # now it is passed over: nobody has to be woken again
    assert "human" not in [kind for kind, _ in told]


def test_a_hook_that_raises_harms_nothing(caplog):
    """A broken hook is said once in the log, without what it was called with, and the call is answered."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("CANARY")

    made, _ = client(401, Hooks(on_attempt=broken, on_switch=broken, account_needs_human=broken, security=broken))
    with caplog.at_level(logging.WARNING, "llmswitch"):
        for _ in range(3):
            assert "hi" == made.chat("Hi").text
    assert 3 == len(caplog.records)
    assert "CANARY" not in caplog.text


def test_what_is_out_is_passed_over_without_a_packet():
    """After a declared wait the target is not asked; the trail and `health()` say why and for how long."""
    made, vendor = client(429, headers={"retry-after": "20"})
    made.chat("Hi")
    reply = made.chat("Hi")
    assert ["a.local", "b.local", "b.local"] == [request.url.host for request in vendor.requests]
    assert "RateLimited" in reply.attempts[0].skipped_because
    (a, b) = made.health()
    assert ("a:m", "cooling", "RateLimited") == (a.target, a.state, a.reason)
    assert 15 < a.seconds <= 20
    assert ("b:m", "ok", None) == (b.target, b.state, b.seconds)
    made.reset("a:m")
    assert "ok" == made.health()[0].state


def test_a_target_taken_out_by_hand():
    """`isolate` keeps calls away until `reset`."""
    made, vendor = client(200)
    made.isolate("a:m")
    assert "b" == made.chat("Hi").provider
    assert "isolated" == made.health()[0].state
    made.reset("a:m")
    assert ["b.local"] == [request.url.host for request in vendor.requests]


def test_a_breaker_opens_after_five_failures():
    """A dead target gets five requests, then none."""
    made, vendor = client(501)  # not a repetition: a capability
    for _ in range(8):
        made.chat("Hi")
    assert 8 == sum(request.url.host == "a.local" for request in vendor.requests)
    made, vendor = client(502)
    for _ in range(8):
        made.chat("Hi")
    assert 5 == sum(request.url.host == "a.local" for request in vendor.requests)
    assert "open" == made.health()[0].state


def test_one_target_that_is_out_says_for_how_long():
    """A chain of one whose target is out raises its class at once, with the seconds that are left."""
    vendor = FakeVendor(lambda request: httpx.Response(429, headers={"retry-after": "7200"}, json={}))
    config = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local"}}, "default": "a:m"}
    made = Client.from_config(config, http_client=vendor)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            made.chat("Hi")
        assert 7100 < caught.value.retry_after <= 7200
    assert 1 == len(vendor.requests)
