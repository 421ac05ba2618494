"""Which error of the taxonomy a vendor's failure is: by rules that are data, the vendor's own code first."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache

from . import _errors
from ._adapter import ErrorFacts
from ._errors import LLMSwitchError
from ._provider import ErrorRule
from ._scrub import scrub

__all__ = ["ErrorRules", "make_error", "read_defaults"]

_KEPT = 200  # characters of a vendor's text: it may quote the prompt
_READ = 4096  # characters of it that are looked at
_LONGEST_WORD = 128
_BILLED = (
    _errors.NoResponse,
    _errors.MalformedResponse,
    _errors.StreamInterrupted,
    _errors.FirstTokenTimeout,
)


@cache
def read_defaults() -> tuple[ErrorRule, ...]:
    """The rules that hold for everybody, from `default_errors.toml`."""
    from importlib.resources import files

    text = (files(__package__ or "llmswitch") / "default_errors.toml").read_text("utf-8")
    return tuple(ErrorRule.model_validate(rule) for rule in tomllib.loads(text)["errors"])


class ErrorRules:
    """
    Rules in the order in which they are asked: those that know the vendor's code or type, then those that read the
    text, then those that know only the status; within each of these in the order given, so a vendor's own come first.
    """

    def __init__(self, rules: Iterable[ErrorRule]) -> None:
        tiers: tuple[list[_Rule], list[_Rule], list[_Rule]] = ([], [], [])
        for rule in rules:
            tiers[0 if rule.code or rule.type else 1 if rule.text or rule.html is not None else 2].append(_Rule(rule))
        self._rules = [*tiers[0], *tiers[1], *tiers[2]]

    def classify(self, facts: ErrorFacts) -> type[LLMSwitchError]:
        """The class of the failure. What no rule knows is judged by the status's hundred."""
        return self.judge(facts)[0]

    def judge(self, facts: ErrorFacts) -> tuple[type[LLMSwitchError], str]:
        """The class of the failure, and what the rule that knew it advises."""
        if facts.status is None and facts.code is not None and facts.code.isascii() and facts.code.isdigit():
            number = int(facts.code[:4])
            facts = replace(facts, status=number) if 400 <= number < 600 else facts
        for rule in self._rules:
            if rule.holds(facts):
                return rule.becomes, rule.hint
        if facts.status is not None and 400 <= facts.status < 500:
            return _errors.BadRequest, ""
        if facts.status is not None and 300 <= facts.status < 400:
            return _errors.RedirectRefused, ""
        return _errors.ServerError, ""


class _Rule:
    __slots__ = ("becomes", "code", "hint", "html", "status", "text", "type")

    def __init__(self, rule: ErrorRule) -> None:
        self.becomes: type[LLMSwitchError] = getattr(_errors, rule.becomes)
        self.hint = rule.hint
        self.code = _Words(rule.code)
        self.type = _Words(rule.type)
        self.status = frozenset(rule.status)
        self.text = (
            re.compile("|".join(f"(?:{pattern})" for pattern in rule.text), re.IGNORECASE) if rule.text else None
        )
        self.html = rule.html

    def holds(self, facts: ErrorFacts) -> bool:
        # an error inside an answer of 200 has no status to go by: its words and codes have to do
        worded = self.code or self.type or self.text is not None
        if self.status and facts.status not in self.status and not (facts.status is None and worded):
            return False
        if self.html is not None and self.html != facts.html:
            return False
        if self.code and not self.code.hold(facts.code):
            return False
        if self.type and not self.type.hold(facts.type):
            return False
        return self.text is None or self.text.search(facts.message, 0, _READ) is not None


class _Words:
    """A vendor's words, without regard to case; one that holds a `*` stands for many."""

    __slots__ = ("patterns", "words")

    def __init__(self, words: Iterable[str]) -> None:
        lowered = [word.lower() for word in words]
        self.words = frozenset(lowered)
        self.patterns = tuple(word for word in lowered if "*" in word)

    def __bool__(self) -> bool:
        return bool(self.words)

    def hold(self, word: str | None) -> bool:
        lowered = (word or "").lower()
        return lowered in self.words or any(fnmatchcase(lowered, pattern) for pattern in self.patterns)


def make_error(
    facts: ErrorFacts,
    rules: ErrorRules,
    *,
    provider: str,
    model: str,
    other_sites: str = "",
) -> LLMSwitchError:
    """
    The error for a failure, with the vendor's text cut to 200 characters and scrubbed of every known secret.

    `other_sites`: what is said beside a refused key.
    """
    kind, hint = rules.judge(facts)
    # scrubbed before it is cut, or a part of a key would be left
    said = " ".join(scrub(facts.message[:_READ]).split())
    said = said[: _KEPT - 1] + "…" if len(said) > _KEPT else said
    code, sort = _word(facts.code), _word(facts.type)
    if facts.html:
        said = "a web page came instead of an API answer"
    parts = [_ADVICE.get(kind.__name__, "the request failed")]
    if facts.status is not None:
        coded = f", code {code}" if code and code != str(facts.status) else ""
        parts.append(f" (HTTP {facts.status}{coded})")
    elif code:
        parts.append(f" (code {code})")
    if said:
        parts.append(f": {said}")
    parts += [f"; {advice}" for advice in (hint, other_sites if kind is _errors.AuthInvalid else "") if advice]
    error = kind("".join(parts))
    error.provider, error.model = provider, model
    error.status, error.code, error.request_id = facts.status, code or sort, _word(facts.request_id)
    error.retry_after = facts.retry_after
    error.possibly_billed = issubclass(kind, _BILLED)
    return error


def _word(text: str | None) -> str | None:
    """A code, a type or an id of the vendor's, which may quote the key as its message may."""
    return (scrub(text[:_READ])[:_LONGEST_WORD] or None) if text else None


_ADVICE: Mapping[str, str] = {
    "Arrears": "the account is out of money or suspended; pay or top up at the vendor",
    "AuthInvalid": "the key was refused; check that it is valid and belongs to this site",
    "BadRequest": "the request was refused",
    "CapabilityMismatch": "this model does not take part of the request",
    "ContentFiltered": "the vendor's content policy refused it",
    "ContextTooLong": "the conversation is too long for this model",
    "ModelGone": "there is no such model for this key; check its name, or choose another",
    "Overloaded": "the vendor is overloaded",
    "PermissionDenied": "the key may not do this; check its permissions at the vendor",
    "QuotaExhausted": "the quota is used up until it resets",
    "RateLimited": "too many requests",
    "RedirectRefused": "the host answered with a redirect, which is not followed; check base_url",
    "RegionBlocked": "the vendor does not serve the place this process calls from",
    "ServerError": "the vendor failed",
    "MalformedResponse": "what came back is not an answer",
}
