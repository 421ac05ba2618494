"""Processes that lose sight of the store and find it again: afterwards all know the same, and nothing is made up."""

from __future__ import annotations

import random

import pytest

from llmswitch._errors import ServerError
from llmswitch._health import Admission
from tests.everyday import sizes
from tests.store.play import Clock, MemoryStore, Process, limited, target

TARGETS = [target(f"m{number}", account=f"{number}") for number in range(3)]


class Cut(MemoryStore):
    """One process's way to the store, which may be cut."""

    def __init__(self, whole):
        self.whole = whole
        self.cut = False

    def __getattribute__(self, name):
        if name in ("read", "write", "hold", "free"):
            if self.cut:
                raise OSError("cut off")
            return getattr(self.whole, name)
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("seeds", sizes(15, 100))
def test_all_agree_when_they_meet_again(seeds):
    """After partitions, restarts of the store and resets, every process has the same cool-downs, and none too long."""
    for seed in range(seeds):
        meet(seed)


def meet(seed):
    chance, clock = random.Random(seed), Clock()
    whole = MemoryStore(clock)
    ways = [Cut(whole) for _ in range(3)]
    fleet = [Process(way, clock) for way in ways]
    for each in fleet:
        for asked in TARGETS:
            each.refused(asked)
        each.turn()
    declared = {asked.model: clock.now for asked in TARGETS}
    for _ in range(120):
        clock.now += chance.uniform(0, 0.7)
        way, each, asked = chance.choice(ways), chance.choice(fleet), chance.choice(TARGETS)
        match chance.randrange(12):
            case 0 | 1:
                way.cut = not way.cut
            case 2:
                old = dict(whole.kept)
            case 3 if chance.random() < 0.3:
                whole.kept = old if "old" in locals() else {}
            case 4 if chance.random() < 0.5:
                each.health.reset(asked)
            case 5 | 6:
                admission = each.health.admit(asked, 5.0)
                if isinstance(admission, Admission):
                    seconds = chance.uniform(1, 40)
                    each.health.failed(admission, limited(seconds))
                    declared[asked.model] = max(declared[asked.model], clock.now + seconds)
            case 7:
                for _ in range(5):
                    admission = each.health.admit(asked, 5.0)
                    if isinstance(admission, Admission):
                        each.health.failed(admission, ServerError("500"))
            case _:
                each.turn()
    for way in ways:
        way.cut = False
    for _ in range(4):
        for each in fleet:
            each.turn()
    for asked in TARGETS:
        key = asked.scope("target")
        ends = [each.health._known.cooldowns.get(key) for each in fleet]
        left = [round(max(end.until - clock.now, 0.0), 1) if end is not None else 0.0 for end in ends]
        assert max(left) - min(left) <= 0.2
        assert max(left) <= max(declared[asked.model] - clock.now, 0.0) + 0.2
        breakers = [each.health._known.breakers.get(key) for each in fleet]
        left = [
            round(max(each.until - clock.now, 0.0), 1) if each and each.state == "open" else 0.0 for each in breakers
        ]
        assert max(left) - min(left) <= 0.2
        for subject in (("cooldown", key), ("breaker", key)):
            records = [each.sharing._ledger.known.get(subject) for each in fleet]
            known = {(record.epoch, record.until) if record is not None else None for record in records}
            assert 1 == len(known)
