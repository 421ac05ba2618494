"""One provider, from its key to a call: what is asked of it, in which order, and what is left out after a failure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from time import monotonic

from llmswitch._endpoint import Endpoint
from llmswitch._endpoints import same_origin
from llmswitch._errors import AuthInvalid, RegionBlocked
from llmswitch._registry import model_list
from llmswitch._target import Target

from .asking import Asker, Heard, moved
from .host import clock_check, host_check, proxy_check, reached
from .keys import key_check, lacking
from .models import model_checks
from .money import balance_check, balance_spec, grant_checks
from .own_model import own_model_checks
from .plan import Subject
from .report import Check, Section
from .site import other_site, site_check, todo_for

__all__ = ["Examiner"]

_REHEARSED = "this is rehearsed: unset LLMSWITCH_DRILL, or take it out of [drill]"


class Examiner:
    """
    Looks at one provider at a time, for whichever thread asks. `seconds`: for all that is free of charge, together.
    `live`: calls may be made that cost something. `places`: where data may go, `None` for anywhere. `spent`: what was
    used of grants, by their labels.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        seconds: float,
        live: bool,
        places: Collection[str] | None,
        spent: Mapping[str, int],
    ) -> None:
        self._asker = asker
        self._seconds = seconds
        self._live = live
        self._places = places
        self._spent = spent

    def examine(self, subject: Subject) -> Section:
        """All lines of a provider."""
        spec, target = subject.spec, subject.target
        if target is None:
            return _section(subject, None, [*lacking(subject), *self._grants(subject)])
        if target.endpoint.start is not None:
            checks = own_model_checks(spec)
            ready = all(check.state != "fail" for check in checks)
            live = [self._call(target)[0]] if self._live and ready else []
            return _section(subject, None, [*checks, *live])
        key, sendable = key_check(subject)
        checks = self._asked(subject, target) if sendable else self._unasked(target)
        drill = self._asker.drill
        if drill is not None and drill.fault(spec.name) is not None:
            checks = [replace(each, todo=_REHEARSED) if each.state in ("warn", "fail") else each for each in checks]
        return _section(subject, target.endpoint, [key, *checks, *self._grants(subject)])

    def _grants(self, subject: Subject) -> list[Check]:
        return list(grant_checks(subject.spec.name, subject.own.grants, self._spent))

    def _unasked(self, target: Target) -> list[Check]:
        """With a key that is not sent, all that can be told is whether somebody is there."""
        return self._way(target, self._asker.knock(target, self._by()))

    def _by(self) -> float:
        return monotonic() + self._seconds

    def _way(self, target: Target, heard: Heard) -> list[Check]:
        checks = [proxy_check(target.endpoint, heard), host_check(target, heard, self._asker.drill)]
        return [*checks, clock_check(target, heard)] if reached(heard) else checks

    def _asked(self, subject: Subject, target: Target) -> list[Check]:
        listing, by = model_list(subject.spec), self._by()
        heard = self._asker.get(target, listing.path, by) if listing is not None else self._asker.knock(target, by)
        checks = self._way(target, heard)
        if not reached(heard):
            return checks
        telling = listing is not None and not listing.open
        # where a list is no proof of a key, a refusal is one all the same
        evidence, further = [heard] if telling or _refused([heard]) else [], []
        if not _refused(evidence):
            further = self._further(subject, target, evidence, by)
        other = None
        # a list that refused the key wants one
        if self._live and (isinstance(heard.error, AuthInvalid) or (telling and _key_refused(evidence))):
            other = other_site(subject, self._asker, listing, self._places, self._by())
        site = site_check(subject, evidence, listed=listing is not None, other=other)
        # what a list tells is of no use to who may not ask
        models = [] if _refused(evidence) else model_checks(subject.targets, listing, heard)
        answered = {check.facts["model"] for check in further if check.name == "call" and check.state == "ok"}
        return [*checks, site, *(_proven(check, answered) for check in models), *further]

    def _further(self, subject: Subject, target: Target, evidence: list[Heard], by: float) -> list[Check]:
        """What is asked of who does not refuse the key: the balance, and one call. What they say of it is evidence."""
        checks = []
        balance = self._balance(target, by)
        if balance is not None:
            check, heard = balance
            checks.append(check)
            # a key that is good for models need not be good for this
            if heard.error is None or (not evidence and _refused([heard])):
                evidence.append(heard)
        if self._live and subject.targets and not _refused(evidence):
            check, heard = self._call(target)
            checks.append(check)
            if heard.error is None or _refused([heard]):
                evidence.append(heard)
        return checks

    def _balance(self, target: Target, by: float) -> tuple[Check, Heard] | None:
        """At the vendor's own host alone."""
        endpoint, site = target.endpoint, target.spec.sites.get(target.endpoint.site)
        spec = balance_spec(target.spec.balance, endpoint.site)
        if spec is None or site is None or not same_origin(endpoint.base_url, site.base_url):
            return None
        root = replace(endpoint, base_url=endpoint.origin, _address=None)
        heard = self._asker.get(moved(target, root), spec.path, by)
        return balance_check(spec, endpoint.site, heard), heard

    def _call(self, target: Target) -> tuple[Check, Heard]:
        """One tiny call of the first model."""
        heard = self._asker.chat(target)
        facts = {"model": target.model, "ms": round(heard.seconds * 1000)}
        if heard.error is not None:
            kind = type(heard.error).__name__
            said = f"{target.model}: {kind}: {heard.error.message}"
            return Check("call", "fail", said, todo_for(heard.error, target), facts | {"error": kind}), heard
        reply = heard.reply
        assert reply is not None
        usage = reply.usage
        facts |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        facts |= {"cost": str(reply.cost) if reply.cost is not None else None}
        said = f"{target.model} answered in {heard.seconds:.1f} s"
        if usage.input_tokens is not None or usage.output_tokens is not None:
            said += f", {usage.input_tokens or 0} tokens in, {usage.output_tokens or 0} out"
        said += f", for {reply.cost}" if reply.cost is not None else ""
        return Check("call", "ok", said, facts=facts), heard


def _key_refused(evidence: list[Heard]) -> bool:
    return any(isinstance(heard.error, AuthInvalid) for heard in evidence)


def _proven(check: Check, answered: set[str]) -> Check:
    """A model that has answered is there, whatever a list says."""
    if check.name != "model" or check.state == "ok" or check.facts["model"] not in answered:
        return check
    return replace(check, state="ok", said=f"{check.said}; but it answers", todo="")


def _refused(evidence: list[Heard]) -> bool:
    """Whether anybody said that this key, or this place, is not served."""
    return any(isinstance(heard.error, (AuthInvalid, RegionBlocked)) for heard in evidence)


def _section(subject: Subject, endpoint: Endpoint | None, checks: list[Check]) -> Section:
    spec = subject.spec
    site, url = ("", "") if endpoint is None else (endpoint.site, endpoint.base_url)
    return Section(spec.name, spec.title, site, url, tuple(checks))
