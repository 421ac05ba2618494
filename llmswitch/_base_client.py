"""What clients share, which is all but the waiting: configuration, checking a call, choosing its chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack

from ._bare import bare
from ._errors import CapabilityMismatch, ClientClosed, InvalidRequest, LLMSwitchError

# What a client is made of is loaded by the first one that is made, not by the import of llmswitch.
if TYPE_CHECKING:
    from ._allowance_state import AllowanceState
    from ._bulk import BatchRequest, Bulk
    from ._call import Call
    from ._config import HTTPConfig
    from ._config_file import Loaded
    from ._counting import TokenCount
    from ._embedding import EmbedOptions
    from ._health import TargetHealth
    from ._hooks import Hooks
    from ._messages import Message
    from ._planning import Planning
    from ._request import ChatOptions
    from ._wire import Exchange

__all__ = ["BaseClient", "Messages", "after_count"]

Messages: TypeAlias = "str | Message | Sequence[Message | Mapping[str, Any]]"


class BaseClient(ABC):
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
        from ._config_file import Loaded
        from ._discovery import discover

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
        from ._between_calls import cache_of, health_of, sessions_of, spending_of
        from ._calls import Calls, seconds_of
        from ._exchange import exchange
        from ._setup import Setup
        from ._telemetry import hooks_of
        from ._token_ratios import TokenRatios

        self._exchange: Callable[[Call], Exchange] = exchange
        self._health = health_of(loaded)
        self._allowances, self._grants = spending_of(loaded)
        self._sessions = sessions_of(loaded)
        self._cache = cache_of(loaded)
        self._hooks = hooks_of(loaded, hooks)
        self._ratios = TokenRatios()
        self._source = loaded.source
        self._setup = Setup(loaded, model)
        self._setup.check()
        self._drill = self._setup.drill()
        self._calls = Calls(
            self._setup,
            seconds_of(timeout),
            health=self._health,
            hooks=self._hooks,
            allowances=self._allowances,
            grants=self._grants,
            sessions=self._sessions,
            cache=self._cache,
            ratios=self._ratios,
        )
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
        from ._config_file import Loaded

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
        from ._config_file import Loaded

        return cls._from(Loaded.from_mapping(config), model, http_client, timeout, hooks)

    @classmethod
    def _from(cls, *given: Any) -> Self:
        client = cls.__new__(cls)
        client._start(*given)  # noqa: SLF001 - its own
        return client

    @abstractmethod
    def batch(
        self,
        requests: Iterable[BatchRequest],
        *,
        concurrency: int = 16,
        patience: float = 600.0,
        **options: Unpack[ChatOptions],
    ) -> Bulk:
        """
        The results of many requests, as they come: a `BatchResult` for each, with its answer or its error.

        Each request is a prompt, or a mapping with `messages` or `prompt`, options of `chat()`, and an `id` of
        yours. They are read when there is room, so there may be no end of them. The batch begins with a few
        calls at a time, and adapts to what the vendors allow; it never holds more requests than are in flight.
        `patience`: seconds that a request may wait while every target of its chain is throttled or out for a
        while. `options` are those of `ChatOptions`, for requests that do not say otherwise.

        Raises `InvalidRequest` for a number that is none. What is wrong with a request is the error of its result.
        """

    def health(self) -> list[TargetHealth]:
        """
        The state of every target that this client has made so far: who is out, why, and for how long; and those that
        the policy's `jurisdictions` leave out of its chains, as `excluded`.
        """
        from ._health import TargetHealth

        shown = self._health.show(self._setup.targets())
        excluded = self._setup.excluded().items()
        return [*shown, *(TargetHealth(name, "excluded", reason=f"jurisdiction {place}") for name, place in excluded)]

    def named(self, name: str) -> str:
        """
        The chain or target that a name leads to which a program gave elsewhere, under an SDK or at a gateway.

        Raises `InvalidRequest` that lists the names, where it leads nowhere.
        """
        return self._setup.named(name)

    def names(self) -> list[str]:
        """Such names: the chains and aliases of the configuration, and the chains' targets."""
        return self._setup.names()

    def isolate(self, target: str) -> None:
        """Ask this target (`provider:model`) no more, until `reset`."""
        self._health.isolate(self._setup.target(target))

    def reset(self, target: str) -> None:
        """Forget what is known against this target, its account and its endpoint: a key was renewed, a bill paid."""
        found = self._setup.target(target)
        self._health.reset(found)
        if self._allowances is not None:
            self._allowances.reset(found)

    def rehearse(self, faults: Mapping[str, str]) -> None:
        """
        Drill an outage in the calls that begin from now on: each named provider fails in the named way, as with
        `LLMSWITCH_DRILL`. No faults end it. Raises `ConfigError` for a provider or a fault that there is none of.
        """
        self._drill = self._setup.read_drill(faults)

    @property
    def drilled(self) -> str | None:
        """The drill that is on, in words; `None` where there is none."""
        return None if self._drill is None else str(self._drill)

    def allowances(self) -> list[AllowanceState]:
        """Every limit, budget and grant of the configuration, and how much of it is spent."""
        if self._allowances is None:
            return []
        shown = self._allowances.show_all(self._setup.targets())
        return [*shown, *(self._grants.show() if self._grants is not None else ())]

    def _call(self, messages: Messages, options: ChatOptions, *, stream: bool) -> Call:
        try:
            return self._calls.chat(messages, options, stream=stream, drill=self.drilled)
        finally:
            del messages, options

    def _planned(self, messages: Messages, options: ChatOptions, *, stream: bool) -> Planning:
        """The plan of the call, on its way."""
        from ._planning import planned

        return planned(self._call(messages, options, stream=stream), self._setup.followed(options.get("model")))

    def _embed_call(self, texts: str | Sequence[str], options: EmbedOptions) -> Call:
        try:
            return self._calls.embed(texts, options, drill=self.drilled)
        finally:
            del texts, options

    def _count_call(self, messages: Messages, options: ChatOptions) -> tuple[Call | None, TokenCount]:
        try:
            return self._calls.count(messages, options, drill=self.drilled)
        finally:
            del messages, options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source})"


def after_count(problem: LLMSwitchError, estimate: TokenCount) -> TokenCount:
    """The estimate, where the vendor did not count; what is wrong with the request itself is raised again."""
    if isinstance(problem, (InvalidRequest, CapabilityMismatch, ClientClosed)):
        raise problem
    from ._counting import in_vain

    return in_vain(estimate, f"{type(problem).__name__}: {problem.message}")
