"""What a vendor's response would be taken for, and what a chain would do next: asked without sending anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._adapter import ModelIdentity
from ._answer import read_answer
from ._bare import bare
from ._config import ProviderConfig
from ._cooldown import CooldownRule, Scope
from ._endpoint import Endpoint
from ._errors import LLMSwitchError
from ._json import dumps
from ._policy import Again, MoveOn, Rule, rule_for
from ._reading import Clocks, Reading
from ._registry import provider as find_provider
from ._reply import Attempt
from ._request import ChatRequest
from ._speaking import make_adapter
from ._target import Target
from ._wire import Opened, Read

__all__ = ["ErrorExplanation", "explain_error", "in_words"]


@dataclass(slots=True, frozen=True)
class ErrorExplanation:
    """
    What a response would be, and what a chain would do next.

    `error`: what the attempt would fail with. `again`: whether the same target is asked once more: `never`, `once`,
    `fresh` (at once, on a new connection), `renewed` (with another token, or by the vendor's clock), `if_last` (where
    nobody else is left), `wait` (likewise, and the wait fits). `move`: whether the next target is asked: `always`,
    `larger` (one with a larger window), `never` (it is raised). `scopes`: what is passed over by later calls, for
    `cooldown` seconds the first time. `breaker`: whose breaker counts it.
    """

    error: LLMSwitchError
    again: Again
    move: MoveOn
    scopes: tuple[Scope, ...]
    cooldown: float | None
    breaker: Scope | None

    @property
    def kind(self) -> str:
        """The name of the error's class."""
        return type(self.error).__name__

    def __str__(self) -> str:
        rule = rule_for(self.error)
        again, move, cool, breaker = in_words(rule)
        if self.again != rule.again:
            again = "never: the vendor says so"
        if self.cooldown is not None and self.error.retry_after is not None:
            cool = f"{', '.join(self.scopes)}: {_span(self.cooldown)}, as the vendor says"
        return (
            f"{self.kind}: {self.error.message}\n"
            f"the same target again: {again}; the next target: {move}; passed over: {cool}; breaker: {breaker}"
        )


def explain_error(
    provider: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | Mapping[str, Any] | list[Any] = b"",
    *,
    model: str = "any",
) -> ErrorExplanation | None:
    """
    What a response of this provider would be taken for, `None` where it is an answer. No key is needed.

    `body`: as it came, decompressed; or its JSON. Raises `ConfigError` where there is no such provider.
    """
    data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else dumps(body)
    given = {name.lower(): value for name, value in (headers or {}).items() if name.lower() != "content-encoding"}
    reading = _reading(_target(provider, model))
    steps = read_answer(reading, Opened(status, given))
    try:
        pieces = iter((data,) if data else ())
        action = next(steps)
        while True:
            action = steps.send(next(pieces, b"") if isinstance(action, Read) else None)
    except StopIteration:
        return None
    except LLMSwitchError as problem:
        error = bare(problem, ())
    rule = rule_for(error)
    return ErrorExplanation(
        error,
        "never" if reading.retry_same is False else rule.again,
        rule.move,
        rule.cool.scopes if rule.cool is not None else (),
        _seconds(rule.cool, error),
        rule.counts,
    )


def _target(name: str, model: str) -> Target:
    """The target without its key: nothing is sent there."""
    spec = find_provider(name)
    adapter = make_adapter(spec, ProviderConfig(), ModelIdentity(name, "", model), f"providers.{name}")
    site = spec.sites.get(spec.site)
    endpoint = Endpoint(name, spec.site, site.base_url if site else f"http://{name}.localhost", "unknown", {}, "")
    return Target(name, model, adapter, endpoint, spec)


def _reading(target: Target) -> Reading:
    clocks = Clocks(now=lambda: 0.0, first_token=1.0, attempt=1.0, call=1.0, idle=1.0, grace=1.0)
    return Reading(
        target, ChatRequest.read("?"), stream=False, clocks=clocks, attempt=Attempt(0, target.name, "first", 0.0)
    )


def _seconds(rule: CooldownRule | None, error: LLMSwitchError) -> float | None:
    if rule is None:
        return None
    return error.retry_after if error.retry_after is not None else rule.first


# The rules in words, as docs/errors.md has them

_NOBODY = "none"
_AGAIN: Mapping[Again, str] = {
    "never": "never",
    "fresh": "at once on a fresh connection, without counting",
    "renewed": "once, where another token or the vendor's clock may help",
    "once": "once, within 50 ms",
    "if_last": "once, if nobody else is left",
    "wait": "if nobody else is left and the wait fits",
}
_MOVE: Mapping[MoveOn, str] = {
    "always": "yes",
    "larger": "one with a larger window",
    "never": "no: raised",
}


def in_words(rule: Rule) -> tuple[str, str, str, str]:
    """The same target again, the next target, what is passed over for how long, and whose breaker counts it."""
    return _AGAIN[rule.again], _MOVE[rule.move], "".join(_cooling(rule.cool)), rule.counts or _NOBODY


def _cooling(rule: CooldownRule | None) -> Iterator[str]:
    if rule is None:
        yield _NOBODY
        return
    yield f"{', '.join(rule.scopes)}: {_span(rule.first)}"
    if rule.doubles:
        yield f", doubling up to {_span(rule.longest)}"


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"
