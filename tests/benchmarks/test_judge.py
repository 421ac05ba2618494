"""The judge of the comparison: what a caller saw, and what that is called."""

from __future__ import annotations

from benchmarks.peers.faults import FAULTS, FROM_T1, Fault
from benchmarks.peers.judge import GOOD, Seen, judge
from benchmarks.wire import HEALTHY, spelled
from tests.rows import rows

BY_NAME = {fault.name: fault for fault in FAULTS}
BEFORE = BY_NAME["401"]
CUT = BY_NAME["RST after 40 of 60 tokens"]
WELL_AGAIN = BY_NAME["300 calls given up, then one"]
PARTIAL = spelled(40)

SEEN: dict[str, tuple[Fault, Seen, str]] = {
    "T2 answered": (BEFORE, Seen(HEALTHY), "answered"),
    "an error where T2 was well": (BEFORE, Seen("", "APIError"), "failed"),
    "half of T2": (BEFORE, Seen(HEALTHY[:5]), "wrong"),
    "nothing, and no error": (BEFORE, Seen(""), "incomplete"),
    "a page as an answer": (BEFORE, Seen("<html>"), "wrong"),
    "something before T2's answer": (BEFORE, Seen("w0 " + HEALTHY), "mixed"),
    "T1 where it is not well": (BEFORE, Seen(FROM_T1), "wrong"),
    "T1 where it is well again": (WELL_AGAIN, Seen(FROM_T1), "recovered"),
    "T2 where T1 is well again": (WELL_AGAIN, Seen(HEALTHY), "answered"),
    "silence": (BEFORE, Seen("", "TimeoutError", hung=True), "hung"),
    "an answer, and a leak": (BEFORE, Seen(HEALTHY, leaked=["prompt"]), "leaked"),
    "cut, and said": (CUT, Seen(PARTIAL, "Interrupted"), "reported"),
    "cut, and not said": (CUT, Seen(PARTIAL), "incomplete"),
    "cut, and not even what came": (CUT, Seen("", "Interrupted"), "lost"),
    "cut, and something twice": (CUT, Seen(PARTIAL + "w39 ", "Interrupted"), "lost"),
    "cut, and T2 at the end": (CUT, Seen(PARTIAL + HEALTHY), "mixed"),
    "cut, and T2 knew": (CUT, Seen(PARTIAL + HEALTHY, handed_on=True), "continued"),
    "held back, and T2": (CUT, Seen(HEALTHY), "answered"),
}


@rows(("fault", "seen", "verdict"), SEEN.values(), ids=SEEN)
def test_a_verdict(fault, seen, verdict):
    """Each thing that a caller can see has its verdict, whoever the library is."""
    assert verdict == judge(fault, seen)


def test_what_is_good():
    """A caller has nothing to complain of in three cases: answered, by whom it should be, or told what is missing."""
    assert {"answered", "recovered", "reported"} == GOOD


def test_every_fault_has_a_name_and_a_way():
    """Faults are told apart by name, and each is played to a whole answer or to a stream."""
    assert len(FAULTS) == len(BY_NAME)
    assert all(fault.whole or fault.stream for fault in FAULTS)
    assert all(bool(fault.partial) == (fault.expected == "interrupted") for fault in FAULTS)
