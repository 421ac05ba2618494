"""
Sessions in the store that processes share. A call waits for its answer, a millisecond as a rule, since to go to another
vendor than the last time costs more; where the store is slow or gone, each process goes by what it knows itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from ._outage import Outage
from ._sessions import Binding

__all__ = ["Keep", "Recall", "SharedSessions"]

_VALUE = re.compile(rb"[0-9a-f]{32}")


class SharedSessions:
    """`opened` opens a client of Redis, by redis-py, whose own limits bound how long a call waits."""

    def __init__(self, opened: Callable[[], Any], prefix: str, clock: Callable[[], float] = monotonic) -> None:
        self._opened = opened
        self._prefix = f"{prefix}:1:session:"
        self._client: Any = None
        self._outage = Outage(
            "the store can't be used (%s): each process remembers its sessions by itself",
            "the store can be used again, after %d failures: sessions are remembered together",
            most=1,  # since calls wait for it
            clock=clock,
        )

    def recall(self, sessions: Sequence[Binding], learn: Callable[[Binding, str | None], None]) -> Recall | None:
        """What a driver is to do, unless the store is gone."""
        return None if self._outage.resting else Recall(self, sessions, learn)

    def keep(self, session: Binding, value: str) -> Keep | None:
        """The same for telling it."""
        return None if self._outage.resting else Keep(self, session, value)

    def read(self, sessions: Sequence[Binding], *, look: bool = False) -> list[str | None]:
        """The values that are kept, which are kept for longer unless one only looks; nothing where that fails."""

        def ask(pipe: Any) -> None:
            for session in sessions:
                pipe.get(self._prefix + session.name)
                if not look:
                    pipe.pexpire(self._prefix + session.name, round(session.seconds * 1000))

        raws: list[Any] = self._done(ask)[:: 1 if look else 2]
        return [raw.decode() if isinstance(raw, bytes) and _VALUE.fullmatch(raw) else None for raw in raws]

    def write(self, session: Binding, value: str) -> None:
        """Keep a value."""
        self._done(lambda pipe: pipe.set(self._prefix + session.name, value, px=round(session.seconds * 1000)))

    def _done(self, fill: Callable[[Any], object]) -> list[Any]:
        if not self._outage.may_try():
            return []
        try:
            client = self._client
            if client is None:
                client = self._client = self._opened()
            pipe = client.pipeline(transaction=False)
            fill(pipe)
            results: list[Any] = pipe.execute()
        except Exception as problem:  # noqa: BLE001 - whatever a store's library raises, the call goes on
            self._outage.failed(problem)
            return []
        self._outage.worked()
        return results

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


class Recall:
    """Have what the store knows of these sessions learnt."""

    __slots__ = ("_learn", "_look", "_sessions", "_shared")

    def __init__(
        self,
        shared: SharedSessions,
        sessions: Sequence[Binding],
        learn: Callable[[Binding, str | None], None],
        *,
        look: bool = False,
    ) -> None:
        self._shared = shared
        self._sessions = sessions
        self._learn = learn
        self._look = look

    def looking(self) -> Recall:
        """The same, without the sessions being remembered for longer in the store."""
        return Recall(self._shared, self._sessions, self._learn, look=True)

    def perform(self) -> None:
        """Do it; blocks for a fraction of a second at the most."""
        values = self._shared.read(self._sessions, look=self._look)
        for session, value in zip(self._sessions, values, strict=False):
            self._learn(session, value)

    async def aperform(self) -> None:
        """The same without blocking the loop."""
        await asyncio.to_thread(self.perform)


class Keep:
    """Tell the store to whom a session keeps."""

    __slots__ = ("_session", "_shared", "_value")

    def __init__(self, shared: SharedSessions, session: Binding, value: str) -> None:
        self._shared = shared
        self._session = session
        self._value = value

    def perform(self) -> None:
        """Do it; blocks for a fraction of a second at the most."""
        self._shared.write(self._session, self._value)

    async def aperform(self) -> None:
        """The same without blocking the loop."""
        await asyncio.to_thread(self.perform)
