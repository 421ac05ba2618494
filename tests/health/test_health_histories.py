"""Random histories of several targets that share hosts and accounts, against a log that is judged anew each time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from llmswitch import _errors
from llmswitch._errors import LLMSwitchError
from llmswitch._health import Admission, Health, Refusal
from llmswitch._target import Target
from tests.everyday import many
from tests.health.models import COOLS, COUNTS, Cooling, Event, Said, Verdict, judge_breaker, judge_cooldown
from tests.health.virtual import Clock, targets

TARGETS = targets("a-x:one", "a-x:two", "a-y:one", "b-x:one")
SCOPES = ("endpoint", "account", "target")
BULKHEAD = 6
_KINDS = (
    "ConnectFailed",
    "ServerError",
    "Overloaded",
    "BadRequest",
    "RateLimited",
    "Arrears",
    "AuthInvalid",
    "RegionBlocked",
)


@dataclass(frozen=True)
class Held:
    """A call under way."""

    number: int
    admission: Admission


class HealthMachine(RuleBasedStateMachine):
    """Calls to four targets that begin and end in any order; what may be asked is worked out from the log."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.health = Health(clock=self.clock, chance=lambda: 0.5, bulkhead=BULKHEAD)
        self.breakers: dict[str, list[Event]] = {}
        self.cooldowns: dict[str, list[Said]] = {}
        self.facts: dict[str, float] = {}  # until when a scope is out by what must never be overruled
        self.in_flight: dict[Target, int] = dict.fromkeys(TARGETS, 0)
        self.forced: dict[Target, float] = {}
        self.isolated: set[Target] = set()
        self.numbers = 0

    # What the log says

    def keys(self, target: Target) -> list[str]:
        return [target.scope("endpoint"), target.scope("target")]

    def verdicts(self, target: Target) -> list[Verdict]:
        return [judge_breaker(self.breakers.get(key, []), self.clock.now) for key in self.keys(target)]

    def cooling(self, target: Target) -> list[Cooling]:
        found = [judge_cooldown(self.cooldowns.get(_scope(target, scope), [])) for scope in SCOPES]
        return [each for each in found if each is not None and self.clock.now < each.until]

    def out_by_a_fact(self, target: Target) -> bool:
        return any(self.clock.now < self.facts.get(_scope(target, scope), 0.0) for scope in SCOPES)

    def kind(self, target: Target) -> str | None:
        """Why it must be refused."""
        if target in self.isolated:
            return "open"
        if self.cooling(target):
            return "cooling"
        if not all(verdict.may_pass for verdict in self.verdicts(target)):
            return "open"
        return "busy" if self.in_flight[target] >= BULKHEAD else None

    # What happens

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 5.0, 6.0, 30.0, 61.0, 700.0, 2000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.tick(seconds)

    @rule(which=st.integers(0, 3))
    def wait_until_it_comes_back(self, which: int) -> None:
        refusal = self.health.refusal(TARGETS[which])
        if refusal is not None and self.clock.now < refusal.until < 1e9:
            self.clock.now = refusal.until

    @rule(target=held, which=st.integers(0, 3), limit=st.sampled_from([1.0, 30.0]))
    def ask(self, which: int, limit: float) -> Held | MultipleResults[Held]:
        asked = TARGETS[which]
        why = self.kind(asked)
        seen = self.health.refusal(asked)
        answer = self.health.admit(asked, limit)
        assert why == (answer.kind if isinstance(answer, Refusal) else None)
        assert why == (seen.kind if seen is not None else None)
        if isinstance(answer, Refusal):
            if answer.kind == "cooling":
                assert pytest.approx(max(each.until for each in self.cooling(asked))) == answer.until
            return multiple()
        return self._admitted(asked, answer, limit)

    @rule(target=held, which=st.integers(0, 3))
    def force(self, which: int) -> Held | MultipleResults[Held]:
        """Nobody else is left to be asked."""
        asked = TARGETS[which]
        why, now = self.kind(asked), self.clock.now
        passing = [verdict.may_pass for verdict in self.verdicts(asked)]
        allowed = why is None or not (
            self.in_flight[asked] >= BULKHEAD
            or self.out_by_a_fact(asked)
            or asked in self.isolated
            or now - self.forced.get(asked, float("-inf")) < 1.0
        )
        answer = self.health.admit(asked, 1.0, forced=True)
        assert allowed == isinstance(answer, Admission)
        if isinstance(answer, Refusal):
            return multiple()
        if why is not None:
            self.forced[asked] = now
        return self._admitted(asked, answer, 1.0, passing)

    def _admitted(self, asked: Target, admission: Admission, limit: float, passing: list[bool] | None = None) -> Held:
        self.numbers += 1
        self.in_flight[asked] += 1
        for key, passes in zip(self.keys(asked), passing or [True, True], strict=True):
            self._log(key, "ask" if passes else "force", self.numbers, limit)
        return Held(self.numbers, admission)

    def _log(self, key: str, what: str, call: int = 0, limit: float = 0.0) -> None:
        self.breakers.setdefault(key, []).append(Event(self.clock.now, what, call, limit))

    @rule(call=consumes(held))
    def succeed(self, call: Held) -> None:
        target = call.admission.target
        self.health.succeeded(call.admission)
        self.in_flight[target] -= 1
        for key in self.keys(target):
            self._log(key, "succeed", call.number)
        for scope in SCOPES:
            self.cooldowns.setdefault(_scope(target, scope), []).append(Said(self.clock.now, ""))

    @rule(call=consumes(held), name=st.sampled_from(_KINDS), retry_after=st.sampled_from([None, None, 2.0, 40.0]))
    def fail(self, call: Held, name: str, retry_after: float | None) -> None:
        target, now = call.admission.target, self.clock.now
        self.health.failed(call.admission, _error(name, retry_after))
        self.in_flight[target] -= 1
        for scope, key in zip(("endpoint", "target"), self.keys(target), strict=True):
            self._log(key, "fail" if COUNTS.get(name) == scope else "release", call.number)
        scopes, first, _, passes = COOLS.get(name, ("", 0.0, 0.0, True))
        for each in scopes.split():
            key = _scope(target, each)
            self.cooldowns.setdefault(key, []).append(Said(now, name, retry_after, 0.5))
            found = judge_cooldown(self.cooldowns[key])
            if not passes and found is not None:
                at_least = now + (first if retry_after is None else retry_after)
                self.facts[key] = max(self.facts.get(key, 0.0), found.until if found.name == name else at_least)

    @rule(which=st.integers(0, 3), times=st.integers(3, 6), name=st.sampled_from(["ConnectFailed", "ServerError"]))
    def fail_in_a_row(self, which: int, times: int, name: str) -> None:
        """Long rows are rare by chance."""
        for _ in range(times):
            call = self.ask(which, 1.0)
            if isinstance(call, Held):
                self.fail(call, name, None)

    @rule(call=consumes(held), twice=st.booleans())
    def release(self, call: Held, twice: bool) -> None:
        self.health.released(call.admission)
        if twice:
            self.health.succeeded(call.admission)
            self.health.failed(call.admission, _error("Arrears", None))
        self.in_flight[call.admission.target] -= 1
        for key in self.keys(call.admission.target):
            self._log(key, "release", call.number)

    @rule(which=st.integers(0, 3), how=st.sampled_from(["isolate", "disable", "reset"]), really=st.integers(0, 3))
    def by_hand(self, which: int, how: str, really: int) -> None:
        if really:
            return
        target = TARGETS[which]
        getattr(self.health, how)(target)
        if how != "reset":
            self._log(target.scope("target"), how)
            self.isolated = self.isolated | {target} if how == "isolate" else self.isolated - {target}
            return
        self.isolated.discard(target)
        for key in self.keys(target):
            self._log(key, "reset")
        for scope in SCOPES:
            self.cooldowns.pop(_scope(target, scope), None)
            self.facts.pop(_scope(target, scope), None)

    # What always holds

    @invariant()
    def the_books_are_right(self) -> None:
        for target, shown in zip(TARGETS, self.health.show(TARGETS), strict=True):
            assert self.in_flight[target] == shown.in_flight
            states = [verdict.state for verdict in self.verdicts(target)]
            if "isolated" in states:  # by hand goes before everything
                assert "isolated" == shown.state
            elif self.cooling(target):
                assert "cooling" == shown.state
            else:
                assert shown.state == next(
                    (each for each in ("isolated", "open", "half_open", "disabled") if each in states), "ok"
                )

    def teardown(self) -> None:
        """Nobody speaks of the calls that are left, and in time every target may be asked again."""
        for target in self.isolated:
            self.health.reset(target)
        for _ in range(3):
            self.clock.tick(400.0 + 7 * 3600.0)
            for target in TARGETS:
                if self.in_flight[target] < BULKHEAD:
                    admission = self.health.admit(target, 1.0)
                    assert isinstance(admission, Admission)
                    self.health.released(admission)


def _scope(target: Target, scope: str) -> str:
    return target.scope(scope)  # type: ignore[arg-type]


def _error(name: str, retry_after: float | None) -> LLMSwitchError:
    made: LLMSwitchError = getattr(_errors, name)("made up")
    made.retry_after = retry_after
    return made


HealthMachine.TestCase.settings = settings(max_examples=many(7), stateful_step_count=40, deadline=None)
TestHealthHistories = HealthMachine.TestCase


class _Long(HealthMachine):
    pass


_Long.TestCase.settings = settings(max_examples=many(250), stateful_step_count=50, deadline=None)
TestManyHealthHistories = pytest.mark.slow(_Long.TestCase)
