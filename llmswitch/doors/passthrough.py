"""What no door answers, carried to the vendor: a body that flows there, and one that flows back."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from time import monotonic
from typing import Any

from llmswitch._client import AsyncClient, Client
from llmswitch._network import current_clock
from llmswitch._passthrough import Passthrough
from llmswitch._wire import Action, Fault, Outcome, Read

from ._passing import Begun, Patience, asking, broke_off, passed_on
from .passage import Answer

__all__ = ["AsyncPassing", "Passing"]

_USUAL = 600.0  # seconds, where the SDK has no limit


class _Carried:
    """A program's body on its way. Each piece has its own time; what the program itself raises is kept for it."""

    def __init__(self, stream: Any, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds
        self.problem: Exception | None = None

    def _next_by(self) -> None:
        clock = current_clock.get()
        if clock is not None:
            clock.by = monotonic() + self._seconds


class _Pieces(_Carried, Iterable[bytes]):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._next_by()
                yield piece
        except Exception as problem:
            self.problem = problem
            raise


class _AsyncPieces(_Carried, AsyncIterable[bytes]):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces, clock = aiter(self._stream), current_clock.get()
        try:
            while True:
                if clock is not None:
                    clock.open = True  # the program may take its time, and may be cancelled there
                try:
                    piece = await anext(pieces, None)
                finally:
                    if clock is not None:
                        clock.open = False
                if piece is None:
                    return
                self._next_by()
                yield piece
        except Exception as problem:
            self.problem = problem
            raise


class Passing:
    """
    One request of an SDK's, passed through. `request`: as the SDK's HTTP library has it; `broken`: what the body's
    iterator raises where it breaks off.
    """

    def __init__(self, client: Client, way: Passthrough, request: Any, broken: type[Exception]) -> None:
        self._driver = client._driver(client._connections, None)  # noqa: SLF001 - of this package
        self._patience = Patience.of(request.extensions.get("timeout"), _USUAL)
        self._body = _Pieces(request.stream, self._patience.read)
        self._steps = _steps(way, request, self._patience, self._body)
        self._origin = way.endpoint.origin
        self._broken = broken

    def begin(self) -> Begun | Answer:
        """How the answer begins, or all of it where it is an error. Raises what the program's own body raises."""
        outcome: Outcome = None
        passed: Begun | Answer | None = None
        try:
            while True:
                outcome = self._driver.perform(self._steps.send(outcome))
        except StopIteration as stop:
            passed = stop.value
        finally:
            if not isinstance(passed, Begun):
                self.close()
        if self._body.problem is not None and not isinstance(passed, Begun):
            raise self._body.problem
        assert passed is not None
        return passed

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                chunk = self._driver.perform(Read(monotonic() + self._patience.read))
                if isinstance(chunk, Fault):
                    raise self._broken(broke_off(chunk, self._origin))
                assert isinstance(chunk, bytes)
                if not chunk:
                    return
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the answer."""
        self._driver.close()


class AsyncPassing:
    """The same, awaited."""

    def __init__(self, client: AsyncClient, way: Passthrough, request: Any, broken: type[Exception]) -> None:
        self._driver = client._driver(client._connections, None)  # noqa: SLF001 - of this package
        self._patience = Patience.of(request.extensions.get("timeout"), _USUAL)
        self._body = _AsyncPieces(request.stream, self._patience.read)
        self._steps = _steps(way, request, self._patience, self._body)
        self._origin = way.endpoint.origin
        self._broken = broken

    async def begin(self) -> Begun | Answer:
        """As of a `Passing`."""
        outcome: Outcome = None
        passed: Begun | Answer | None = None
        try:
            while True:
                outcome = await self._driver.perform(self._steps.send(outcome))
        except StopIteration as stop:
            passed = stop.value
        finally:
            if not isinstance(passed, Begun):
                await self.aclose()
        if self._body.problem is not None and not isinstance(passed, Begun):
            raise self._body.problem
        assert passed is not None
        return passed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                chunk = await self._driver.perform(Read(monotonic() + self._patience.read))
                if isinstance(chunk, Fault):
                    raise self._broken(broke_off(chunk, self._origin))
                assert isinstance(chunk, bytes)
                if not chunk:
                    return
                yield chunk
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let go of the answer."""
        await self._driver.aclose()


def _steps(
    way: Passthrough, request: Any, patience: Patience, content: Any
) -> Generator[Action, Outcome, Begun | Answer]:
    target = request.url.raw_path.decode("ascii")
    action = asking(way, request.method, target, request.headers.multi_items(), patience, content)
    return passed_on(action, patience.read)
