"""Whether the models of the chains are in the vendor's list, and how long they will be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from llmswitch import _errors
from llmswitch._catalog import find_model, today
from llmswitch._equivalents import equivalents
from llmswitch._nearest import nearest
from llmswitch._provider import ModelList
from llmswitch._registry import provider_names
from llmswitch._target import Target

from .asking import Heard
from .report import Check

__all__ = ["listed_names", "model_checks", "pointed"]

_SOON = timedelta(days=60)
_NEAREST = 3


def pointed(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to, the whole by an empty one; `None` where it leads nowhere."""
    for step in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def listed_names(body: Any, listing: ModelList) -> set[str] | None:
    """The names in a list of models; `None` where this is no such list."""
    items = body if isinstance(body, list) else pointed(body, listing.items)
    if not isinstance(items, list):
        return None
    found = [entry.get(field) for entry in items if isinstance(entry, dict) for field in listing.names]
    return {name.removeprefix(listing.trim) for name in found if isinstance(name, str)}


def model_checks(targets: list[Target], listing: ModelList | None, heard: Heard) -> Iterator[Check]:
    """A line for each model: whether it is there, and one more where its end is known."""
    names = listed_names(heard.body, listing) if listing is not None and heard.error is None else None
    more = listing is not None and bool(listing.more) and bool(pointed(heard.body, f"/{listing.more}"))
    for target in targets:
        if listing is None:
            yield _unknown(target, "this vendor has no list of models")
        elif names is None:
            yield _unknown(target, _why_not(heard))
        else:
            yield _listed(target, names, whole=not (listing.partial or more))
        ending = _ending(target)
        if ending is not None:
            yield ending


def _unknown(target: Target, why: str) -> Check:
    return Check(
        "model", "skipped", f"{target.model}: {why}", "--live asks it", {"model": target.model, "listed": None}
    )


def _why_not(heard: Heard) -> str:
    if isinstance(heard.error, _errors.ModelGone):
        return "there is no list of models at this address"
    return "the list of models could not be had" if heard.error is not None else "what came is no list of models"


def _listed(target: Target, names: set[str], *, whole: bool) -> Check:
    model = target.model
    facts = {"model": model, "listed": True}
    if model in names or f"{model}:latest" in names:
        return Check("model", "ok", f"{model} is in the list of {len(names)}", facts=facts)
    facts["listed"] = False
    near = nearest(model, names)
    if target.endpoint.own or target.spec.key == "none":
        served = f"; it has: {', '.join(sorted(names)[:5])}" if names and not near else ""
        return Check("model", "fail", f"{model} is not on this server{near}{served}", _fetch(target), facts)
    if whole and not _in_catalog(target):
        said = f"{model} is not in the vendor's list of {len(names)}{near}"
        return Check("model", "fail", said, "put the name right in the chain; --live asks it all the same", facts)
    why = "it may be another name for one, or not open to this account" if whole else "the list need not hold all"
    said = f"{model} is not in the vendor's list of {len(names)}{near}; {why}"
    return Check("model", "warn", said, "--live asks it", facts)


def _fetch(target: Target) -> str:
    """What the vendor's file says to do about a model that is not there."""
    hints = [rule.hint for rule in target.spec.errors if rule.becomes == "ModelGone" and rule.hint]
    return hints[0] if hints else "load it there, or put the name right in the chain"


def _in_catalog(target: Target) -> bool:
    return target.provider in provider_names() and find_model(f"{target.provider}:{target.model}").listed


def _ending(target: Target) -> Check | None:
    """A line on the day from which a model is no longer served, where that is near or past."""
    last = target.spec.retires(target.model)
    if last is None or last - today() > _SOON:
        return None
    over = last <= today()
    facts = {"model": target.model, "retires": str(last)}
    near: list[str] = []
    if target.provider in provider_names():
        asked = f"{target.provider}:{target.model}"
        near = [one.target for one in equivalents(asked, jurisdictions=None)][:_NEAREST]
    said = f"{target.model} {'has not been served since' if over else 'is served until'} {last}"
    instead = (
        f"put another one in its place; the nearest elsewhere: {', '.join(near)}" if near else "choose another model"
    )
    return Check("retirement", "warn", said, instead, facts)
