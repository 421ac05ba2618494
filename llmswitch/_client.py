"""The clients: one call for an answer, one for a stream. Sync and async share all but the waiting."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from ._base_client import BaseClient, Messages, after_count
from ._errors import LLMSwitchError

# The HTTP library and what waits are loaded by the first client, as all that a client is made of.
if TYPE_CHECKING:
    from ._allowances import Held, Refused
    from ._async_batch import AsyncBatch
    from ._async_connections import AsyncConnections
    from ._async_drive import AsyncDriver
    from ._batch import Batch
    from ._bulk import BatchRequest
    from ._config import HTTPConfig
    from ._connections import Connections
    from ._counting import CountReply, TokenCount
    from ._drill import Drill
    from ._drive import SyncDriver
    from ._embedding import EmbedOptions, EmbedReply
    from ._plan import Plan
    from ._reply import ChatReply
    from ._request import ChatOptions
    from ._stream import AsyncChatStream, ChatStream
    from ._wire import Exchange

__all__ = ["AsyncClient", "Client"]


class Client(BaseClient):
    __doc__ = BaseClient.__doc__

    def _connect(self, http_client: Any, http: HTTPConfig) -> None:
        from ._connections import Connections
        from ._drive import SyncDriver

        self._connections: Connections = Connections(http_client, http.ca_file, http.engine)
        self._driver: Callable[[Connections, Drill | None], SyncDriver] = SyncDriver

    def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatReply:
        """
        The whole answer. `options` are those of `ChatOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong; the target's own error where the
        chain has one target; `AllTargetsFailed` where it has several and none answered; `OutputInvalid` where the
        answer is not of the form that `response_format` asks for.
        """
        try:
            steps = self._exchange(self._call(messages, options, stream=False))
        finally:
            del messages, options  # a traceback that shows local variables would show the prompt
        reply: ChatReply = self._carry_out(steps)
        reply.parsed  # noqa: B018 - an answer of the wrong form is said now
        return reply

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """
        The vectors of the texts, in their order. `options` are those of `EmbedOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong, or its chain is of several models;
        otherwise as `chat` does.
        """
        try:
            steps = self._exchange(self._embed_call(texts, options))
        finally:
            del texts, options
        reply: EmbedReply = self._carry_out(steps)
        return reply

    def count_tokens(self, messages: Messages, **options: Unpack[ChatOptions]) -> TokenCount:
        """
        How many tokens the request comes to at the first target of its chain. `options` as for `chat`.

        The vendor counts where he does that; where he does not, or can't be asked, it is an estimate that says how far
        it may be off, and that gets better with every answer of this client's. Raises `InvalidRequest` and
        `CapabilityMismatch` for what could not be sent.
        """
        try:
            call, estimate = self._count_call(messages, options)
        finally:
            del messages, options
        if call is None:
            return estimate
        try:
            reply: CountReply = self._carry_out(self._exchange(call))
        except LLMSwitchError as problem:
            return after_count(problem, estimate)
        return reply.count()

    def explain(self, messages: Messages, *, stream: bool = False, **options: Unpack[ChatOptions]) -> Plan:
        """
        What `chat()` would do now with the same arguments, or `stream()` where `stream` is true: who would be asked, in
        which order, who would be passed over and why, and what each may cost. Nothing is sent, reserved or remembered.

        Where limits are counted in a store, it is asked how they stand. Raises `InvalidRequest` and `ConfigError` for
        what is wrong with the call, as `chat()` does.
        """
        try:
            steps = self._planned(messages, options, stream=stream)
        finally:
            del messages, options
        came: Held | Refused | None = None
        try:
            while True:
                came = steps.send(came).perform()
        except StopIteration as stop:
            plan: Plan = stop.value
            return plan
        finally:
            steps.close()

    def _carry_out(self, steps: Exchange) -> Any:
        driver = self._driver(self._connections, self._drill)
        outcome = None
        try:
            while True:
                outcome = driver.perform(steps.send(outcome))
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()  # whoever keeps the exception keeps these frames, and not what they hold
            driver.close()

    def stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatStream:
        """The answer as it comes. Nothing is sent before the first event is asked for."""
        try:
            call = self._call(messages, options, stream=True)
        finally:
            del messages, options
        from ._stream import ChatStream

        driver = self._driver(self._connections, self._drill)
        return ChatStream(self._exchange(call), driver, restarts=call.restarts)

    def batch(
        self,
        requests: Iterable[BatchRequest],
        *,
        concurrency: int = 16,
        patience: float = 600.0,
        **options: Unpack[ChatOptions],
    ) -> Batch:
        from ._batch import Batch

        return Batch(self._call, self._carry_out, requests, concurrency, patience, options)

    def clear_cache(self) -> None:
        """
        Forget every answer that the cache holds, whoever it was given to. Does nothing where there is no cache.

        Raises `LLMSwitchError` where it can't be reached.
        """
        if self._cache is not None:
            self._cache.answers.clear()

    def close(self) -> None:
        """
        Close the connections. It waits for nobody: calls that are in flight end with `ClientClosed`.

        The client can be used again; it opens new ones.
        """
        self._connections.close()
        if self._cache is not None:
            self._cache.answers.close(wait=0.2)
        self._health.close(wait=0.05)
        if self._allowances is not None:
            self._allowances.close(wait=0.05)
        if self._sessions is not None:
            self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(BaseClient):
    __doc__ = BaseClient.__doc__

    def _connect(self, http_client: Any, http: HTTPConfig) -> None:
        from ._async_connections import AsyncConnections
        from ._async_drive import AsyncDriver

        self._connections: AsyncConnections = AsyncConnections(http_client, http.ca_file, http.engine)
        self._driver: Callable[[AsyncConnections, Drill | None], AsyncDriver] = AsyncDriver

    async def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatReply:
        """
        The whole answer. `options` are those of `ChatOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong; the target's own error where the
        chain has one target; `AllTargetsFailed` where it has several and none answered; `OutputInvalid` where the
        answer is not of the form that `response_format` asks for.
        """
        try:
            steps = self._exchange(self._call(messages, options, stream=False))
        finally:
            del messages, options  # a traceback that shows local variables would show the prompt
        reply: ChatReply = await self._carry_out(steps)
        reply.parsed  # noqa: B018 - an answer of the wrong form is said now
        return reply

    async def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """
        The vectors of the texts, in their order. `options` are those of `EmbedOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong, or its chain is of several models;
        otherwise as `chat` does.
        """
        try:
            steps = self._exchange(self._embed_call(texts, options))
        finally:
            del texts, options
        reply: EmbedReply = await self._carry_out(steps)
        return reply

    async def count_tokens(self, messages: Messages, **options: Unpack[ChatOptions]) -> TokenCount:
        """
        How many tokens the request comes to at the first target of its chain. `options` as for `chat`.

        The vendor counts where he does that; where he does not, or can't be asked, it is an estimate that says how far
        it may be off, and that gets better with every answer of this client's. Raises `InvalidRequest` and
        `CapabilityMismatch` for what could not be sent.
        """
        try:
            call, estimate = self._count_call(messages, options)
        finally:
            del messages, options
        if call is None:
            return estimate
        try:
            reply: CountReply = await self._carry_out(self._exchange(call))
        except LLMSwitchError as problem:
            return after_count(problem, estimate)
        return reply.count()

    async def explain(self, messages: Messages, *, stream: bool = False, **options: Unpack[ChatOptions]) -> Plan:
        """
        What `chat()` would do now with the same arguments, or `stream()` where `stream` is true: who would be asked, in
        which order, who would be passed over and why, and what each may cost. Nothing is sent, reserved or remembered.

        Where limits are counted in a store, it is asked how they stand. Raises `InvalidRequest` and `ConfigError` for
        what is wrong with the call, as `chat()` does.
        """
        try:
            steps = self._planned(messages, options, stream=stream)
        finally:
            del messages, options
        came: Held | Refused | None = None
        try:
            while True:
                came = await steps.send(came).aperform()
        except StopIteration as stop:
            plan: Plan = stop.value
            return plan
        finally:
            steps.close()

    async def _carry_out(self, steps: Exchange) -> Any:
        driver = self._driver(self._connections, self._drill)
        outcome = None
        try:
            while True:
                outcome = await driver.perform(steps.send(outcome))
        except StopIteration as stop:
            return stop.value
        except GeneratorExit:
            driver.abandon()  # what is thrown away itself can't wait
            raise
        finally:
            steps.close()  # whoever keeps the exception keeps these frames, and not what they hold
            await driver.aclose()

    def stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> AsyncChatStream:
        """The answer as it comes. Nothing is sent before the first event is asked for."""
        try:
            call = self._call(messages, options, stream=True)
        finally:
            del messages, options
        from ._stream import AsyncChatStream

        return AsyncChatStream(
            self._exchange(call), self._driver(self._connections, self._drill), restarts=call.restarts
        )

    def batch(
        self,
        requests: Iterable[BatchRequest] | AsyncIterable[BatchRequest],
        *,
        concurrency: int = 16,
        patience: float = 600.0,
        **options: Unpack[ChatOptions],
    ) -> AsyncBatch:
        from ._async_batch import AsyncBatch

        return AsyncBatch(self._call, self._carry_out, requests, concurrency, patience, options)

    async def clear_cache(self) -> None:
        """
        Forget every answer that the cache holds, whoever it was given to. Does nothing where there is no cache.

        Raises `LLMSwitchError` where it can't be reached.
        """
        if self._cache is not None:
            import asyncio

            await asyncio.to_thread(self._cache.answers.clear)

    async def aclose(self) -> None:
        """
        Close the connections that the running loop opened. It waits for nobody: this loop's calls that are in flight
        end with `ClientClosed`. The client can be used again; it opens new ones.
        """
        await self._connections.aclose()
        if self._cache is not None:
            self._cache.answers.close()
        self._health.close()
        if self._allowances is not None:
            self._allowances.close()
        if self._sessions is not None:
            self._sessions.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
