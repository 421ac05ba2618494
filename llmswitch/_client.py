"""The clients: one call for an answer, one for a stream. Sync and async share all but the waiting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack

from ._attempt import bare
from ._between_calls import health_of, spending_of
from ._call import Call
from ._chain import Chain
from ._config import HTTPConfig, Loaded
from ._deadline import inherited, is_span
from ._discovery import discover
from ._embedding import EmbedOptions, EmbedReply, EmbedRequest, check_one_model
from ._errors import InvalidRequest, LLMSwitchError
from ._exchange import exchange
from ._health import TargetHealth
from ._hooks import Hooks
from ._messages import Message
from ._operation import CHAT, EMBED, Operation, Reply, Request
from ._reply import ChatReply
from ._request import ChatOptions, ChatRequest, read_tags
from ._setup import Setup
from ._stream import AsyncChatStream, ChatStream
from ._wire import Exchange

# The HTTP library and what waits are loaded by the first client, not by the import of llmswitch.
if TYPE_CHECKING:
    from ._allowances import AllowanceState
    from ._connections import AsyncConnections, Connections
    from ._drill import Drill
    from ._drive import AsyncDriver, SyncDriver

__all__ = ["AsyncClient", "Client"]

Messages: TypeAlias = str | Message | Sequence[Message | Mapping[str, Any]]


class _Base(ABC):
    """
    What does not wait: configuration, checking a call, choosing its chain.

    `model`: a target (`provider:model`), a chain as a list of targets, or the name of a chain in the configuration;
    without it the configuration decides. `config`: the structure of `llmswitch.toml`, in place of a file.
    `http_client`: an HTTP client of your own (httpx or httpx2) to send everything through. `hooks`: functions of yours
    that are told of attempts and alarms. `timeout`: seconds for a whole call, where neither the call nor its chain
    gives any.

    Safe to share between threads and tasks, and after a fork. Raises `ConfigError` that says what is wrong or missing.
    """

    def __init__(
        self,
        model: str | Sequence[str] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        http_client: Any = None,
        timeout: float | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        loaded = Loaded.from_mapping(config) if config is not None else discover()
        self._start(loaded, model, http_client, timeout, hooks)

    def _start(
        self,
        loaded: Loaded,
        model: str | Sequence[str] | None,
        http_client: Any,
        timeout: float | None,
        hooks: Hooks | None,
    ) -> None:
        try:
            self._set_up(loaded, model, http_client, timeout, hooks)
        except LLMSwitchError as problem:
            wrong = problem  # what stood there by mistake may be a key: it hangs on the frames and the causes
        else:
            return
        raise bare(wrong, ())

    def _set_up(
        self,
        loaded: Loaded,
        model: str | Sequence[str] | None,
        http_client: Any,
        timeout: float | None,
        hooks: Hooks | None,
    ) -> None:
        self._timeout = _seconds(timeout)
        self._health = health_of(loaded)
        self._allowances, self._grants = spending_of(loaded)
        self._hooks = hooks or Hooks()
        self._source = loaded.source
        self._setup = Setup(loaded, model)
        self._setup.check()
        self._drill = self._setup.drill()
        self._connect(http_client, loaded.config.http)

    @abstractmethod
    def _connect(self, http_client: Any, http: HTTPConfig) -> None: ...

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        model: str | Sequence[str] | None = None,
        *,
        http_client: Any = None,
        timeout: float | None = None,
        hooks: Hooks | None = None,
    ) -> Self:
        """A client with the configuration of this file; `model` as in `Client()`. Raises `ConfigError`."""
        return cls._from(Loaded.from_file(Path(path)), model, http_client, timeout, hooks)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        model: str | Sequence[str] | None = None,
        *,
        http_client: Any = None,
        timeout: float | None = None,
        hooks: Hooks | None = None,
    ) -> Self:
        """A client with this configuration, of the same structure as the file. Raises `ConfigError`."""
        return cls._from(Loaded.from_mapping(config), model, http_client, timeout, hooks)

    @classmethod
    def _from(cls, *given: Any) -> Self:
        client = cls.__new__(cls)
        client._start(*given)  # noqa: SLF001 - its own
        return client

    def health(self) -> list[TargetHealth]:
        """
        The state of every target that this client has made so far: who is out, why, and for how long; and those that
        the policy's `jurisdictions` leave out of its chains, as `excluded`.
        """
        shown = self._health.show(self._setup.targets())
        excluded = self._setup.excluded().items()
        return [*shown, *(TargetHealth(name, "excluded", reason=f"jurisdiction {place}") for name, place in excluded)]

    def isolate(self, target: str) -> None:
        """Ask this target (`provider:model`) no more, until `reset`."""
        self._health.isolate(self._setup.target(target))

    def reset(self, target: str) -> None:
        """Forget what is known against this target, its account and its endpoint: a key was renewed, a bill paid."""
        found = self._setup.target(target)
        self._health.reset(found)
        if self._allowances is not None:
            self._allowances.reset(found)

    def allowances(self) -> list[AllowanceState]:
        """Every limit, budget and grant of the configuration, and how much of it is spent."""
        if self._allowances is None:
            return []
        shown = self._allowances.show_all(self._setup.targets())
        return [*shown, *(self._grants.show() if self._grants is not None else ())]

    def _call(self, messages: Messages, options: ChatOptions, *, stream: bool) -> Call:
        """
        The call, checked: whatever is wrong with it is said before a byte is sent.

        What it raises comes without the frames that looked at it, for they hold the prompt.
        """
        try:
            return self._checked(messages, options, stream=stream)
        except LLMSwitchError as problem:
            wrong = problem
        finally:
            del messages, options
        raise bare(wrong, ())

    def _checked(self, messages: Messages, options: ChatOptions, *, stream: bool) -> Call:
        given: dict[str, Any] = dict(options)
        chain = self._setup.chain(given.pop("model", None))
        timeout, tags = given.pop("timeout", None), given.pop("tags", None)
        if given.get("degrade") is None:
            given["degrade"] = chain.degrade
        return self._new_call(chain, ChatRequest.read(messages, **given), CHAT, timeout, tags, stream=stream)

    def _embed_call(self, texts: str | Sequence[str], options: EmbedOptions) -> Call:
        """The same for vectors, whose chain has to be of one model."""
        try:
            given: dict[str, Any] = dict(options)
            chain = self._setup.chain(given.pop("model", None))
            timeout, tags = given.pop("timeout", None), given.pop("tags", None)
            if not given.pop("same_model", None):
                check_one_model(chain.targets)
            return self._new_call(chain, EmbedRequest.read(texts, **given), EMBED, timeout, tags, stream=False)
        except LLMSwitchError as problem:
            wrong = problem
        finally:
            del texts, options
        raise bare(wrong, ())

    def _new_call(
        self, chain: Chain, request: Request, operation: Operation, timeout: Any, tags: Any, *, stream: bool
    ) -> Call:
        self._setup.check_extra(request.extra)
        seconds = _seconds(timeout)
        if seconds is None and chain.policy.total is None:
            seconds = self._timeout
        drill = str(self._drill) if self._drill is not None else None
        return Call(
            chain,
            request,
            stream,
            seconds,
            inherited(),
            health=self._health,
            hooks=self._hooks,
            drill=drill,
            allowances=self._allowances,
            grants=self._grants,
            tags=read_tags(tags),
            operation=operation,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source})"


class Client(_Base):
    __doc__ = _Base.__doc__

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
            steps = exchange(self._call(messages, options, stream=False))
        finally:
            del messages, options  # a traceback that shows local variables would show the prompt
        reply = self._carry_out(steps)
        assert isinstance(reply, ChatReply)
        reply.parsed  # noqa: B018 - an answer of the wrong form is said now
        return reply

    def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """
        The vectors of the texts, in their order. `options` are those of `EmbedOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong, or its chain is of several models;
        otherwise as `chat` does.
        """
        try:
            steps = exchange(self._embed_call(texts, options))
        finally:
            del texts, options
        reply = self._carry_out(steps)
        assert isinstance(reply, EmbedReply)
        return reply

    def _carry_out(self, steps: Exchange) -> Reply:
        driver = self._driver(self._connections, self._drill)
        outcome = None
        try:
            while True:
                outcome = driver.perform(steps.send(outcome))
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply
        finally:
            steps.close()  # whoever keeps the exception keeps these frames, and not what they hold
            driver.close()

    def stream(self, messages: Messages, **options: Unpack[ChatOptions]) -> ChatStream:
        """The answer as it comes. Nothing is sent before the first event is asked for."""
        try:
            call = self._call(messages, options, stream=True)
        finally:
            del messages, options
        return ChatStream(exchange(call), self._driver(self._connections, self._drill), restarts=call.restarts)

    def close(self) -> None:
        """
        Close the connections. It waits for nobody: calls that are in flight end with `ClientClosed`.

        The client can be used again; it opens new ones.
        """
        self._connections.close()
        self._health.close(wait=0.05)
        if self._allowances is not None:
            self._allowances.close(wait=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Base):
    __doc__ = _Base.__doc__

    def _connect(self, http_client: Any, http: HTTPConfig) -> None:
        from ._connections import AsyncConnections
        from ._drive import AsyncDriver

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
            steps = exchange(self._call(messages, options, stream=False))
        finally:
            del messages, options  # a traceback that shows local variables would show the prompt
        reply = await self._carry_out(steps)
        assert isinstance(reply, ChatReply)
        reply.parsed  # noqa: B018 - an answer of the wrong form is said now
        return reply

    async def embed(self, texts: str | Sequence[str], **options: Unpack[EmbedOptions]) -> EmbedReply:
        """
        The vectors of the texts, in their order. `options` are those of `EmbedOptions`.

        Raises `InvalidRequest` before anything is sent where the call is wrong, or its chain is of several models;
        otherwise as `chat` does.
        """
        try:
            steps = exchange(self._embed_call(texts, options))
        finally:
            del texts, options
        reply = await self._carry_out(steps)
        assert isinstance(reply, EmbedReply)
        return reply

    async def _carry_out(self, steps: Exchange) -> Reply:
        driver = self._driver(self._connections, self._drill)
        outcome = None
        try:
            while True:
                outcome = await driver.perform(steps.send(outcome))
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply
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
        return AsyncChatStream(exchange(call), self._driver(self._connections, self._drill), restarts=call.restarts)

    async def aclose(self) -> None:
        """
        Close the connections that the running loop opened. It waits for nobody: this loop's calls that are in flight
        end with `ClientClosed`. The client can be used again; it opens new ones.
        """
        await self._connections.aclose()
        self._health.close()
        if self._allowances is not None:
            self._allowances.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if not is_span(timeout):
        raise InvalidRequest("timeout must be a number of seconds greater than 0", field="timeout")
    return float(timeout)
