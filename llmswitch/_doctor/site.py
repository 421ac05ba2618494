"""Whether the key belongs to the site that is asked, and whether that site serves this place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from llmswitch import _errors
from llmswitch._errors import LLMSwitchError
from llmswitch._provider import ModelList, ProviderSpec, SiteSpec
from llmswitch._target import Target

from .asking import Asker, Heard, moved
from .plan import Subject
from .report import Check, State

__all__ = ["other_site", "site_check", "todo_for"]


def site_check(subject: Subject, evidence: list[Heard], *, listed: bool, other: str | None) -> Check:
    """
    Which site it is, and what it said of the key. `evidence`: what came of the requests that had the key in them, and
    were about it. `listed`: there was one. `other`: a site that takes the key, where this one refuses it.
    """
    target = subject.target
    assert target is not None
    endpoint = target.endpoint
    at = f'site "{endpoint.site}"' if endpoint.site in subject.spec.sites and not _elsewhere(target) else "own address"
    where = f"{at}, {endpoint.base_url} (data goes to: {endpoint.jurisdiction})"
    facts: dict[str, Any] = {
        "site": endpoint.site,
        "base_url": endpoint.base_url,
        "jurisdiction": endpoint.jurisdiction,
    }
    problem = _weightiest(evidence)
    keyless = endpoint.secret is None and endpoint.credential is None
    if problem is None and keyless:
        return Check("site", "ok", f"{where}: it answers", facts=facts | {"accepted": None})
    if problem is None and any(heard.error is None for heard in evidence):
        return Check("site", "ok", f"{where}: it takes the key", facts=facts | {"accepted": True})
    if problem is None:
        why = _why(evidence, listed=listed)
        said = f"{where}; whether the key is taken there is not known: {why}"
        return Check("site", "skipped", said, "--live tells", facts | {"accepted": None})
    facts |= {"accepted": False, "error": type(problem).__name__}
    if isinstance(problem, _errors.AuthInvalid):
        if other is not None:
            said = f'{where}: the key is refused; it is one of site "{other}"'
            return Check("site", "fail", said, _choose(subject.spec.name, other), facts | {"key_of_site": other})
        return Check("site", "fail", f"{where}: {problem.message}", _other_key(subject), facts)
    grave = (_errors.RegionBlocked, _errors.RedirectRefused, _errors.Arrears, _errors.QuotaExhausted)
    state: State = "fail" if isinstance(problem, grave) else "warn"
    return Check("site", state, f"{where}: {problem.message}", todo_for(problem, target), facts)


_NO_SUCH = (_errors.ModelGone, _errors.BadRequest)  # at a list: the vendor has none


def _weightiest(evidence: list[Heard]) -> LLMSwitchError | None:
    """What was said of the place or of the key; where nobody took it, what else came in the place of an answer."""
    found = [heard.error for heard in evidence if heard.error is not None and not isinstance(heard.error, _NO_SUCH)]
    first = (_errors.RegionBlocked, _errors.AuthInvalid)
    refusal = next((error for kind in first for error in found if isinstance(error, kind)), None)
    taken = any(heard.error is None for heard in evidence)
    return refusal or (None if taken else next(iter(found), None))


def _why(evidence: list[Heard], *, listed: bool) -> str:
    """Why nothing is known of the key."""
    if any(isinstance(heard.error, _NO_SUCH) for heard in evidence):
        return "there is no list of models at this address"
    return "its list of models may be given to anybody" if listed else "this vendor has nothing to ask that is free"


def _elsewhere(target: Target) -> bool:
    site = target.spec.sites.get(target.endpoint.site)
    return site is None or not target.endpoint.base_url.startswith(site.base_url.partition("{")[0])


def _other_key(subject: Subject) -> str:
    sites = [name for name, _ in _others(subject, None)]
    if not sites:
        return "make a new key in the vendor's console, and see that all of it was copied"
    tried = f"--live tries this key at {', '.join(sites)}" if len(sites) > 1 else f"--live tries this key at {sites[0]}"
    return f"make a new key for this site in the vendor's console, or choose the site of this one ({tried})"


def _choose(name: str, site: str) -> str:
    return f'set site = "{site}" under [providers.{name}]'


def _others(subject: Subject, places: Collection[str] | None) -> Iterator[tuple[str, SiteSpec]]:
    """The vendor's sites that do not take this one's keys, and where data may go."""
    target = subject.target
    assert target is not None
    sites, here = target.spec.sites, target.endpoint.site
    site = sites.get(here)
    if site is None or _elsewhere(target) or subject.own.base_url is not None:
        return
    for name, other in sites.items():
        whole = "{" not in other.base_url
        if (
            whole
            and (other.account or name) != (site.account or here)
            and (places is None or other.jurisdiction in places)
        ):
            yield name, other


def other_site(
    subject: Subject, asker: Asker, listing: ModelList | None, places: Collection[str] | None, by: float
) -> str | None:
    """
    The vendor's site that takes the key which another refused, found by asking for its list of models, until `by`.

    The key goes to that vendor's hosts alone, and to no place that the policy does not allow.
    """
    target = subject.target
    assert target is not None
    if listing is None or target.endpoint.secret is None:
        return None
    for name, site in _others(subject, places):
        endpoint = replace(
            target.endpoint, site=name, base_url=site.base_url, jurisdiction=site.jurisdiction, _address=None
        )
        heard = asker.get(moved(target, endpoint), listing.path, by)
        if heard.error is None and heard.body is not None:
            return name
    return None


def todo_for(problem: LLMSwitchError, target: Target) -> str:
    """What to do about what a vendor said."""
    if isinstance(problem, _errors.RegionBlocked):
        return _away(target.spec, target)
    said = next((todo for kind, todo in _REMEDIES.items() if isinstance(problem, kind)), "")
    return said or "ask again later, and look at the vendor's status page"


_REMEDIES: dict[type[LLMSwitchError], str] = {
    _errors.ModelGone: "look at the model's name, and whether your account may use it",
    _errors.PermissionDenied: "allow it for this key in the vendor's console",
    _errors.AuthInvalid: "make a new key in the vendor's console, and see that all of it was copied",
    _errors.Arrears: "top the account up in the vendor's console",
    _errors.QuotaExhausted: "wait until it resets, or buy more in the vendor's console",
    _errors.RateLimited: "ask again later; `limits` of the provider keeps a chain below what the account may send",
    _errors.RedirectRefused: "set base_url to the address that was redirected to, if it is the vendor's",
    _errors.MalformedResponse: "is base_url the address of an API? A login page of a network answers like this too",
    _errors.CapabilityMismatch: "look at the options and capabilities that are set for this provider",
    _errors.BadRequest: "look at the options that are set for this provider",
}


def _away(spec: ProviderSpec, target: Target) -> str:
    """Where to go from a site that does not serve this place."""
    here = spec.sites.get(target.endpoint.site)
    others = [name for name, site in spec.sites.items() if here is None or site.base_url != here.base_url]
    words = (
        f'try another site (site = "{others[0]}" under [providers.{spec.name}], with a key of that site), or '
        if others
        else ""
    )
    return f"{words}ask somebody else: `llmswitch equivalents {target.name}` names the nearest models"
