"""The health of targets for somebody who only looks: who would be asked now, with nothing changed by asking."""

from __future__ import annotations

from collections.abc import Sequence

from ._bulkhead import Turn
from ._errors import LLMSwitchError
from ._health import Health
from ._standing import Admission, Refusal, Standing
from ._target import Target

__all__ = ["Onlooker"]


class Onlooker:
    """
    Stands in for `Health` in a call that is not made. It answers as that does, from the same facts; no leave is taken,
    no probe is begun, and nothing is learnt from what comes of the call.
    """

    def __init__(self, health: Health) -> None:
        self._health = health

    def refusal(self, target: Target) -> Refusal | None:
        """`Health.refusal`."""
        return self._health.refusal(target)

    def standings(self, targets: Sequence[Target], *, stream: bool) -> list[Standing]:
        """`Health.standings`."""
        return self._health.standings(targets, stream=stream)

    def admit(
        self,
        target: Target,
        limit: float,  # noqa: ARG002 - as `Health`
        *,
        forced: bool = False,
        turn: Turn | None = None,  # noqa: ARG002
    ) -> Admission | Refusal:
        """What `Health.admit` would say."""
        refused = self._health.refusal(target, forced=forced)
        return refused or Admission(target, before=self._health.breaker_state(target), open=False)

    def wait(self, target: Target) -> Turn:  # noqa: ARG002
        """A place in no queue."""
        return Turn()

    def give_up(self, target: Target, turn: Turn) -> None:
        """Nothing is given up."""

    def breaker_state(self, target: Target) -> str:
        """`Health.breaker_state`."""
        return self._health.breaker_state(target)

    def can_repeat(self, target: Target, *, throttled: bool) -> bool:
        """`Health.can_repeat`."""
        return self._health.can_repeat(target, throttled=throttled)

    def repeat(self, target: Target, *, throttled: bool) -> float:  # noqa: ARG002
        """Nothing is paid."""
        return 0.0

    def usual(self, target: Target, *, stream: bool) -> float | None:
        """`Health.usual`."""
        return self._health.usual(target, stream=stream)

    def take_hedge(self, chain: object, other: Target) -> bool:  # noqa: ARG002
        """Nobody is asked beside another."""
        return False

    def succeeded(self, admission: Admission, *, stream: bool = False, seconds: float | None = None) -> None:
        """Nothing is learnt."""

    def failed(self, admission: Admission, error: LLMSwitchError, *, stream: bool = False) -> None:
        """Nothing is learnt."""

    def outrun(self, admission: Admission, seconds: float, *, stream: bool) -> None:
        """Nothing is learnt."""

    def released(self, admission: Admission) -> None:
        """There was nothing to hand back."""
