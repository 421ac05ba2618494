"""What answers say of limits, and the pace that keeps to it: nobody has to throttle, and nothing is left unused."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st

from llmswitch import Client
from llmswitch._pace import Pace
from llmswitch._rate_headers import USUAL, Left, RateHeaders, read_left
from llmswitch._rates import Rates
from llmswitch._registry import provider
from tests.everyday import examples
from tests.rows import rows

SERVED = "Fri, 27 Nov 2026 12:00:00 GMT"


@rows(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("2m59.56s", 179.56),
        ("59", 59.0),
        ("2026-11-27T12:00:30Z", 30.0),
        ("2026-11-27T11:59:00Z", 0.0),
        ("1795780810", 10.0),
    ],
)
def test_a_reset_is_read_in_each_form(reset: str, seconds: float) -> None:
    """Durations, seconds, and moments, which are measured against the answer's own date."""
    headers = {
        "date": SERVED,
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-reset-requests": reset,
    }
    (left,) = read_left(headers, USUAL)
    assert ("requests", 59.0, 60.0) == (left.counts, left.remaining, left.limit)
    assert seconds == pytest.approx(left.seconds)


@rows("headers", [{}, {"x-ratelimit-remaining-requests": "59"}])
@rows("bad", ["-1", "soon", "nan", "inf", "1e9999", "99999999d", "9" * 400 + "s", "2026-99-01", ""])
def test_what_cannot_be_meant_is_passed_over(headers: dict[str, str], bad: str) -> None:
    """Neither a number of calls nor a time that is none is heeded, nor a limit without any time."""
    for name in ("remaining", "reset"):
        assert [] == list(read_left({**headers, f"x-ratelimit-{name}-requests": bad}, USUAL))


def test_a_vendor_names_his_own_headers() -> None:
    """They stand in his file; where he has no time, his file may say for how long a limit is."""
    headers = {
        "anthropic-ratelimit-output-tokens-remaining": "8000",
        "anthropic-ratelimit-output-tokens-reset": "2026-11-27T12:00:07Z",
        "date": SERVED,
    }
    (left,) = read_left(headers, provider("anthropic").rate_headers)
    assert ("output_tokens", 8000.0, None, 7.0) == (left.counts, left.remaining, left.limit, left.seconds)
    (left,) = read_left({"x-left": "5"}, [RateHeaders(remaining="x-left", per=60)])
    assert (5.0, 60.0) == (left.remaining, left.seconds)


def test_a_server_of_ones_own_has_those_of_its_dialect_or_of_the_configuration() -> None:
    """Who speaks a vendor's dialect is read by his names, unless the configuration has others."""
    own = {"dialect": "anthropic", "base_url": "http://127.0.0.1:1/v1"}
    other = {"dialect": "openai", "base_url": "http://127.0.0.1:2/v1", "rate_headers": [{"remaining": "x-left"}]}
    client = Client(["own:m", "other:m"], config={"providers": {"own": own, "other": other}})
    first, second = client._setup.targets()
    assert provider("anthropic").rate_headers == first.rate_headers
    assert (RateHeaders(remaining="x-left"),) == second.rate_headers


class Bucket:
    """A vendor whose limit fills up all the time; it says when the bucket is full again."""

    def __init__(self, limit: float) -> None:
        self.limit, self.level, self.at = limit, limit, 0.0

    def ask(self, now: float, cost: float) -> tuple[bool, float, float]:
        self.level = min(self.limit, self.level + self.limit / 60 * (now - self.at))
        self.at = now
        taken = self.level >= cost
        self.level -= cost if taken else 0.0
        return taken, float(int(self.level)), (self.limit - self.level) / self.limit * 60


class Window:
    """A vendor whose limit begins anew each minute; he says when, in whole seconds."""

    def __init__(self, limit: float) -> None:
        self.limit, self.used, self.minute = limit, 0.0, 0

    def ask(self, now: float, cost: float) -> tuple[bool, float, float]:
        minute = int((now + 23) // 60)
        self.used, self.minute = (self.used if minute == self.minute else 0.0), minute
        taken = self.used + cost <= self.limit
        self.used += cost if taken else 0.0
        return taken, self.limit - self.used, float(int((minute + 1) * 60 - 23 - now) + 1)


def drive(
    vendors: dict[str, Bucket | Window], latency: float, seed: int, *, minutes: int, tokens: float = 1.0
) -> Iterator[tuple[str, float, bool]]:
    """Each call that reaches a vendor, when, and whether he took it; each target as soon as it is due."""
    chance, pace, rates, now = random.Random(seed), Pace(64), Rates(), 0.0
    events: list[tuple[float, int, str, int, float, tuple[bool, float, float] | None]] = []
    counts = "requests" if tokens == 1.0 else "tokens"
    count = 0
    while now < minutes * 60:
        for name in vendors:
            while pace.open(now) and rates.due(name) <= now:
                pace.began()
                count += 1
                event = (now + chance.uniform(0.01, 0.1), count, name, rates.began(name, now), now, None)
                heapq.heappush(events, event)
        wakes = [events[0][0]] if events else []
        if pace.flying < int(pace.room):
            wakes.append(max(now + 1e-6, pace.until, min(map(rates.due, vendors))))
        now = min(wakes)
        if not events or events[0][0] > now:
            continue
        now, order, name, number, began, said = heapq.heappop(events)
        if said is None:
            said = vendors[name].ask(now, tokens * chance.uniform(0.5, 1.5) if tokens > 1 else 1.0)
            yield name, now, said[0]
            after = latency * chance.uniform(0.5, 1.5) if said[0] else 0.05
            heapq.heappush(events, (now + after, order, name, number, began, said))
            continue
        taken, left, seconds = said
        pace.ended(began, now, answered=taken, throttled=not taken)
        if taken and tokens > 1:
            rates.used(name, {"tokens": int(tokens * 0.8)})  # a vendor may count more than he says
        rates.heard(name, number, began, [Left("x", counts, left, vendors[name].limit, seconds)])
        if not taken:
            pace.hold(now + 1)


@examples(
    6,
    12,
    kind=st.sampled_from([Bucket, Window]),
    limit=st.integers(20, 400),
    latency=st.floats(0.1, 12),
    seed=st.integers(0, 9),
    tokens=st.sampled_from([1.0, 500.0]),
)
def test_a_limit_is_kept_and_used(
    kind: type[Bucket | Window], limit: int, latency: float, seed: int, tokens: float
) -> None:
    """
    Whether it fills up or begins anew, 85 % of it is used and one call in a hundred (or three) refused at the most; of
    tokens, of which nobody knows beforehand how many a call takes, 70 %, and one in twenty or the last of each minute.
    """
    latency = min(latency, 60 * 30 / limit) if tokens == 1 else min(latency, 60 * 10 / limit)  # for 64 in flight
    seen = list(drive({"a": kind(limit * tokens)}, latency, seed, minutes=6, tokens=tokens))
    served = sum(taken for *_, taken in seen)
    used, refused = (0.85, max(3.0, len(seen) * 0.01)) if tokens == 1 else (0.7, max(6.0, len(seen) * 0.05))
    assert sum(not taken for *_, taken in seen) <= refused
    assert served >= used * limit * 6


def test_each_target_has_its_own() -> None:
    """Two targets at once are each asked as often as it allows, and no more."""
    seen = list(drive({"a": Bucket(60), "b": Window(200)}, 2.0, 1, minutes=4))
    assert [] == [at for _, at, taken in seen if not taken]
    for name, limit in (("a", 60), ("b", 200)):
        assert 0.85 * limit <= sum(each == name and at >= 60 for each, at, _ in seen) / 3 <= 1.05 * limit


def test_old_news_is_passed_over_and_silence_goes_on_evenly() -> None:
    """An answer to an earlier call changes nothing; when the limit is whole again, calls go on at its rate."""
    rates = Rates()
    first, second = rates.began("a", 0.0), rates.began("a", 0.1)
    assert rates.due("a") < 0
    rates.heard("a", second, 0.1, [Left("x", "requests", 0.0, 60.0, 30.0)])
    rates.heard("a", first, 0.0, [Left("x", "requests", 59.0, 60.0, 1.0)])
    assert 30.1 == pytest.approx(rates.due("a"))
    rates.began("a", 30.1)
    assert 31.1 == pytest.approx(rates.due("a"))
    assert rates.due("b") < 0
