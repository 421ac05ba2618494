"""One call: what is asked, of which chain, by when, and with what is known of the targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import random
from time import monotonic, time
from typing import TYPE_CHECKING

from ._chain import Chain
from ._health import Health
from ._hooks import Hooks
from ._operation import CHAT, Operation, Request
from ._target import Target

if TYPE_CHECKING:
    from ._allowances import Allowances
    from ._cache import CacheUse
    from ._grants import Grants
    from ._onlooker import Onlooker
    from ._sessions import Sessions
    from ._token_ratios import TokenRatios

__all__ = ["Call"]


@dataclass(slots=True, eq=False)
class Call:
    """
    One call: what is asked, of which chain, with what is known of the targets; within `timeout` seconds, and by `by`
    (monotonic seconds) whatever that says. `tags` are the caller's, for the budgets that go by them. `operation`: which
    kind of call it is. `ratios`: what is learnt of how models count. `session`: what it belongs to, and `sessions`:
    whom each of these keeps to. `chance`: numbers from 0 up to 1, for what is drawn. `heard`: where somebody wants
    them, the headers of the answers, by whom they are from. `lined_up`: the targets stand in the order in which they
    are to be asked. `cache`: how it uses the cache, where it does.
    """

    chain: Chain
    request: Request
    stream: bool
    timeout: float | None = None
    by: float | None = None
    clock: Callable[[], float] = monotonic
    wall: Callable[[], float] = time
    health: Health | Onlooker = field(default_factory=Health)
    hooks: Hooks = field(default_factory=Hooks)
    drill: str | None = None
    allowances: Allowances | None = None
    grants: Grants | None = None
    tags: tuple[str, ...] = ()
    operation: Operation = CHAT
    ratios: TokenRatios | None = None
    session: str | None = None
    sessions: Sessions | None = None
    chance: Callable[[], float] = random
    heard: list[tuple[Target, Mapping[str, str]]] | None = None
    lined_up: bool = False
    cache: CacheUse | None = None

    @property
    def restarts(self) -> bool:
        """Whether the answer of this stream may begin anew after it had begun."""
        return self.stream and self.chain.policy.on_stream_failure == "restart"

    def __repr__(self) -> str:
        return f"Call({self.chain.name}, {self.request!r})"
