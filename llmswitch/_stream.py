"""A stream as the caller holds it: iterate for events, or over `.text`; then `.reply` is the whole answer."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._errors import InvalidRequest, LLMSwitchError
from ._events import ChatEvent, TextDelta
from ._reply import ChatReply
from ._wire import Exchange, Read

if TYPE_CHECKING:
    from ._async_drive import AsyncDriver
    from ._drive import SyncDriver
    from ._pieces import Flow

__all__ = ["AsyncChatStream", "ChatStream"]


class _Stream:
    """What both kinds of stream know."""

    def __init__(self, exchange: Exchange, *, restarts: bool = False) -> None:
        self._exchange = exchange
        self._restarts = restarts
        self._pending: Iterator[ChatEvent] = iter(())
        self._flow: Flow | None = None  # the answer is under way, and simply goes on
        self._reply: ChatReply | None = None
        self._ended = False

    @property
    def reply(self) -> ChatReply:
        """The whole answer. Raises `LLMSwitchError` before the stream has ended."""
        if self._reply is None:
            raise LLMSwitchError(
                "the stream has not ended: iterate over it to its end, then .reply is the whole answer"
            )
        return self._reply

    def _check_text(self) -> None:
        """Text that was handed over can't be taken back, so an answer that may begin anew has no plain text."""
        if self._restarts:
            raise InvalidRequest(
                "this chain has on_stream_failure = 'restart': iterate over the events and heed StreamReset, or choose "
                "'raise' to have plain text",
                field="text",
            )

    def _advance(self, outcome: Any) -> Any:
        """The next action, or `None` at the end. What is simply more of the answer passes the exchange by."""
        if self._ended:
            return None
        if self._flow is not None:
            events = self._flow.take(outcome)
            if events is not None:
                return events
        try:
            action = self._exchange.send(outcome)
        except StopIteration as stop:
            self._reply = stop.value
            self._ended = True
            return None
        self._flow = action.flow if type(action) is Read else None
        return action

    def _leave(self) -> None:
        """No more is wanted of the exchange."""
        self._ended, self._flow = True, None
        self._exchange.close()


class ChatStream(_Stream):
    """
    The events of one answer as they come. Use it in a `with` block, or iterate to the end.

    Raises what `chat()` raises; `StreamInterrupted`, with `.partial`, where the answer breaks off after it began.
    """

    def __init__(self, exchange: Exchange, driver: SyncDriver, *, restarts: bool = False) -> None:
        super().__init__(exchange, restarts=restarts)
        self._driver = driver
        self._finalizer = weakref.finalize(self, driver.close)

    def __iter__(self) -> Iterator[ChatEvent]:
        return self

    def __next__(self) -> ChatEvent:
        for event in self._pending:
            return event
        try:
            action = self._advance(None) if self._flow is None else self._flow.again()
            while action is not None:
                if type(action) is list:
                    self._pending = iter(action)
                    for event in self._pending:
                        return event
                    action = self._advance(None)
                else:
                    action = self._advance(self._driver.perform(action))
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    @property
    def text(self) -> Iterator[str]:
        """Just the text, piece by piece. Raises `InvalidRequest` where the chain may begin an answer anew."""
        self._check_text()
        return (event.text for event in self if type(event) is TextDelta)

    def close(self) -> None:
        """Stop reading and let go of the connection."""
        self._leave()
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncChatStream(_Stream):
    """
    The events of one answer as they come. Use it in an `async with` block, or iterate to the end.

    Raises what `chat()` raises; `StreamInterrupted`, with `.partial`, where the answer breaks off after it began.
    """

    def __init__(self, exchange: Exchange, driver: AsyncDriver, *, restarts: bool = False) -> None:
        super().__init__(exchange, restarts=restarts)
        self._driver = driver
        self._finalizer = weakref.finalize(self, driver.abandon)
        self._finalizer.atexit = False  # there is no loop any more

    def __aiter__(self) -> AsyncIterator[ChatEvent]:
        return self

    async def __anext__(self) -> ChatEvent:
        for event in self._pending:
            return event
        try:
            action = self._advance(None) if self._flow is None else self._flow.again()
            while action is not None:
                if type(action) is list:
                    self._pending = iter(action)
                    for event in self._pending:
                        return event
                    action = self._advance(None)
                else:
                    action = self._advance(await self._driver.perform(action))
        except GeneratorExit:  # what is thrown away itself can't wait
            self._leave()
            self._finalizer()
            raise
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    @property
    def text(self) -> AsyncIterator[str]:
        """Just the text, piece by piece. Raises `InvalidRequest` where the chain may begin an answer anew."""
        self._check_text()
        return self._text()

    async def _text(self) -> AsyncIterator[str]:
        async for event in self:
            if type(event) is TextDelta:
                yield event.text

    async def aclose(self) -> None:
        """Stop reading and let go of the connection."""
        self._leave()
        await self._driver.aclose()
        self._finalizer.detach()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
