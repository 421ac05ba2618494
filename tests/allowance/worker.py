"""A process that counts in a Redis. Orders come in as lines of JSON, and so go the answers."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from typing import Any, cast

from llmswitch import Usage, _allowances
from llmswitch._allowances import Allowances, Held, Refused
from llmswitch._config_file import Loaded
from llmswitch._endpoint import Endpoint
from llmswitch._estimate import Spend
from llmswitch._target import Target

TARGET = Target(
    "openai",
    "m",
    cast("Any", None),
    Endpoint("openai", "main", "https://vendor.example/v1", "unknown", {}, "a"),
    cast("Any", None),
)


class Worker:
    """What can be ordered. `budget`: tokens a month; a call needs as many as are ordered. `lease` in seconds."""

    def __init__(self, url: str, budget: int, lease: float | None = None) -> None:
        config = {"store": {"url": url}, "budgets": [{"tokens": budget, "per": "month"}]}
        if lease is not None:
            _allowances.LEASE, _allowances.MARGIN = lease, 0.0
        self.allowances = Allowances.from_config(Loaded.from_mapping(config))
        self.held: list[Held] = []

    def perform(self, amount: int) -> Held | Refused:
        """Reserve for a call."""
        plan = self.allowances.plan(TARGET, Spend(amount, 0))
        assert plan is not None
        return plan.perform()

    def warm(self) -> bool:
        """Whether the store has been reached."""
        outcome = self.perform(1)
        if isinstance(outcome, Held):
            outcome.release()
        counters = cast("Any", self.allowances._counters)
        return not counters.outage.gone and bool(counters._shares.known)

    def reserve(self, amount: int) -> str:
        """Reserve, and don't come back from it; `held`, or the class of the error."""
        outcome = self.perform(amount)
        if isinstance(outcome, Refused):
            return type(outcome.error(TARGET)).__name__
        self.held.append(outcome)
        return "held"

    def settle(self, amount: int) -> bool:
        """Settle the oldest reservation."""
        self.held.pop(0).settle(Usage(amount, 0))
        return True

    def storm(self, threads: int, begin: float) -> dict[str, int]:
        """A call in each of so many threads at the same moment; how often it came to what."""
        came: Counter[str] = Counter()
        ready = threading.Barrier(threads)

        def call() -> None:
            ready.wait()
            time.sleep(max(0.0, begin - time.time()))
            came[self.reserve(1)] += 1

        calls = [threading.Thread(target=call) for _ in range(threads)]
        for each in calls:
            each.start()
        for each in calls:
            each.join()
        return dict(came)

    def lost(self) -> int:
        """How often the store did not answer."""
        return sum(cast("Any", self.allowances._counters).outage.counts.values())

    def end(self) -> None:
        """Leave as a program does."""
        sys.exit(0)


def main() -> None:
    """Do what is ordered until there is nobody left to order."""
    worker = Worker(sys.argv[1], **json.loads(sys.argv[2]))
    for line in sys.stdin:
        order, *given = json.loads(line)
        answer: Any = getattr(worker, order)(*given)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
