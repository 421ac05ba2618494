"""What an attempt reserves before it is sent, and what becomes of that when it has come to something."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from . import _errors
from ._allowances import Allowances, Held, Refused
from ._attempt import Failed, classified
from ._call import Call
from ._decision import Try
from ._operation import Reply
from ._reply import Attempt, Cost, Usage
from ._target import Target
from ._wire import Action, Outcome

__all__ = ["Spending", "reserve"]

# Nothing was sent.
_FREE = (_errors.ConnectFailed, _errors.TLSInvalid, _errors.LocalOverload, _errors.StaleConnection)


@dataclass(slots=True)
class Spending:
    """What one attempt holds of grants, limits and budgets."""

    target: Target
    held: list[Held] = field(default_factory=list)
    granted: bool = False

    def release(self) -> None:
        """Nothing was sent."""
        for each in self.held:
            each.release()

    def settle(self, attempt: Attempt, outcome: Reply | Failed | None) -> None:
        """Charge what the attempt came to; `None`: it was left before it came to anything."""
        failed = outcome if isinstance(outcome, Failed) else None
        reply = None if isinstance(outcome, Failed) else outcome
        usage = reply.usage if reply is not None else attempt.usage
        unsent = failed is not None and (not failed.tried or isinstance(classified(failed.error), _FREE))
        refused = failed is not None and not failed.final and (attempt.status or 0) >= 300
        for each in self.held:
            if unsent:
                each.release()
            else:
                each.settle(Usage(0, 0) if refused and usage is None else usage)
        if self.granted and reply is not None and reply.cost is not None:
            reply.cost = attempt.cost = Cost(reply.cost.amount * 0, reply.cost.currency)


def reserve(
    call: Call, step: Try, attempt: Attempt, allowances: Allowances
) -> Generator[Action, Outcome, Spending | Failed]:
    """Reserve what the attempt may come to. Where there is no room for it the target is passed over."""
    target, grants = call.chain.targets[step.target], call.grants
    spending = Spending(target)
    request = call.request.overridden(target.settings)
    spend, seconds = call.operation.most(request, target.adapter.capabilities), max(0.0, step.deadline - call.clock())
    if grants:
        for label, wanted in grants.reserves(target, spend, seconds):
            came = yield wanted
            if isinstance(came, Held):
                spending.held.append(came)
                spending.granted, attempt.grant = True, label
                break
        stopped = None if spending.granted else grants.stopped(target)
        if stopped is not None:
            return Failed(stopped, tried=False)
    plan = allowances.plan(target, spend, chain=call.chain.name, tags=call.tags, seconds=seconds, free=spending.granted)
    if plan is not None:
        try:
            came = yield plan
        except BaseException:
            spending.release()
            raise
        if isinstance(came, Refused):
            spending.release()
            error = came.error(target)
            until = call.clock() + came.seconds if came.seconds is not None else None
            return Failed(error, tried=False, until=until if isinstance(error, _errors.RateLimited) else None)
        assert isinstance(came, Held)
        spending.held.append(came)
    return spending
