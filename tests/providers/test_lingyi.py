"""01.AI: a host of which little is certain."""

from __future__ import annotations

import pytest

from llmswitch import CapabilityMismatch, Image, Message, Text, Tool
from tests.rows import rows

TARGET = "lingyi:yi-lightning"


def failure(message: str) -> dict[str, object]:
    return {"error": {"message": message, "type": None, "param": None, "code": None}}


REFUSALS = {
    "key": (401, failure("no"), "AuthInvalid", "account"),
    "no_money": (402, failure("no"), "Arrears", "account"),
    "rate": (429, failure("slow down"), "RateLimited", "account"),
    "model": (404, failure("no"), "ModelGone", "target"),
    "long": (400, failure("This model's maximum context length is 16384 tokens"), "ContextTooLong", None),
    "bad": (400, failure("no"), "BadRequest", None),
    "server": (500, failure("no"), "ServerError", None),
    "busy": (503, failure("no"), "Overloaded", "target"),
}


@rows("name", REFUSALS)
def test_refusals(one_vendor, name):
    """Each refusal is the class that says what to do next, and takes out just what it concerns."""
    status, body, becomes, reach = REFUSALS[name]
    error, reached = one_vendor(TARGET).refusal(status, body)
    assert (becomes, reach) == (type(error).__name__, reached)


def test_what_is_not_known_is_not_sent(one_vendor):
    """Only what is known to be taken is sent: usage is not asked for, nor a call forced."""
    vendor, now = one_vendor(TARGET), Tool("now", "The time.")
    assert {"model", "messages", "stream"} == set(vendor.sent(stream=True))
    for given in ({"tool_choice": "now"}, {"parallel_tool_calls": True}, {"seed": 1}, {"stop": "x"}):
        with pytest.raises(CapabilityMismatch):
            vendor.sent(tools=[now], **given)


def test_the_vision_model(one_vendor):
    """One family takes images, and calls no tools."""
    seen = [Message("user", [Text("What?"), Image(url="https://example.com/a.png")])]
    assert "image_url" == one_vendor("lingyi:yi-vision-v2").sent(seen)["messages"][0]["content"][1]["type"]
    with pytest.raises(CapabilityMismatch, match="images"):
        one_vendor(TARGET).sent(seen)
    with pytest.raises(CapabilityMismatch, match="calls no tools"):
        one_vendor("lingyi:yi-vision-v2").sent(tools=[Tool("now", "The time.")])
