"""
Makes a plan: the call itself is gone through, by the code that makes calls, with nobody at the other end.

Whoever would be asked is taken to fail, so that the next one is come to. Health is only looked at, reservations are
only asked about, and what would be sent ends here.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeAlias

from ._allowances import Held, Refused, Reserve
from ._attempt import Failed, Prepared, prepared
from ._balancing import chosen_by
from ._call import Call
from ._continuation import Continuation
from ._decision import Failure, Try
from ._errors import LLMSwitchError, ServerError
from ._events import StreamReset
from ._exchange import Course
from ._health import Health
from ._hooks import Hooks
from ._onlooker import Onlooker
from ._operation import Reply
from ._plan import Plan, PlannedSpend, PlannedTarget
from ._reply import Attempt, Cost, Usage
from ._request import ChatRequest
from ._shared_sessions import Recall
from ._token_ratios import TokenRatios
from ._wire import Action, Outcome, Sleep

__all__ = ["Planning", "planned"]

Look: TypeAlias = "Reserve | Recall"
Planning: TypeAlias = Generator[Look, Held | Refused | None, Plan]

_LIKELIEST = 0.5  # what is drawn in a plan: the order that a call has the most often


def planned(call: Call, names: tuple[str, ...]) -> Planning:
    """The plan of a call, to whose chain these names led. It yields what is to be asked of a store."""
    rehearsal = _Rehearsal(call)
    error = yield from rehearsal.run()
    return rehearsal.plan(names, error)


class _Rehearsal:
    """A call that is gone through and not made; what is found out on the way goes by the number of the target."""

    def __init__(self, call: Call) -> None:
        assert isinstance(call.health, Health)
        self._health, self._ratios = call.health, call.ratios or TokenRatios()
        policy = call.chain.policy._replace(hedge=False)
        looks = Onlooker(call.health)
        chain = call.chain._replace(policy=policy)
        call = replace(call, chain=chain, health=looks, hooks=Hooks(), chance=lambda: _LIKELIEST)
        self._course = Course(call, self._ask)
        self._call = self._course.call
        self._steps: dict[int, Try] = {}
        self._spends: dict[int, list[PlannedSpend]] = {}
        self._again: dict[int, float] = {}
        self._end: int | None = None  # where the call ends, whoever else there is

    def run(self) -> Generator[Look, Held | Refused | None, LLMSwitchError | None]:
        """Go through it. What the call would raise where nobody answers; `None` where it would wait for somebody."""
        steps, outcome = self._course.run(), None
        try:
            while True:
                action = steps.send(outcome)
                outcome = None  # who waits for room finds none
                if isinstance(action, Reserve):
                    outcome = yield from self._look(action)
                elif isinstance(action, Recall):
                    yield action.looking()
                elif isinstance(action, Sleep):
                    assert self._course.history.resume is not None
                    self._again[self._course.history.resume] = action.seconds
                    return None
        except LLMSwitchError as error:
            return error
        finally:
            steps.close()

    def _look(self, action: Reserve) -> Generator[Look, Held | Refused | None, Held | Refused]:
        """Whether there is room for it, in place of taking that."""
        came = yield action.looking()
        assert came is not None
        spends = [PlannedSpend(amount, state) for amount, state in action.spends()]
        if isinstance(came, Held) or not all(spend.allowance.kind == "grant" for spend in spends):
            self._spends.setdefault(self._course.history.position, []).extend(spends)
        return came

    def _ask(
        self,
        call: Call,
        step: Try,
        attempt: Attempt,  # noqa: ARG002 - as `attempt_once`
        deadline: float,  # noqa: ARG002
        taken_up: StreamReset | Continuation | None,
        visit: str,
    ) -> Generator[Action, Outcome, Reply | Failed]:
        """In place of asking: suppose that it fails, so that the next one is come to."""
        yield from ()
        ready = prepared(call, step, taken_up, visit)
        if isinstance(ready, Failed):
            self._end = step.target if ready.final else None
            return ready
        self._steps[step.target] = step
        return Failed(ServerError("supposed"), neutral=True, retry_same=False)

    def plan(self, names: tuple[str, ...], error: LLMSwitchError | None) -> Plan:
        """What was found."""
        call, history = self._call, self._course.history
        met: dict[int, tuple[Failure, Attempt]] = {}
        for failure, attempt in zip(history.failures, self._course.trail, strict=True):
            if failure.target not in met:
                met[failure.target] = failure, attempt
            elif failure.tried:
                self._again[failure.target] = 0.0
        order = [*met, *(number for number in range(len(call.chain.targets)) if number not in met)]
        targets = tuple(
            self._target(position, number, *met.get(number, (None, None))) for position, number in enumerate(order, 1)
        )
        nobody = error is not None and not self._steps
        return Plan(
            chain=call.chain.name,
            names=names,
            stream=call.stream,
            seconds=round(history.deadline - history.started, 3),
            targets=targets,
            left_out=dict(call.chain.left_out),
            tags=call.tags,
            error=type(error).__name__ if nobody else None,
            message=str(error) if nobody else None,
            drill=call.drill,
        )

    def _target(self, position: int, number: int, failure: Failure | None, attempt: Attempt | None) -> PlannedTarget:
        call, target = self._call, self._call.chain.targets[number]
        able, price = target.adapter.capabilities, target.price
        request = call.request.overridden(target.settings)
        assert isinstance(request, ChatRequest)
        most = call.operation.most(request, able)
        estimate = self._ratios.estimate(target.provider, target.model, request)
        step = self._steps.get(number) if failure is not None and failure.tried else None
        ready = prepared(call, step or Try(number, "first", self._course.history.deadline))
        fine = ready if isinstance(ready, Prepared) else None
        skipped = "the call ends before it comes here" if attempt is None else attempt.skipped_because
        return PlannedTarget(
            position=position,
            target=target.name,
            dialect=target.dialect,
            site=target.endpoint.site,
            jurisdiction=target.endpoint.jurisdiction,
            would_try=step is not None,
            skipped_because=skipped,
            error=attempt.error if attempt is not None and skipped is not None else None,
            again_in=self._again.get(number),
            chosen_by=chosen_by(call, target) if call.chain.groups else None,
            ends_call=number == self._end,
            lacks=ready.error.message if isinstance(ready, Failed) else None,
            changes=tuple(fine.warnings) if fine is not None else (),
            input=estimate,
            most_input=most.input_tokens,
            most_output=most.output_tokens,
            window=able.context,
            max_output=able.max_output,
            price_input=target.cost(Usage(estimate.input_tokens, 0)),
            price_most=None
            if price is None
            else Cost(price.most(most.input_tokens, most.output_tokens), price.currency),
            price_checked=None if price is None else price.checked,
            grant=attempt.grant if attempt is not None else None,
            reserves=tuple(self._spends.get(number, ())),
            own=target.endpoint.own,
            health=self._health.show([target])[0],
            seconds=None if step is None else round(step.deadline - self._course.history.started, 3),
            first_token=None if fine is None else fine.first,
            idle=None if fine is None else fine.idle,
        )
