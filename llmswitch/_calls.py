"""What a client makes of a question: a call, checked before a byte is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._bare import bare
from ._call import Call
from ._chain import Chain
from ._deadline import inherited, is_span
from ._errors import InvalidRequest, LLMSwitchError
from ._health import Health
from ._hooks import Hooks
from ._operation import CHAT, Operation, Request
from ._request import ChatOptions, ChatRequest, read_session, read_tags
from ._setup import Setup

if TYPE_CHECKING:
    from ._allowances import Allowances
    from ._base_client import Messages
    from ._cache import Cache, CacheUse
    from ._counting import TokenCount
    from ._embedding import EmbedOptions
    from ._grants import Grants
    from ._sessions import Sessions
    from ._token_ratios import TokenRatios

__all__ = ["Calls", "seconds_of"]


class Calls:
    """Makes the calls of one client, with all that it knows. `drill` is the outage that is rehearsed, in words."""

    def __init__(
        self,
        setup: Setup,
        timeout: float | None,
        *,
        health: Health,
        hooks: Hooks,
        allowances: Allowances | None,
        grants: Grants | None,
        sessions: Sessions | None,
        cache: Cache | None,
        ratios: TokenRatios,
    ) -> None:
        self._setup, self._timeout = setup, timeout
        self._health, self._hooks = health, hooks
        self._allowances, self._grants = allowances, grants
        self._sessions, self._cache, self._ratios = sessions, cache, ratios

    def chat(self, messages: Messages, options: ChatOptions, *, stream: bool, drill: str | None) -> Call:
        """
        The call, checked: whatever is wrong with it is said before a byte is sent.

        What it raises comes without the frames that looked at it, for they hold the prompt.
        """
        try:
            return self._checked(messages, options, stream=stream, drill=drill)
        except LLMSwitchError as problem:
            wrong = problem
        finally:
            del messages, options
        raise bare(wrong, ())

    def _checked(self, messages: Messages, options: ChatOptions, *, stream: bool, drill: str | None) -> Call:
        given: dict[str, Any] = dict(options)
        chain = self._setup.chain(given.pop("model", None))
        timeout, tags, session, cache = (given.pop(name, None) for name in ("timeout", "tags", "session", "cache"))
        if given.get("degrade") is None:
            given["degrade"] = chain.degrade
        call = self._new_call(
            chain, ChatRequest.read(messages, **given), CHAT, timeout, tags, stream=stream, drill=drill
        )
        call.session, call.sessions = read_session(session), self._sessions
        call.cache = self._cache_use(cache, call)
        return call

    def _cache_use(self, wanted: object, call: Call) -> CacheUse | None:
        """How the call uses the cache, if it does; a drill is to ask the vendors. Raises `InvalidRequest`."""
        if wanted is not None and not isinstance(wanted, bool):
            raise InvalidRequest("cache must be True or False", field="cache")
        if wanted and self._cache is None:
            raise InvalidRequest("cache=True needs a [cache] with its kind in the configuration", field="cache")
        if self._cache is None or call.drill is not None or not (call.chain.cache if wanted is None else wanted):
            return None
        return self._cache.use(call.chain, call.tags)

    def embed(self, texts: str | Sequence[str], options: EmbedOptions, *, drill: str | None) -> Call:
        """The same for vectors, whose chain has to be of one model."""
        from ._embedding import EMBED, EmbedRequest, check_one_model

        try:
            given: dict[str, Any] = dict(options)
            chain = self._setup.chain(given.pop("model", None))
            timeout, tags = given.pop("timeout", None), given.pop("tags", None)
            if not given.pop("same_model", None):
                check_one_model(chain.targets)
            if given.get("degrade") is None:
                given["degrade"] = chain.degrade
            return self._new_call(
                chain, EmbedRequest.read(texts, **given), EMBED, timeout, tags, stream=False, drill=drill
            )
        except LLMSwitchError as problem:
            wrong = problem
        finally:
            del texts, options
        raise bare(wrong, ())

    def count(self, messages: Messages, options: ChatOptions, *, drill: str | None) -> tuple[Call | None, TokenCount]:
        """
        The call that asks the vendor, where he counts; and the estimate.

        It is one of the first target alone, for another model counts differently. What comes of it says nothing of the
        target's health: counting has addresses and limits of its own.
        """
        call = self.chat(messages, options, stream=False, drill=drill)
        target = call.chain.targets[0]
        request = call.request.overridden(target.settings)
        assert isinstance(request, ChatRequest)
        estimate = self._ratios.estimate(target.provider, target.model, request)
        if not target.adapter.capabilities.token_counting:
            return None, estimate
        from ._counting import COUNT

        call.chain = call.chain._replace(targets=(target,), groups=())
        call.operation, call.health, call.allowances, call.grants = COUNT, Health(), None, None
        call.cache = None
        return call, estimate

    def _new_call(
        self,
        chain: Chain,
        request: Request,
        operation: Operation,
        timeout: Any,
        tags: Any,
        *,
        stream: bool,
        drill: str | None,
    ) -> Call:
        self._setup.check_extra(request.extra)
        seconds = seconds_of(timeout)
        if seconds is None and chain.policy.total is None:
            seconds = self._timeout
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
            ratios=self._ratios,
        )


def seconds_of(timeout: float | None) -> float | None:
    """A time limit of a caller's. Raises `InvalidRequest` for one that is none."""
    if timeout is None:
        return None
    if not is_span(timeout):
        raise InvalidRequest("timeout must be a number of seconds greater than 0", field="timeout")
    return float(timeout)
