"""A process that shares its health. Orders come in as lines of JSON, and so go the answers."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from llmswitch._breaker import BreakerNumbers
from llmswitch._errors import ConnectFailed, ServerError
from llmswitch._health import Admission, Health
from llmswitch._redis_store import redis_opener
from llmswitch._secrets import Secret
from llmswitch._sharing import Sharing
from tests.store.play import limited, target


class Worker:
    """What can be ordered. Times are those of the machine, so that processes can be compared."""

    def __init__(self, url: str, numbers: dict[str, float] | None = None) -> None:
        sharing = Sharing(redis_opener(Secret(url, "the test"), "llmswitch", "the test"))
        self.sharing = sharing
        self.health = Health(sharing=sharing, numbers=BreakerNumbers(**(numbers or {})))  # type: ignore[arg-type]
        self.held: Admission | None = None
        self.targets = {"m": target("m"), "n": target("n", account="b")}

    def warm(self, model: str) -> bool:
        """Whether the store has been reached."""
        self.admitted(model)
        ends = time.monotonic() + 5
        while self.sharing.fleet.fresh_until < time.monotonic() < ends:
            time.sleep(0.005)
        return self.sharing.fleet.fresh_until > time.monotonic()

    def admitted(self, model: str) -> bool:
        """Whether a call would be let through now; it says nothing about the target."""
        admission = self.health.admit(self.targets[model], 5.0)
        if isinstance(admission, Admission):
            self.health.released(admission)
            return True
        return False

    def limit(self, model: str, seconds: float) -> float:
        """A call is told to come back later; when that was."""
        admission = self.health.admit(self.targets[model], 5.0)
        assert isinstance(admission, Admission)
        self.health.failed(admission, limited(seconds))
        return time.time()

    def until_refused(self, model: str, longest: float) -> float | None:
        """When a call was first refused."""
        ends = time.monotonic() + longest
        while time.monotonic() < ends:
            if not self.admitted(model):
                return time.time()
            time.sleep(0.005)
        return None

    def calls(self, model: str, seconds: float, pause: float, kind: str = "down") -> list[float]:
        """Call a target that is down (or up) for so long; when calls were let through."""
        sent = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            admission = self.health.admit(self.targets[model], 5.0)
            if isinstance(admission, Admission):
                sent.append(time.time())
                time.sleep(0.01)
                if kind == "up":
                    self.health.succeeded(admission)
                else:
                    self.health.failed(admission, ConnectFailed("refused") if kind == "gone" else ServerError("500"))
            time.sleep(pause)
        return sent

    def probe(self, model: str, longest: float, limit: float) -> float | None:
        """Call until one is let through, and don't come back from it; when that was."""
        ends = time.monotonic() + longest
        while time.monotonic() < ends:
            admission = self.health.admit(self.targets[model], limit)
            if isinstance(admission, Admission):
                self.held = admission
                return time.time()
            time.sleep(0.01)
        return None

    def reset(self, model: str) -> bool:
        """Forget what is known."""
        self.health.reset(self.targets[model])
        return True

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
