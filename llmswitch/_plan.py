"""What a call would do, as `client.explain()` says it: who would be asked, in which order, and why the others not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from ._allowance_state import AllowanceState
from ._counting import TokenCount
from ._health import TargetHealth
from ._reply import ChatWarning, Cost

__all__ = ["Plan", "PlannedSpend", "PlannedTarget", "in_short"]


@dataclass(slots=True, frozen=True)
class PlannedSpend:
    """How much would be reserved of a limit, a budget or a grant, in its unit, and how it stands."""

    amount: Decimal
    allowance: AllowanceState


@dataclass(slots=True, frozen=True)
class PlannedTarget:
    """
    One target of a plan. `position` counts from 1, in the order in which the call would come to it.

    `skipped_because`: why it would be passed over, in the words of the trail of attempts; `error` is the class that
    stands for it there. `again_in`: it would be passed over at first, and asked after so many seconds all the same if
    nobody else answers. `ends_call`: the call would end here with that error, since it would be the same everywhere.
    `chosen_by`: what put it into its place among the members of a group: the group's rule, or `session`.

    `lacks`: what it can't do of the request, whatever else is in the way; `changes`: what would be changed of the
    request, or left out, for this target. `input`: tokens of the request, as far as that can be told without asking;
    `most_input` and `most_output` are what is reserved. `window` and `max_output`: tokens; `None` where not known.

    `price_input`: of the estimated input, now; `price_most`: what the attempt may cost at the most; `price_checked`: of
    which day the price is; `own`: a server of your own, which nobody bills. `grant`: the free tokens that it would be
    made from. `reserves`: what would be reserved, or what there is no room for.

    `seconds`: for the whole attempt, where it would be tried at once; `first_token`, `idle`: to the first word, and
    between words, of a stream.
    """

    position: int
    target: str
    dialect: str
    site: str
    jurisdiction: str
    would_try: bool
    skipped_because: str | None
    error: str | None
    again_in: float | None
    chosen_by: str | None
    ends_call: bool
    lacks: str | None
    changes: tuple[ChatWarning, ...]
    input: TokenCount
    most_input: int
    most_output: int
    window: int | None
    max_output: int | None
    price_input: Cost | None
    price_most: Cost | None
    price_checked: date | None
    grant: str | None
    reserves: tuple[PlannedSpend, ...]
    own: bool
    health: TargetHealth
    seconds: float | None
    first_token: float | None
    idle: float | None

    @property
    def fits(self) -> bool | None:
        """Whether the request fits the window; `None` where nobody can tell."""
        if self.window is None or self.input.low <= self.window < self.input.high:
            return None
        return self.input.high <= self.window

    def __str__(self) -> str:
        return "\n   ".join([f"{self.position}. {self.target}: {self.said}", *self.notes])

    @property
    def said(self) -> str:
        """What would become of it, on one line."""
        if self.would_try:
            return "would be asked"
        if self.ends_call:
            return f"the call ends here, {self.error}: {self.skipped_because}"
        later = {None: "", 0.0: "; asked all the same if nobody else answers"}
        after = later.get(self.again_in, f"; asked in {self.again_in or 0:.0f} s if nobody else answers")
        return f"skipped, {self.error}: {self.skipped_because}{after}" if self.error else f"{self.skipped_because}"

    @property
    def notes(self) -> list[str]:
        """What else there is to know, a line for each."""
        known = self.input
        notes = [
            f"by {self.dialect}, site {self.site}, data goes to: {self.jurisdiction}",
            f"about {known.input_tokens} tokens in ({known.low} to {known.high}), at most {self.most_output} out",
        ]
        if self.price_most is not None:
            notes.append(f"at most {in_short(self.price_most)}, by the prices of {self.price_checked}")
        return [*notes, *self.doubts]

    @property
    def doubts(self) -> list[str]:
        """What of these is no number: who pays, what is reserved, what would be changed, what stands in the way."""
        said = []
        if self.fits is not True and self.window is not None:
            sure = "is too long for" if self.fits is False else "may be too long for"
            said.append(f"the request {sure} its window of {self.window} tokens")
        if self.chosen_by is not None:
            said.append(f"its place in its group is by: {self.chosen_by}")
        if self.grant is not None:
            said.append(f"paid from {self.grant}")
        said += [_needed(each) for each in self.reserves if self.skipped_because is None]
        said += [each.message for each in self.changes]
        if self.lacks is not None and self.lacks != self.skipped_because:
            said.append(f"it could not do it anyway: {self.lacks}")
        return said


@dataclass(slots=True, frozen=True)
class Plan:
    """
    What `chat()` or `stream()` would do now with the same arguments. Nothing was sent or reserved.

    `chain`: its name; `names`: those that led to it, an alias among them. `seconds`: for the whole call. `targets` are
    in the order in which the call would come to them, were each of them to fail; `left_out` are those that the chain
    names and never asks, each with the reason. `error` and `message`: what the call would raise where it would ask
    nobody. `drill`: the outage that is rehearsed, in words: the plan is made as if there were none.
    """

    chain: str
    names: tuple[str, ...]
    stream: bool
    seconds: float
    targets: tuple[PlannedTarget, ...]
    left_out: Mapping[str, str]
    tags: tuple[str, ...] = ()
    error: str | None = None
    message: str | None = None
    drill: str | None = None

    @property
    def first(self) -> PlannedTarget | None:
        """Who would be asked first; `None` where nobody would be."""
        at_once = next((target for target in self.targets if target.would_try), None)
        later = (target for target in self.targets if target.again_in is not None)
        return at_once or min(later, key=lambda target: target.again_in or 0.0, default=None)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it: amounts of money are text, to stay exact, and so are dates."""
        plain: dict[str, Any] = _plain(self)
        plain["first"] = self.first.target if self.first is not None else None
        return plain

    @property
    def heading(self) -> str:
        """The chain, and what holds for the whole call."""
        way = f" (by {' -> '.join(self.names)})" if len(self.names) > 1 else ""
        drill = f"; a drill is on, which is not played here: {self.drill}" if self.drill else ""
        return f"chain {self.chain}{way}: at most {self.seconds:g} s for the whole call{drill}"

    def __str__(self) -> str:
        left_out = [f"left out: {name}: {why}" for name, why in self.left_out.items()]
        end = [f"{self.error}: {self.message}"] if self.error else []
        return "\n".join([self.heading, *map(str, self.targets), *left_out, *end])


def in_short(cost: Cost) -> str:
    """An amount of money to three digits, as an estimate deserves."""
    return f"{Decimal(f'{cost.amount:.3g}'):f} {cost.currency}"


def _needed(spend: PlannedSpend) -> str:
    own = spend.allowance
    left = "what is left of it is not known" if own.left is None else f"{own.left:,f} left"
    unit = own.unit.removesuffix("s") if spend.amount == 1 else own.unit
    return f"needs {spend.amount.normalize():,f} {unit} of {own.label}: {left}"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):  # or a moment
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
