"""Cool-downs: for how long a declared fact (a rate limit, no money, a wrong key) keeps calls away from its scope."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["SCOPES", "Cooldown", "CooldownRule", "Scope", "begin"]

Scope: TypeAlias = Literal["endpoint", "account", "target"]
SCOPES: tuple[Scope, ...] = ("endpoint", "account", "target")


class CooldownRule(NamedTuple):
    """
    How an error cools its scopes; seconds. The vendor's own wait counts where it gave one; else `first`, doubling
    with each time in a row where `doubles`, at most `longest`. `transient`: it passes by itself, so that it may be
    waited for, and forced where nobody else is left.
    """

    scopes: tuple[Scope, ...]
    first: float
    longest: float
    doubles: bool = False
    transient: bool = False


@dataclass(slots=True)
class Cooldown:
    """One scope that is out, until `until` (monotonic seconds). `times`: how often in a row."""

    until: float
    reason: str
    transient: bool
    times: int = 1

    def over(self, now: float) -> bool:
        """Whether calls may pass again."""
        return now >= self.until


def begin(
    rule: CooldownRule,
    reason: str,
    before: Cooldown | None,
    retry_after: float | None,
    now: float,
    random: Callable[[], float],
) -> Cooldown:
    """The cool-down that an error begins, after the one that the scope had before. It never ends earlier than that."""
    same = before is not None and before.reason == reason
    # Calls that began before the scope went out fail one after another: that is one time, not many.
    times = 1 if before is None or not same else before.times + (1 if before.over(now) else 0)
    if retry_after is not None:
        seconds = retry_after
    else:
        seconds = min(rule.first * (2 ** min(times - 1, 30) if rule.doubles else 1), rule.longest)
        seconds *= 1 + 0.1 * random()
    until = now + seconds
    if before is not None and before.until > until:
        if before.transient and not rule.transient:  # what does not pass by itself is the one to name
            return Cooldown(before.until, reason, transient=False, times=times)
        return Cooldown(before.until, before.reason, before.transient, max(times, before.times))
    if before is not None and rule.transient and not before.transient and not before.over(now):
        return Cooldown(until, before.reason, transient=False, times=before.times)
    return Cooldown(until, reason, rule.transient, times)
