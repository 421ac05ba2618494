"""
The register of the fault rows: each has a test that is named for it, or a reason why it has none.

A test is named for its rows: `test_row_22_…`, `test_rows_25_and_34_…`, `test_rows_70_to_75_and_79_…`.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.rows import rows

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One row of the table. `rest`: what of it is not tested here, or why it can't apply; `elsewhere`: where it is."""

    fault: str
    rest: str = ""
    elsewhere: str = ""


HEALTH = "tests/health"
STORE = "tests/store"

ROWS: dict[int, Row] = {
    1: Row("a name that does not resolve"),
    2: Row("a resolver that hangs"),
    3: Row("one dead address of two"),
    4: Row("connection refused"),
    5: Row("a black hole, 300 at once"),
    6: Row("a certificate not to be trusted", "that a security event is sent", "tests/test_hooks.py"),
    7: Row("a TLS handshake that stalls or is none"),
    8: Row("RST before headers"),
    9: Row("a kept connection that had died"),
    10: Row("EOF before headers"),
    11: Row("RST after headers, before any event"),
    12: Row("headers that drip"),
    13: Row("a body that drips"),
    14: Row("a prompt that is never read"),
    15: Row("no free connection in the pool"),
    16: Row("out of descriptors"),
    17: Row("proxies: dead, or wanting a password"),
    18: Row("malformed proxies"),
    19: Row("1xx answers"),
    20: Row("HTTP/2 GOAWAY", "HTTP/2 is never on; the test is that it is not offered"),
    21: Row("too many headers"),
    22: Row("headers, then silence"),
    23: Row("heart-beats alone"),
    24: Row("blank lines, then an answer or none"),
    25: Row("a preamble, then an error event"),
    26: Row("a stall after 20 tokens"),
    27: Row("RST after 40 of 60 tokens"),
    28: Row("a clean end without a finish"),
    29: Row("a finish without [DONE]"),
    30: Row("[DONE] without a finish"),
    31: Row("the last event lacks its blank line"),
    32: Row("one event of broken JSON"),
    33: Row("an error event in the middle"),
    34: Row("an error event first"),
    35: Row("a finish twice"),
    36: Row("text after the finish"),
    37: Row("usage in every form"),
    38: Row("chunks without choices"),
    39: Row("chunks without content"),
    40: Row("what nobody knows"),
    41: Row("the token limit in a call's arguments"),
    42: Row("arguments that are no JSON object"),
    43: Row("tool calls in odd pieces"),
    44: Row("a cut in a tool call"),
    45: Row("a stream cut at every byte"),
    46: Row("CR, LF, CRLF"),
    47: Row("a byte order mark"),
    48: Row("U+2028 and its like"),
    49: Row("retry, id, comments, several data lines"),
    50: Row("invalid UTF-8"),
    51: Row("lone surrogates, NUL"),
    52: Row("an event of 50 MB"),
    53: Row("a line without end"),
    54: Row("a gzip bomb"),
    55: Row("an unknown or false Content-Encoding"),
    56: Row("JSON for a stream, a stream for JSON"),
    57: Row("a page with 200"),
    58: Row("a page with an error"),
    59: Row("an error with 200"),
    60: Row("an empty body"),
    61: Row("cut JSON"),
    62: Row("a Content-Length that is too short or too long"),
    63: Row("JSON that is none, or hardly"),
    64: Row("no choices, no message, a refusal"),
    65: Row("an answer without formalities"),
    66: Row("429 with Retry-After"),
    67: Row("Retry-After as a date"),
    68: Row("Retry-After as nonsense"),
    69: Row("Retry-After of two hours, nobody else"),
    70: Row("out of money"),
    71: Row("an allowance used up", "that a paid target is used only where that is allowed", "tests/test_spending.py"),
    72: Row("401", "that an event is sent", "tests/test_hooks.py"),
    73: Row("a region block", "that another proxy is another scope", HEALTH),
    74: Row("a model that is gone"),
    75: Row("an unsupported parameter, and other 400s"),
    76: Row("a prompt too long for T1 and T2"),
    77: Row("a content filter"),
    78: Row("408, 409, 425, 499"),
    79: Row("5xx, 503, 529"),
    80: Row("redirects elsewhere"),
    81: Row("redirects in a loop"),
    82: Row("x-should-retry: false"),
    83: Row("a clock that is off, with signed requests"),
    84: Row("an OAuth token that expires"),
    85: Row("a key that can be none"),
    86: Row("a variable that is not set"),
    87: Row("a configuration with mistakes"),
    88: Row("a chain that can be none"),
    89: Row("a key file that others can read"),
    90: Row("an address that hides where it leads"),
    91: Row("5,000 calls at a dead target"),
    92: Row("cancelled, anywhere", "reservations of budgets", "tests/test_spending.py"),
    93: Row("out of the loop, forgotten", "that it is settled as an estimate", "tests/test_spending.py"),
    94: Row("three event loops"),
    95: Row("fork"),
    96: Row("64 threads; the sync client in a loop"),
    97: Row("pickle and copy"),
    98: Row("exit with open streams"),
    99: Row("a probe that is cancelled, refused or killed", "probes and their leases", f"{HEALTH}, {STORE}"),
    100: Row("a result from before the breaker opened", "generations of a breaker", HEALTH),
    101: Row("all targets out"),
    102: Row("a short deadline"),
    103: Row("the clock jumps", "needs a clock that is made up", HEALTH),
    104: Row("Redis away, frozen, full, slow", "needs a Redis", STORE),
    105: Row("Redis back with older state", "needs a Redis", STORE),
    106: Row("1,000 calls, a budget for 10", "needs eight processes and a Redis", "tests/allowance"),
    107: Row("kill -9 between reserve and settle", "needs a Redis", "tests/allowance"),
    108: Row("hedges"),
    109: Row("image addresses that lead inside", "images are not fetched: their addresses go to the vendor"),
    110: Row("handlers, hooks and prices that raise", "needs no server", "tests/test_hooks.py"),
}


def rows_of(name: str) -> set[int]:
    """The rows that a test is named for."""
    found = re.match(r"test_rows?_(\d+(?:_(?:and|to)_\d+)*)_", name)
    if found is None:
        return set()
    rows: set[int] = set()
    for part in found[1].split("_and_"):
        first, _, last = part.partition("_to_")
        rows |= set(range(int(first), int(last or first) + 1))
    return rows


@cache
def found_by_row() -> dict[int, list[str]]:
    """The tests of this folder by the rows that they are named for."""
    found = defaultdict(list)
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for row in rows_of(node.name):
                    found[row].append(f"{path.name}::{node.name}")
    return found


def test_the_register_has_every_row() -> None:
    """All 110 numbers are there, and no other."""
    assert list(range(1, 111)) == list(ROWS)


def test_names_are_read_right() -> None:
    """A test's name says its rows, one, several or a range of them."""
    assert {22} == rows_of("test_row_22_silence")
    assert {25, 34} == rows_of("test_rows_25_and_34_an_error")
    assert {70, 71, 72, 79} == rows_of("test_rows_70_to_72_and_79_moves")
    assert {96} == rows_of("test_row_96_64_threads")
    assert set() == rows_of("test_what_is_not_http")


@rows("number", ROWS)
def test_every_row_is_tested_or_says_why_not(number: int) -> None:
    """A row has a test that is named for it, or a reason; no test is named for a row that there is not."""
    row, tests = ROWS[number], found_by_row().get(number, [])
    assert tests or row.rest, f"row {number} ({row.fault}) is left out in silence"
    assert set(found_by_row()) <= set(ROWS)


@pytest.mark.parametrize("number", [number for number, row in ROWS.items() if row.rest])
def test_what_is_not_here_is_elsewhere_or_cannot_apply(number: int) -> None:
    """What of a row is tested elsewhere is there; what can't apply says why: `pytest -rs tests/faults/test_rows.py`."""
    row = ROWS[number]
    if not row.elsewhere:
        pytest.skip(f"row {number}, {row.fault}: {row.rest}")
    for place in row.elsewhere.split(", "):
        assert (HERE.parents[1] / place).exists(), f"{place} is not there"
