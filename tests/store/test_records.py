"""Records: which of two stays, what comes from outside, and what a name gives away."""

from __future__ import annotations

import json
from itertools import permutations

from hypothesis import strategies as st

from llmswitch._breaker import Breaker, BreakerNumbers
from llmswitch._store import Record, digest
from tests.everyday import examples
from tests.rows import rows

records = st.builds(
    Record,
    epoch=st.integers(0, 3),
    since=st.integers(0, 10**6),
    until=st.one_of(st.just(0), st.integers(0, 10**6)),
    reason=st.sampled_from(["", "RateLimited", "ServerError"]),
    transient=st.booleans(),
    times=st.integers(0, 5),
)


def stays(*heard: Record) -> Record:
    """What is known after all of them."""
    known = heard[0]
    for record in heard[1:]:
        known = record if record.beats(known) else known
    return known


@examples(20, 100, st.lists(records, min_size=1, max_size=4))
def test_the_order_of_hearing_makes_no_difference(heard):
    """Whoever hears the same records ends with the same epoch and the same end."""
    ends = {(known.epoch, known.until) for known in (stays(*order) for order in permutations(heard))}
    assert 1 == len(ends)


@examples(20, 100, records, records)
def test_an_older_state_never_shortens_a_newer_one(one, other):
    """Within an epoch the later end stays; what was closed afterwards stays closed."""
    known = stays(one, other)
    assert known.epoch == max(one.epoch, other.epoch)
    assert known.until == max(record.until for record in (one, other) if record.epoch == known.epoch)


@examples(20, 100, records)
def test_what_is_written_is_read(record):
    """JSON with the version of its schema, and the same record again."""
    assert 1 == json.loads(record.dump())["v"]
    assert record == Record.load(record.dump())
    assert record == Record.load(record.dump().encode())


@examples(
    20,
    100,
    st.one_of(st.binary(), st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)),
)
def test_what_cannot_be_read_is_nothing(raw):
    """Whatever stands in the store, reading it raises nothing."""
    assert Record.load(raw) is None


@rows(
    "changed",
    [
        {"v": 2},
        {"v": None},
        {"epoch": -1},
        {"epoch": True},
        {"since": "now"},
        {"until": 1e400},
        {"until": 2**60},
        {"times": None},
        {"reason": 7},
    ],
)
def test_a_record_of_another_shape_is_nothing(changed):
    """A later version's record, or a damaged one, is not half understood."""
    assert Record.load(json.dumps({**json.loads(Record(0, 1, 2, "ServerError").dump()), **changed})) is None


def test_a_reason_is_the_name_of_an_error():
    """A name that this version does not know is not looked up in its modules."""
    known = Record.load(Record(0, 1, 2, "rule_for", times=10**9).dump())
    assert known == Record(0, 1, 2, "Overloaded", times=1000)


def test_nothing_is_out_for_longer_than_it_was():
    """However far the store's clock has jumped back, no more is left than there was at the beginning, or a day."""
    assert 20.0 == Record(0, 1_000_000, 1_020_000).left(1_000_000)
    assert 5.0 == Record(0, 1_000_000, 1_020_000).left(1_015_000)
    assert 20.0 == Record(0, 1_000_000, 1_020_000).left(0)
    assert 86_400.0 == Record(0, 0, 10**12).left(0)


KEY = "https://vendor.example|http://user:pass@proxy.example|0123456789abcdef|some-model"


def test_a_name_gives_nothing_away():
    """No host, proxy, account or model can be read in the store."""
    name = digest("cooldown", KEY, "box", "box")
    assert name.startswith("cooldown:")
    assert 64 == len(name.removeprefix("cooldown:"))
    assert [] == [part for part in ("vendor", "proxy", "pass", "0123", "model", "box") if part in name[9:]]


def named(key: str, machine: str, egress: str) -> str:
    return digest("breaker", key, machine, egress)


def test_an_endpoint_is_known_by_the_way_to_it():
    """What is known of an endpoint is shared by those of one egress; of an account and its models, by all."""
    endpoint, account, target = "https://vendor.example|", "https://vendor.example||a", "https://vendor.example||a|m"
    assert named(endpoint, "one", "one") != named(endpoint, "two", "two")
    assert named(endpoint, "one", "east") == named(endpoint, "two", "east")
    assert named(account, "one", "one") == named(account, "two", "two")
    assert named(target, "one", "one") == named(target, "two", "two")


@rows("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "x.localhost"])
def test_a_server_on_this_machine_is_its_own(host):
    """The same local address on another machine is another server, and so is what lies behind a local proxy."""
    for key in (f"http://{host}||a|m", f"https://vendor.example|http://{host}|a|m"):
        assert named(key, "one", "east") != named(key, "two", "east")
        assert named(key, "one", "east") == named(key, "one", "west")


def test_a_breaker_learns_an_opening():
    """Of two openings the later end counts, unless the breaker was closed in between."""
    breaker = Breaker(BreakerNumbers(), lambda: 0.5)
    breaker.learn_open(100.0, 3, "ServerError")
    breaker.learn_open(50.0, 1, "NoResponse")
    assert (100.0, 3) == (breaker.until, breaker.opened)
    breaker.learn_open(50.0, 1, "NoResponse", anew=True)
    assert (50.0, "NoResponse") == (breaker.until, breaker.reason)
