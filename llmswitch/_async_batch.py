"""A batch whose results are taken by a task; all but its waiting is in `_bulk`."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._bare import bare
from ._bulk import BatchRequest, BatchResult, Bulk, Job, answer_of
from ._errors import LLMSwitchError
from ._exchange import exchange
from ._reply import ChatReply
from ._request import ChatOptions

# The event loop is loaded by who has one, not by the import of llmswitch.
if TYPE_CHECKING:
    import asyncio

    from ._call import Call
    from ._operation import Reply
    from ._wire import Exchange

__all__ = ["AsyncBatch"]


class AsyncBatch(Bulk, AsyncIterator[BatchResult]):
    """
    The results of many requests, as they come. Take them from one task.

    The requests may be iterable or asynchronously so, and are read when there is room for them. Use it as a context
    manager, or `aclose()` it where you leave before its end.
    """

    def __init__(
        self,
        check: Callable[..., Call],
        carry_out: Callable[[Exchange], Coroutine[Any, Any, Reply]],
        requests: Iterable[BatchRequest] | AsyncIterable[BatchRequest],
        concurrency: int,
        patience: float,
        options: ChatOptions,
    ) -> None:
        import asyncio

        super().__init__(check, concurrency, patience, options)
        self._carry_out = carry_out
        self._slow = aiter(requests) if isinstance(requests, AsyncIterable) else None
        self._quick = iter(requests) if not isinstance(requests, AsyncIterable) else iter(())
        self._reading: asyncio.Task[tuple[BatchRequest, ...]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: deque[tuple[Job, ChatReply | BaseException]] = deque()
        self._news = asyncio.Event()

    async def __anext__(self) -> BatchResult:
        import asyncio

        while True:
            self._news.clear()
            while self._ended:
                self._settle(*self._ended.popleft())
            self._begin_waiting()
            self._read_on()
            if self._ready:
                return self._ready.popleft()
            if self._over():
                raise StopAsyncIteration
            try:
                waits_to_read = self._reading is not None and not self._waiting
                async with asyncio.timeout(None if waits_to_read else self._due()):
                    await self._news.wait()
            except TimeoutError:
                pass  # a wait is over: somebody may begin

    def _read_on(self) -> None:
        """Read what there is room for. Of an asynchronous source one request is waited for at a time."""
        import asyncio

        while self._wants():
            if self._slow is None:
                self._read(self._quick)
                continue
            if self._reading is None:
                self._reading = asyncio.ensure_future(_next(self._slow))
                self._reading.add_done_callback(lambda _: self._news.set())
            if not self._reading.done():
                return
            reading, self._reading = self._reading, None
            self._dry = True  # if it raises
            given = reading.result()
            self._dry = not given
            for each in given:
                self._take_in(each)

    def _launch(self, job: Job) -> None:
        import asyncio

        task = asyncio.ensure_future(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        outcome: ChatReply | BaseException
        try:
            outcome = answer_of(await self._carry_out(exchange(job.call)))
        except LLMSwitchError as problem:
            outcome = bare(problem, ())
        except Exception as problem:  # noqa: BLE001 - raised where the results are taken
            outcome = problem
        self._ended.append((job, outcome))
        self._news.set()

    def _wake(self) -> None:
        if self._stopped and self._reading is not None:
            self._reading.cancel()
        self._news.set()

    async def aclose(self) -> None:
        """Begin nothing more, want no more results, and cancel what is in flight."""
        import asyncio

        self.stop()
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *([self._reading] if self._reading is not None else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        self._reading = None
        self._ended.clear()
        self._ready.clear()
        self._pace.flying = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _next(source: AsyncIterator[BatchRequest]) -> tuple[BatchRequest, ...]:
    """The next request; none at the end."""
    try:
        return (await anext(source),)
    except StopAsyncIteration:
        return ()
