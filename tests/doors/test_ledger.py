"""What clients do to an answer that they hold, and what of its opaque data is still to be relied on."""

from __future__ import annotations

from llmswitch._messages import Part, Reasoning, Text, ToolCall, VendorData, VendorPart
from llmswitch.doors import Envelopes
from llmswitch.doors._ledger import restore, write_ledger
from tests.doors.loopback import CLAUDE, GEMINI

OPEN = Envelopes()
ANSWER: list[Part] = [Reasoning("Hm", CLAUDE), VendorPart(CLAUDE), Text("Yes"), ToolCall("c", "add", {}, vendor=GEMINI)]


def envelope() -> str:
    made = write_ledger(ANSWER, OPEN)
    assert made is not None
    return made


def test_the_order_of_a_client_does_not_matter() -> None:
    """Parts that come in another order, or in pieces, are put back as they were given."""
    held: list[Part] = [ToolCall("c", "add", {}), Text("Y"), Text("es"), Reasoning("Hm")]
    assert restore(held, [envelope()], OPEN) == ANSWER


def test_thoughts_that_a_client_left_out_take_nothing_with_them() -> None:
    """What belongs to the calls and the text still goes back; a thought with other words is nobody's, and stays out."""
    held: list[Part] = [Text("Yes"), ToolCall("c", "add", {})]
    assert restore(held, [envelope()], OPEN) == ANSWER[1:]
    assert restore([Reasoning("Well"), *held], [envelope()], OPEN) == ANSWER[1:]


def test_another_answers_envelope_says_nothing() -> None:
    """Where the text or a call is another, and where an envelope is damaged, only the plain parts are left."""
    held: list[Part] = [Reasoning("Hm"), Text("No, never"), ToolCall("c", "add", {})]
    assert restore(held, [envelope()], OPEN) == held[1:]
    assert restore(held, [envelope()[:-9]], OPEN) == held[1:]
    assert restore(held, [OPEN.seal(CLAUDE)], OPEN) == held[1:]
    forged = VendorData("llmswitch", "", "", {"parts": [{"kind": "Text", "length": 9, "vendor": {"provider": 1}}]})
    assert restore(held, [OPEN.seal(forged)], OPEN) == held[1:]
    renamed: list[Part] = [Text("Yes"), ToolCall("d", "add", {})]
    assert restore(renamed, [envelope()], OPEN) == renamed


def test_an_answer_with_nothing_opaque_has_no_envelope() -> None:
    """Plain text and calls go through a client as they are."""
    plain: list[Part] = [Text("Yes"), ToolCall("c", "add", {})]
    assert write_ledger(plain, OPEN) is None
    assert restore(plain, [], OPEN) == plain


def test_a_forged_envelope_says_nothing() -> None:
    """Where envelopes are signed, one without a signature, with another's, or that was changed is as a foreign one."""
    held: list[Part] = [Reasoning("Hm"), Text("Yes"), ToolCall("c", "add", {})]
    ours, others = Envelopes([b"new", b"old"]), Envelopes([b"other"])
    made = write_ledger(ANSWER, ours)
    assert made is not None
    assert restore(held, [made], ours) == ANSWER
    changed = made[:30] + ("A" if made[30] != "A" else "B") + made[31:]
    for forged in (write_ledger(ANSWER, OPEN), write_ledger(ANSWER, others), changed, f"{made}x", f"{made}é"):
        assert restore(held, [str(forged)], ours) == held[1:]


def test_a_key_can_be_followed_by_another() -> None:
    """What an older key signed is still opened; whoever signs nothing opens what others signed."""
    ours, old = Envelopes([b"new", b"old"]), Envelopes([b"old"])
    assert ours.unseal(old.seal(CLAUDE)) == CLAUDE
    assert old.unseal(ours.seal(CLAUDE)) is None
    assert OPEN.unseal(ours.seal(CLAUDE)) == CLAUDE
