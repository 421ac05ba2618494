"""Answers that are given again to the same request, where the configuration says so: what a call has to do with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ._cache_key import cache_key, identity
from ._kept_reply import played, read_reply, write_reply
from ._made_up import Remembered
from ._reply import ChatReply
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._chain import Chain
    from ._target import Target
    from ._wire import Exchange

__all__ = ["LARGEST", "Answers", "Cache", "CacheUse", "Finding"]

LARGEST = 4 * 1024 * 1024  # bytes of one answer; what is larger is not kept


class Finding(Protocol):
    """What a driver is to do to look an answer up. Neither way raises, or takes longer than a moment."""

    def perform(self) -> bytes | None:
        """What is kept; `None` where nothing is, or nothing can be had."""

    async def aperform(self) -> bytes | None:
        """The same without blocking the loop."""


class Answers(Protocol):
    """
    Where answers are kept, by the hash of what was asked, for a bounded time and in bounded space. `counts`: how often
    that failed, by class of the error. Safe to share between threads and tasks.
    """

    counts: Counter[str]

    def find(self, key: str) -> Finding:
        """What looks the answer up."""

    def keep(self, key: str, answer: bytes) -> None:
        """Keep it, if there is a way to. Never waits and never raises."""

    def clear(self) -> None:
        """Forget all. Raises `LLMSwitchError` where that can't be done; takes some seconds at the most."""

    def close(self, wait: float = 0.0) -> None:
        """Write what is to be written, and let go of files and connections; waits so many seconds at the most."""


class Cache:
    """What a client remembers. `shared`: whoever asks is given the same answers."""

    def __init__(self, answers: Answers, *, shared: bool) -> None:
        self.answers = answers
        self._shared = shared
        self._who: Remembered[tuple[Target, ...], str | None] = Remembered()

    def use(self, chain: Chain, tags: Sequence[str]) -> CacheUse | None:
        """For a call through this chain; `None` where its targets can't be told apart from others."""
        who = self._who.get(chain.targets, "")
        if who == "":
            who = identity(chain.targets)
            self._who.keep(chain.targets, who, named=all(target.named for target in chain.targets))
        return None if who is None else CacheUse(self, who, () if self._shared else tuple(tags))


@dataclass(slots=True, frozen=True)
class CacheUse:
    """How one call uses the cache: `who` may answer it, and whose `tenant` it is."""

    cache: Cache
    who: str
    tenant: tuple[str, ...]

    def answered(self, request: ChatRequest, rest: Exchange, *, stream: bool) -> Exchange:
        """The kept answer; where there is none, the exchange `rest`, whose answer is kept then if it is whole."""
        answers, key = self.cache.answers, cache_key(request, self.who, self.tenant)
        if key is None:
            return (yield from rest)
        raw = yield answers.find(key)
        reply = read_reply(key, raw, request.response_format) if isinstance(raw, bytes) else None
        if reply is None and raw is not None:
            answers.counts["unusable"] += 1  # spoilt, or not of the form asked for
        del raw  # a traceback that shows local variables would show it
        if reply is not None:
            rest.close()
            if stream:
                yield played(reply)
            return reply
        asked = yield from rest
        kept = write_reply(key, asked) if isinstance(asked, ChatReply) else None
        if kept is not None and len(kept) <= LARGEST:
            answers.keep(key, kept)
        return asked
