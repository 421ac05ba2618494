"""What a caller is told while calls go on; and that whatever he does with it, the call goes on too."""

from __future__ import annotations

import logging

import httpx
import pytest

from llmswitch import Client, Hooks, LLMSwitchError, RateLimited, _log
from llmswitch.testing import FakeVendor
from tests.rows import rows

OK = {
    "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}


def client(
    status: int,
    hooks: Hooks | None = None,
    headers: dict[str, str] | None = None,
    more: dict[str, object] | None = None,
) -> tuple[Client, FakeVendor]:
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
        **(more or {}),
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


@rows(
    ("status", "kind"),
    [(401, "AuthInvalid"), (402, "Arrears"), (403, "PermissionDenied"), (404, "ModelGone")],
)
def test_what_a_person_has_to_see_to(status, kind):
    """What does not pass by itself is an alarm: the key, the money, a permission, a model that is gone."""
    told = []
    made, _ = client(status, Hooks(account_needs_human=told.append, security=lambda error: told.append("security")))
    made.chat("Hi")
    assert [(kind, "a:m", None)] == [(type(error).__name__, error.target, error.__traceback__) for error in told]


@rows("status", [429, 451, 500, 503])
def test_what_passes_by_itself_is_no_alarm(status):
    """A rate limit, a failure and an overload are none, nor is a region block: the switch shows it."""
    told, switched = [], []
    made, _ = client(status, Hooks(None, lambda *given: switched.append(given), told.append, told.append))
    made.chat("Hi")
    assert [] == told
    assert 1 == len(switched)


@pytest.mark.parametrize(("status", "kind"), [(302, "RedirectRefused"), (None, "TLSInvalid")])
def test_what_is_not_to_be_trusted(status, kind):
    """A redirect and a bad certificate are told to `security`."""
    told = []
    config = {"drill": {"a": "bad_certificate"}} if status is None else {}
    made, _ = client(status or 200, Hooks(security=told.append), more=config)
    made.chat("Hi")
    assert [kind] == [type(error).__name__ for error in told]


def test_a_hook_is_a_plain_function():
    """An async function would never be awaited: it is refused when the hooks are made."""

    async def hook(*_: object) -> None: ...

    with pytest.raises(TypeError, match="account_needs_human is an async function"):
        Hooks(account_needs_human=hook)


class Broken(logging.Handler):
    """A handler that raises, as those do that are written in haste."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ZeroDivisionError(record.getMessage())


@pytest.fixture
def broken_log():
    """The log of llmswitch with a handler that raises."""
    handler = Broken()
    logging.getLogger("llmswitch").addHandler(handler)
    _log._complained.clear()
    yield
    logging.getLogger("llmswitch").removeHandler(handler)


def test_row_110_a_log_handler_that_raises(broken_log, capsys):
    """It harms no call, whatever there is to log, and is reported once."""

    def broken(*_: object) -> None:
        raise KeyError("CANARY")

    _log._told.clear()
    made, _ = client(429, Hooks(on_attempt=broken, on_switch=broken), {"retry-after": "soon"}, {"drill": {"b": "hang"}})
    made.isolate("b:m")
    for _ in range(2):
        with pytest.raises(LLMSwitchError):
            made.chat("Hi")
    assert ["llmswitch: a log handler raised ZeroDivisionError; a line of the log is lost"] == (
        capsys.readouterr().err.splitlines()
    )


def test_row_110_a_price_that_raises(caplog):
    """A price that can't be reckoned with leaves the cost unknown, and is reported once; the answer is handed over."""
    made, _ = client(200)
    _log._told.clear()
    made._setup.chain(None).targets[1].price = object()
    with caplog.at_level(logging.WARNING, "llmswitch"):
        for _ in range(2):
            reply = made.chat("Hi")
            assert ("hi", None) == (reply.text, reply.cost)
    assert ["b:m: its price can't be reckoned with (AttributeError)"] == caplog.messages


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
