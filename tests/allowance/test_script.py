"""The script in Redis against the arithmetic in Python: the same orders at the same times come to the same."""

from __future__ import annotations

import random

import pytest

from llmswitch._allowance import Charge, Seen, Want
from llmswitch._counter_store import Give, Order, Shut, Take, Taken, View, edges
from llmswitch._redis_counters import RedisCounters
from llmswitch._redis_store import redis_clients
from llmswitch._secrets import Secret
from llmswitch._window import DAY, Calendar, Ever, Sliding, Until
from tests.allowance.play import NOON, Clock, MemoryCounterStore, allowance, rate
from tests.everyday import many

pytestmark = pytest.mark.slow

LIMITS = [
    allowance("day"),
    rate(),
    allowance("month", 30, Calendar("month", "Asia/Shanghai")),
    rate("vendor's day", 5, Calendar("day")),
    allowance("until", 20, Until(NOON + 3 * DAY)),
    allowance("ever", 50, Ever()),
]
FORWARD = [0.3, 1, 5, 61, 300, 901, 5000, 86_400, 3, 3, 40 * 86_400]
BACK = [1, 70, 86_400, 3 * 86_400]


class History:
    """Orders that are made up, and the two stores that carry them out."""

    def __init__(self, chance: random.Random, client) -> None:
        self.chance, self.client, self.clock = chance, client, Clock()
        self.memory = MemoryCounterStore(self.clock)
        self.redis = RedisCounters(client, "p", "one", self.clock)
        self.asked: dict[str, tuple[Want, ...]] = {}
        self.charges: dict[str, tuple[Charge, ...]] = {}

    def step(self) -> None:
        """Time passes, or both carry out a batch and say the same of it."""
        kind = self.chance.random()
        if kind < 0.3:
            back = kind < 0.05
            self.clock.tick(-self.chance.choice(BACK) if back else self.chance.choice(FORWARD))
            return
        orders = [self.order() for _ in range(self.chance.randint(0, 4))]
        views = [self.view(each) for each in LIMITS]
        now = self.clock.now
        for token in self.asked:  # keys expire by the server's own clock, which this one is ahead of
            record = self.memory.records.get(token)
            if record is None or record.kept <= now:
                self.client.delete(f"p:1:reservation:{token}")
        expected, said = self.memory.carry_out(views, orders), self.redis.carry_out(views, orders)
        assert expected.results == said.results, (now, orders)
        if now >= NOON + 3 * DAY:  # over: nothing is done about it any more, and a day later it is gone
            said.seen["until"] = expected.seen["until"]
        assert expected.seen == said.seen, (now, orders)
        for order, result in zip(orders, said.results, strict=True):
            if isinstance(result, Taken):
                self.charges[order.token] = result.charges

    def view(self, limit) -> View:
        known = (
            self.memory._tally(limit).seen()
            if self.chance.random() < 0.2 and not isinstance(limit.window, Sliding)
            else None
        )
        if known is not None:
            more = self.chance.choice([0, 1]), self.chance.choice([0, 0, 1])
            known = Seen(known.start, known.end, known.settled + more[0], 0, known.back + more[1])
        wrong = self.chance.choice([5000, 90 * 86_400]) if self.chance.random() < 0.05 else 0
        return View(limit, edges(limit.window, self.clock.now + round(wrong * 1000)), known)

    def order(self) -> Order:
        kind = self.chance.random()
        if kind < 0.5 or not self.asked:
            return self.take()
        if kind < 0.9:
            return self.give()
        now = self.clock.now
        return Shut(self.chance.choice(LIMITS), self.chance.choice([0, now + 5000, now + 10**10]))

    def take(self) -> Take:
        if self.chance.random() < 0.15:
            wants = tuple(Want(each, self.chance.choice([0, 1, 3, 12])) for each in self.chance.sample(LIMITS, 2))
            return Take("looks", wants, 900.0, look=True)
        again = self.asked and self.chance.random() < 0.1
        token = self.chance.choice(list(self.asked)) if again else f"t{len(self.asked)}"
        if token not in self.asked:
            limits = self.chance.sample(LIMITS, self.chance.randint(1, 3))
            self.asked[token] = tuple(Want(each, self.chance.choice([0, 1, 2, 3, 7, 12])) for each in limits)
        return Take(token, self.asked[token], self.chance.choice([900.0, 900.0, 2.0, 1000.0]))

    def give(self) -> Give:
        token, now = self.chance.choice(list(self.asked)), self.clock.now
        charges = self.charges.get(token) or tuple(self.alone(want) for want in self.asked[token])
        actuals = tuple(self.chance.choice([0, 1, each.amount, each.amount + 2]) for each in charges)
        still_open = self.chance.random() < 0.15
        kept, mark = now + self.chance.choice([-1, 5000, 10**7]), self.chance.choice([5000, 300_000])
        return Give(token, charges, None if still_open else actuals, kept, mark)

    def alone(self, want: Want) -> Charge:
        """Where a process that was alone would have kept it."""
        now, window = self.clock.now, want.allowance.window
        span = None if isinstance(window, Sliding) else window.span(now)
        start = now // 1000 - self.chance.randint(0, 70) if isinstance(window, Sliding) else span[0] if span else 0
        return Charge(want.allowance, want.amount, start, now + self.chance.choice([1000, 60_000]))


def test_the_script_counts_as_the_arithmetic_does(server):
    """Over fifty histories of clocks that jump, leases that end and orders that are repeated."""
    client = redis_clients(Secret(server.url, "the test"), "the test")()
    for seed in range(many(50)):
        client.flushall()
        history = History(random.Random(seed), client)
        for _ in range(40):
            history.step()
    client.close()
