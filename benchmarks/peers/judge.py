"""One judge for all: from what a caller saw and what the servers heard to a verdict. It knows no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.wire import HEALTHY

from .faults import FROM_T1, Fault

__all__ = ["GOOD", "OPEN", "Seen", "Verdict", "judge"]

# answered     by the second target, whole, and nothing else
# recovered    by the first target, which is well again
# reported     an error, after exactly the text that had arrived
# continued    the second target was handed the partial and went on from it: whether well, a fake can't tell
# incomplete   no error, and the text is not whole
# mixed        no error, and text of both targets, the second not knowing of the first
# wrong        no error, and something that neither target was to answer
# failed       an error, although the second target would have answered
# lost         an error, and not the text that had arrived
# hung         not over at the limit
# leaked       the key or the prompt went where they must not
# crashed      the process ended
Verdict: TypeAlias = Literal[
    "answered",
    "recovered",
    "reported",
    "continued",
    "incomplete",
    "mixed",
    "wrong",
    "failed",
    "lost",
    "hung",
    "leaked",
    "crashed",
]
GOOD: frozenset[Verdict] = frozenset({"answered", "recovered", "reported"})
OPEN: frozenset[Verdict] = frozenset({"continued"})


@dataclass(frozen=True)
class Seen:
    """
    One call. `text`, `error` (its class), `hung`: what the caller saw. `handed_on`: the second target was sent the
    partial. `leaked`: what went where it must not: "key", "prompt".
    """

    text: str
    error: str | None = None
    hung: bool = False
    handed_on: bool = False
    leaked: Sequence[str] = ()


def judge(fault: Fault, seen: Seen) -> Verdict:
    """The verdict on one call under this fault."""
    if seen.leaked:
        return "leaked"
    if seen.hung:
        return "hung"
    if fault.expected == "interrupted":
        return _interrupted(fault.partial, seen)
    if seen.error is not None:
        return "failed"
    if seen.text == HEALTHY:
        return "answered"
    if fault.expected == "either" and seen.text == FROM_T1:
        return "recovered"
    return "mixed" if HEALTHY in seen.text else "incomplete" if _is_cut(seen.text) else "wrong"


def _interrupted(partial: str, seen: Seen) -> Verdict:
    if seen.error is not None:
        return "reported" if seen.text == partial else "lost"
    if seen.text == HEALTHY:  # the caller was given nothing before the stream was whole
        return "answered"
    if HEALTHY in seen.text:
        return "continued" if seen.handed_on else "mixed"
    return "incomplete"


def _is_cut(text: str) -> bool:
    """Nothing, or words of the first target without their beginning or their end."""
    return not text.strip() or all(word.startswith("w") for word in text.split())
