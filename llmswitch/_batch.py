"""A batch whose results are taken by a thread, and whose calls have one each; all but its waiting is in `_bulk`."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ._bare import bare
from ._bulk import BatchRequest, BatchResult, Bulk, Job, answer_of
from ._errors import LLMSwitchError
from ._exchange import exchange
from ._pace import Pace
from ._reply import ChatReply
from ._request import ChatOptions

if TYPE_CHECKING:
    from ._call import Call
    from ._operation import Reply
    from ._wire import Exchange

__all__ = ["Batch"]


class Batch(Bulk, Iterator[BatchResult]):
    """
    The results of many requests, as they come. Take them from one thread.

    The requests are read in that thread too, when there is room for them. Use it as a context manager, or `close()` it
    where you leave before its end.
    """

    def __init__(
        self,
        check: Callable[..., Call],
        carry_out: Callable[[Exchange], Reply],
        requests: Iterable[BatchRequest],
        concurrency: int,
        patience: float,
        options: ChatOptions,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(check, concurrency, patience, options, pace)
        self._carry_out = carry_out
        self._source = iter(requests)
        self._ended: SimpleQueue[tuple[Job, ChatReply | BaseException] | None] = SimpleQueue()

    def __next__(self) -> BatchResult:
        while True:
            self._begin_waiting()
            while self._wants():
                self._read(self._source)
            if self._ready:
                return self._ready.popleft()
            if self._over():
                raise StopIteration
            try:
                ended = self._ended.get(timeout=self._due())
            except Empty:
                continue
            if ended is not None:
                self._settle(*ended)

    def _launch(self, job: Job) -> None:
        context = contextvars.copy_context()  # the caller's deadline() holds for it
        name = f"llmswitch-batch-{job.index}"
        # no pool: its threads would keep the interpreter from ending
        threading.Thread(target=context.run, args=(self._run, job), name=name, daemon=True).start()

    def _run(self, job: Job) -> None:
        outcome: ChatReply | BaseException
        try:
            outcome = answer_of(self._carry_out(exchange(job.call)))
        except LLMSwitchError as problem:
            outcome = bare(problem, ())
        except BaseException as problem:  # noqa: BLE001 - raised where the results are taken
            outcome = problem
        self._ended.put((job, outcome))

    def _wake(self) -> None:
        self._ended.put(None)

    def close(self) -> None:
        """Begin nothing more and want no more results. Calls that are in flight end by themselves."""
        self.stop()
        self._ready.clear()
        self._pace.flying = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
