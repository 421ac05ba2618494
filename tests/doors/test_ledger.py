"""What clients do to an answer that they hold, and what of its opaque data is still to be relied on."""

from __future__ import annotations

from llmswitch._messages import Part, Reasoning, Text, ToolCall, VendorData, VendorPart
from llmswitch.doors._envelope import seal
from llmswitch.doors._ledger import restore, write_ledger
from tests.doors.loopback import CLAUDE, GEMINI

ANSWER: list[Part] = [Reasoning("Hm", CLAUDE), VendorPart(CLAUDE), Text("Yes"), ToolCall("c", "add", {}, vendor=GEMINI)]


def envelope() -> str:
    made = write_ledger(ANSWER)
    assert made is not None
    return made


def test_the_order_of_a_client_does_not_matter() -> None:
    """Parts that come in another order, or in pieces, are put back as they were given."""
    held: list[Part] = [ToolCall("c", "add", {}), Text("Y"), Text("es"), Reasoning("Hm")]
    assert restore(held, [envelope()]) == ANSWER


def test_thoughts_that_a_client_left_out_take_nothing_with_them() -> None:
    """What belongs to the calls and the text still goes back; a thought with other words is nobody's, and stays out."""
    held: list[Part] = [Text("Yes"), ToolCall("c", "add", {})]
    assert restore(held, [envelope()]) == ANSWER[1:]
    assert restore([Reasoning("Well"), *held], [envelope()]) == ANSWER[1:]


def test_another_answers_envelope_says_nothing() -> None:
    """Where the text or a call is another, and where an envelope is damaged, only the plain parts are left."""
    held: list[Part] = [Reasoning("Hm"), Text("No, never"), ToolCall("c", "add", {})]
    assert restore(held, [envelope()]) == held[1:]
    assert restore(held, [envelope()[:-9]]) == held[1:]
    assert restore(held, [seal(CLAUDE)]) == held[1:]
    forged = VendorData("llmswitch", "", "", {"parts": [{"kind": "Text", "length": 9, "vendor": {"provider": 1}}]})
    assert restore(held, [seal(forged)]) == held[1:]
    renamed: list[Part] = [Text("Yes"), ToolCall("d", "add", {})]
    assert restore(renamed, [envelope()]) == renamed


def test_an_answer_with_nothing_opaque_has_no_envelope() -> None:
    """Plain text and calls go through a client as they are."""
    plain: list[Part] = [Text("Yes"), ToolCall("c", "add", {})]
    assert write_ledger(plain) is None
    assert restore(plain, []) == plain
