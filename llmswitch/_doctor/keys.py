"""Whether a key is there and can be one. What it is, and how it ends, is said nowhere."""

from __future__ import annotations

import re

from llmswitch._endpoint import Endpoint
from llmswitch._errors import KeyMissing
from llmswitch._provider import ProviderSpec
from llmswitch._registry import provider, provider_names
from llmswitch._secrets import Secret

from .plan import Subject
from .report import Check, State

__all__ = ["key_check", "lacking"]

_PLACEHOLDER = re.compile(
    r"<.*>|\[.*\]|\$\{?\w+\}?|%\w+%|.*\.\.\..*|.*x{5,}.*|.*\*{3,}.*"
    r"|.*(?:your|my|the|insert|replace|paste)[-_ ]?(?:own[-_ ])?(?:\w+[-_ ])?(?:api[-_ ]?)?(?:key|token|secret).*"
    r"|(?:api[-_ ]?)?(?:key|token|secret)|.*place[-_]?holder.*|.*change[-_]?me.*|.*example.*|dummy|fake|none|null",
    re.IGNORECASE,
)
_QUOTES = "\"'`"
_DISTINCT = 4  # characters of a beginning that many vendors' keys do not share


def lacking(subject: Subject) -> list[Check]:
    """The lines of a provider that no target could be made of, or none was because the policy forbids it."""
    problem = subject.problem
    if problem is None:
        said = f"it is not asked: policy.jurisdictions keeps data from where it would go ({subject.outside})"
        return [Check("site", "skipped", said, facts={"jurisdiction": subject.outside})]
    if not isinstance(problem, KeyMissing) and re.search(r"\bkey\b", problem.message):
        return [Check("key", "fail", problem.message, "put the key there again, and nothing else")]
    if isinstance(problem, KeyMissing):
        said, wants, todo = problem.message.partition(": set ")
        todo = f"set {todo}" if wants else _set_it(subject.spec)
        if subject.own.optional:
            return [Check("key", "warn", f"{said}; it is optional, so chains go on without it", todo)]
        return [Check("key", "fail", said, todo)]
    return [Check("settings", "fail", problem.message, "put it right in the configuration, or in the environment")]


def _set_it(spec: ProviderSpec) -> str:
    return f'put the key there, or say where it is: api_key = {{ env = "…" }} under [providers.{spec.name}]'


def key_check(subject: Subject) -> tuple[Check, bool]:
    """The line of the key, and whether it may be sent: what can be none, or is another vendor's, stays here."""
    target, spec = subject.target, subject.spec
    assert target is not None
    endpoint = target.endpoint
    secrets = _secrets(endpoint)
    if not secrets:
        optional = spec.key == "optional" and endpoint.start is None
        said = "none is set, and none is needed unless the server asks for one" if optional else "none is needed"
        return Check("key", "ok", said, facts={"sources": []}), True
    sources = [secret.source for secret in secrets]
    said = f"from {', '.join(sources)}"
    facts = {"sources": sources}
    demanding = spec.key == "required"
    problem = next((wrong for secret in secrets if (wrong := _wrong(secret.reveal(), demanding=demanding))), None)
    if problem is not None:
        return Check("key", "fail", f"{said}: {problem[0]}; it is not sent", problem[1], facts), False
    if endpoint.secret is not None and _at_the_vendor(endpoint, spec):
        strange = _strange(endpoint.secret.reveal(), spec)
        if strange is not None:
            state, odd, todo = strange
            return Check("key", state, f"{said}: {odd}", todo, facts), state != "fail"
    if subject.doubts:
        doubts = "; ".join(subject.doubts)
        todo = "chmod 600 the file" if "chmod" in doubts else "put the place in order where the key is"
        return Check("key", "warn", f"{said}; {doubts}", todo, facts), True
    return Check("key", "ok", said, facts=facts), True


def _secrets(endpoint: Endpoint) -> list[Secret]:
    if endpoint.credential is not None:
        return list(endpoint.credential.secrets.values())
    return [endpoint.secret] if endpoint.secret is not None else []


def _at_the_vendor(endpoint: Endpoint, spec: ProviderSpec) -> bool:
    """A gateway of the user's own may take anybody's keys."""
    site = spec.sites.get(endpoint.site)
    return site is not None and not endpoint.own and endpoint.base_url.startswith(site.base_url.partition("{")[0])


def _wrong(key: str, *, demanding: bool) -> tuple[str, str] | None:
    """Why this can be nobody's key, and what to do."""
    if len(key) > 1 and key[0] in _QUOTES and key[-1] in _QUOTES:
        return "there are quotes around the key, and they are taken for a part of it", "take the quotes away"
    if demanding and (_PLACEHOLDER.fullmatch(key) or len(set(key)) <= 2):
        return "this is a placeholder and not a key", "put the key from the vendor's console in its place"
    return None


def _strange(key: str, spec: ProviderSpec) -> tuple[State, str, str] | None:
    """What is odd about a key at this vendor: it begins as another's do, or not as his own."""
    own = _fits(key, spec)
    others = {name: fit for name in provider_names() if name != spec.name and (fit := _fits(key, provider(name))) > own}
    longest = max(others.values(), default=0)
    if longest >= _DISTINCT:
        names = " or ".join(name for name, fit in others.items() if fit == longest)
        said = f"it looks like a key of {names}, so it is not sent to {spec.name}"
        return "fail", said, f"put a key of {spec.name} there; were two variables mixed up?"
    if spec.key_format and not own:
        said = f"it does not look like other keys of {spec.name}; it may be one all the same"
        return "warn", said, "compare it with the vendor's console: was all of it copied?"
    return None


def _fits(key: str, spec: ProviderSpec) -> int:
    """How much of a key is as a provider's keys are."""
    found = re.match(spec.key_format, key) if spec.key_format else None
    return found.end() if found is not None else 0
