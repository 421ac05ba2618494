"""What was found: named checks, each with a state, a sentence and what to do; as records, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from llmswitch._scrub import scrub

__all__ = ["STATES", "Check", "Report", "Section", "State"]

# The best first. What was skipped says nothing, good or bad.
State: TypeAlias = Literal["skipped", "ok", "warn", "fail"]
STATES: tuple[State, ...] = ("skipped", "ok", "warn", "fail")


@dataclass(slots=True, frozen=True)
class Check:
    """
    One line of the table. `said`: what was found. `todo`: what to do about it, empty where there is nothing. `facts`:
    the same in values, for programs. No key that this process has loaded is in any of its texts.
    """

    name: str
    state: State
    said: str
    todo: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", scrub(self.said))
        object.__setattr__(self, "todo", scrub(self.todo))

    def as_json(self) -> dict[str, Any]:
        """As it stands in the report."""
        return {
            "name": self.name,
            "state": self.state,
            "message": self.said,
            "todo": self.todo,
            "facts": _scrubbed(dict(self.facts)),
        }


@dataclass(slots=True, frozen=True)
class Section:
    """The checks of one provider. `site` and `base_url` are empty where they could not be told."""

    provider: str
    title: str
    site: str
    base_url: str
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        """As it stands in the report."""
        return {
            "provider": self.provider,
            "title": self.title,
            "site": self.site,
            "base_url": self.base_url,
            "state": worst(self.checks),
            "checks": [check.as_json() for check in self.checks],
        }


@dataclass(slots=True, frozen=True)
class Report:
    """All of it. `live`: whether calls were made that may cost something."""

    version: str
    live: bool
    machine: tuple[Check, ...]
    providers: tuple[Section, ...]

    @property
    def checks(self) -> list[Check]:
        """Every line."""
        return [*self.machine, *(check for section in self.providers for check in section.checks)]

    @property
    def state(self) -> State:
        """The worst state of any line."""
        return worst(self.checks)

    def count(self, state: State) -> int:
        """How many lines are in that state."""
        return sum(check.state == state for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The whole report. `schema` changes where a program that reads it would have to."""
        return {
            "schema": 1,
            "llmswitch": self.version,
            "live": self.live,
            "state": self.state,
            "counts": {state: self.count(state) for state in STATES},
            "machine": [check.as_json() for check in self.machine],
            "providers": [section.as_json() for section in self.providers],
        }


def worst(checks: Iterable[Check]) -> State:
    """The worst state among these; `ok` where there are none."""
    return max((check.state for check in checks), key=STATES.index, default="ok")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {name: _scrubbed(each) for name, each in value.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, (list, tuple)) else value
