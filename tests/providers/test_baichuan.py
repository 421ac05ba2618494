"""Baichuan: no money under 429, told by words alone, and little else that is certain."""

from __future__ import annotations

import pytest

from llmswitch import CapabilityMismatch, Tool
from tests.rows import rows

TARGET = "baichuan:Baichuan4-Turbo"


def failure(message: str) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


REFUSALS = {
    "no_money": (429, failure("Insufficient account balance, please recharge"), "Arrears", "account"),
    "no_money_zh": (429, failure("账户余额不足"), "Arrears", "account"),
    "rate": (429, failure("Rate limit reached for requests"), "RateLimited", "account"),
    "key": (401, failure("Incorrect API key provided"), "AuthInvalid", "account"),
    "key_2": (401, failure("Invalid Authentication"), "AuthInvalid", "account"),
    "server": (500, failure("Internal Server Error"), "ServerError", None),
    "bad": (400, failure("messages is empty"), "BadRequest", None),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(TARGET).refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def test_the_wait(one_vendor):
    """A wait in a header is on the error."""
    error, _ = one_vendor(TARGET).refusal(429, failure("Rate limit reached"), {"retry-after": "12"})
    assert 12.0 == error.retry_after


def test_temperature(one_vendor):
    """From 0 to 1."""
    assert [0.0, 1.0] == [one_vendor(TARGET).sent(temperature=given)["temperature"] for given in (0.0, 1.0)]
    with pytest.raises(CapabilityMismatch, match="at most 1 here"):
        one_vendor(TARGET).sent(temperature=1.1)


def test_what_is_not_known_is_not_sent(one_vendor):
    """Only what is known to be taken is sent: usage is not asked for, nor a call forced."""
    vendor, now = one_vendor(TARGET), Tool("now", "The time.")
    assert {"model", "messages", "stream"} == set(vendor.sent(stream=True))
    assert "auto" == vendor.sent(tools=[now], tool_choice="auto")["tool_choice"]
    for given in ({"tool_choice": "required"}, {"parallel_tool_calls": False}, {"seed": 1}, {"stop": "x"}):
        with pytest.raises(CapabilityMismatch):
            vendor.sent(tools=[now], **given)
