"""
A cancellation must not meet the HTTP library at just any point: where it is between two waits, it loses connections.

Here the library's work goes on in the caller's own task. A cancellation reaches it where it waits for the network or
for a place in the pool, and nowhere else: not between two waits, and not in the library's own locks. What it does after
that, to close what was open, is not interrupted again. It may wait for two seconds.
"""

from __future__ import annotations

import asyncio
import types
from asyncio import CancelledError
from collections.abc import Coroutine, Generator
from time import monotonic
from typing import Any, TypeVar

from ._network import Clock

__all__ = ["shielded"]

T = TypeVar("T")

_SECONDS = 2.0


@types.coroutine
def shielded(work: Coroutine[Any, Any, T], clock: Clock, *, closing: bool = False) -> Generator[Any, Any, T | None]:
    """
    What `work` returns; `closing`: it is not to be interrupted from the beginning.

    Raises what `work` raises, but `CancelledError` where the task was cancelled meanwhile, whatever else came of it.
    `None` where the client was closed meanwhile, or where closing took too long.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()  # a timer of the library's own takes back what it adds to this
    seen: CancelledError | None = None
    told, until = closing, 0.0
    step: Any = work.send
    given: Any = None
    try:
        while True:
            waiting = step(given)
            step, given = work.send, None
            unwanted = clock.over or task.cancelling() > before
            if not unwanted and not closing:
                told, until = False, 0.0
            if told or (waiting is not None and not clock.open):
                until = until or monotonic() + _SECONDS
                seen = (yield from _out_wait(waiting, until)) or seen
                if waiting is not None and not waiting.done():
                    step, given = work.throw, _stop(waiting)
                continue
            if unwanted and waiting is not None:
                told, step, given = True, work.throw, _stop(waiting)
                continue
            clock.waiting = waiting
            try:
                yield waiting
            except CancelledError as problem:
                seen = problem
                if waiting is not None and waiting.cancelled():
                    told, step, given = True, work.throw, problem
            except GeneratorExit:
                raise  # what is thrown away throws its work away, below
            except BaseException as problem:  # noqa: BLE001 - the loop's complaint about what was awaited
                step, given = work.throw, problem
    except StopIteration as end:
        result: T | None = end.value
    except BaseException as problem:
        ends = seen is not None and task.cancelling() > before
        if not ends and not ((clock.over or closing) and isinstance(problem, CancelledError)):
            raise
        result = None
    finally:
        clock.waiting = None
        work.close()
    if seen is not None and task.cancelling() > before:
        # not the one that went through the library: its frames hold the request
        raise CancelledError(*seen.args)
    return result


def _stop(waiting: Any) -> CancelledError:
    """What is thrown where the waiting has to end."""
    waiting.cancel()
    return CancelledError()


def _out_wait(waiting: Any, until: float) -> Generator[Any, Any, CancelledError | None]:
    """
    Wait for this, or until then, whoever cancels; the last cancellation, if there was any.

    A mere turn of the loop is taken whatever the time: with many calls in flight a few of them may take seconds.
    """
    seen: CancelledError | None = None
    if waiting is None:
        try:
            yield None
        except CancelledError as problem:
            seen = problem
        return seen
    waiting._asyncio_future_blocking = False  # noqa: SLF001 - the loop's sign that it is waited for, as a task takes it
    while not waiting.done() and monotonic() < until:
        try:
            yield from asyncio.wait((waiting,), timeout=until - monotonic()).__await__()
        except CancelledError as problem:
            seen = problem
    return seen
