"""
One call through a chain, written once as a generator: it yields what it wants done and is sent the outcome.

It never waits, so the sync and the async driver share all of it, and a test can play the network.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING
from uuid import uuid4

from ._admission import admitted
from ._attempt import Ask, Failed, attempt_once, classified
from ._bare import bare
from ._call import Call
from ._decision import GiveUp, History, Move, Try, Wait, decide
from ._errors import ContentFiltered, LLMSwitchError, RateLimited, StreamInterrupted
from ._events import StreamReset
from ._hooks import Watch
from ._operation import Reply
from ._policy import rule_for
from ._reply import Attempt, ChatWarning
from ._request import ChatRequest
from ._wire import Action, Exchange, Lane, Outcome, Race, Raced, Sleep

# What most calls do without is loaded by the first that does not: groups, hedges, answers that are gone on with.
if TYPE_CHECKING:
    from ._continuation import Continuation
    from ._hedging import Hedge
    from ._shared_sessions import Keep

__all__ = ["Call", "Course", "exchange"]


def exchange(call: Call) -> Exchange:
    """Ask the targets of the chain in turn until one answers. Raises what the decision gives up with."""
    watch = call.hooks.watch(call)  # asked here and not at the first step: a stream may be read in another context
    return _carried_out(Course(call)) if watch is None else _watched(call, watch)


def _watched(call: Call, watch: Watch) -> Exchange:
    """The call, with somebody told of its beginning and of its end, whichever way it ends."""
    course = Course(call)
    reply: Reply | None = None
    problem: BaseException | None = None
    call.hooks.began(watch)
    try:
        reply = yield from _carried_out(course)
        return reply
    except BaseException as error:
        problem = error
        raise
    finally:
        call.hooks.ended(watch, course.trail, reply, problem)
        problem = None  # or the error and this frame would hold each other


def _carried_out(course: Course) -> Exchange:
    """The call, which nobody is asked for where its answer is known."""
    cache, request = course.call.cache, course.call.request
    if cache is None or not isinstance(request, ChatRequest):
        return course.run()
    return cache.answered(request, course.run(), stream=course.call.stream)


class Course:
    """One call under way: what has happened so far, and what of it the caller has seen. `ask` asks a target once."""

    def __init__(self, call: Call, ask: Ask = attempt_once) -> None:
        self._ask = ask
        self.call = call
        self.trail: list[Attempt] = []
        self.interrupted: Failed | None = None
        self.onward: Continuation | None = None
        self.final: LLMSwitchError | None = None
        self._keep: Keep | None = None
        self._visits: dict[int, str] = {}

    def _begin(self) -> None:
        """The clock starts with the first step, not before: a stream may be asked for long before it is read."""
        call, started = self.call, self.call.clock()
        limit = call.timeout if call.timeout is not None else call.chain.policy.total_for(stream=call.stream)
        by = started + limit if call.by is None else min(started + limit, call.by)
        self.history = History((), started, by)

    def _line_up(self) -> None:
        """The targets in the order in which this call asks them."""
        call = self.call
        if (call.grants or call.chain.groups) and not call.lined_up:
            from ._balancing import ordered

            call.chain = call.chain._replace(targets=ordered(call))
        self.history.targets = [Move(target.name, target.adapter.capabilities.context) for target in call.chain.targets]

    def run(self) -> Exchange:
        self._begin()
        call, history = self.call, self.history
        if call.chain.groups and not call.lined_up:
            from ._balancing import recall

            asking = recall(call)
            if asking is not None:
                yield asking
        self._line_up()
        while self.final is None:
            step = decide(call.chain.policy, history, call.clock(), repeatable=self._repeatable())
            if isinstance(step, Wait):
                yield Sleep(step.seconds)
                continue
            if isinstance(step, GiveUp):
                # what the caller has of a broken answer is worth more than that nobody else could begin anew
                self.final = self.interrupted.error if self.interrupted is not None else step.error
                break
            beside = self._beside(step) if call.chain.policy.hedge else None
            attempt, lane = self._attempt(step)
            if beside is None:
                reply = self._settle(step, attempt, (yield from lane))
            else:
                reply = yield from self._race(step, attempt, lane, beside)
            if reply is not None:
                if self._keep is not None:
                    yield self._keep
                return reply
        raise bare(self.final, self.trail)

    def _beside(self, step: Try) -> Hedge | None:
        """What may be sent beside this step, if it is slow."""
        from ._hedging import hedge

        return hedge(self.call, self.history, step) if self.interrupted is None else None

    def _attempt(self, step: Try) -> tuple[Attempt, Lane]:
        """The attempt of a step, noted in the trail and ready to be carried out."""
        call, history, trail = self.call, self.history, self.trail
        target = call.chain.targets[step.target]
        last = history.failures[-1].error if history.failures else None
        kind = step.kind if self.onward is None else "continue"
        attempt = Attempt(len(trail), target.name, kind, call.clock(), target.scope_hashes)
        if call.chain.groups:
            from ._balancing import chosen_by

            attempt.chosen_by = chosen_by(call, target)
        if trail and trail[-1].target != attempt.target and last is not None and step.kind != "hedge":
            call.hooks.switched(trail[-1].target, attempt.target, last)
        trail.append(attempt)
        history.began(step)
        taken_up: StreamReset | Continuation | None = self.onward
        if taken_up is None and self.interrupted is not None:
            taken_up = _reset(self.interrupted.error, attempt.target)
        visit = self._visit(step) if target.endpoint.idempotency_header is not None else ""
        lane = admitted(
            call, step, attempt, history.deadline, after=last, taken_up=taken_up, visit=visit, ask=self._ask
        )
        return attempt, lane

    def _visit(self, step: Try) -> str:
        """The same for a request and its repetition, so that a vendor who heeds it runs it once."""
        if step.target not in self._visits or self.history.resume is not None:
            self._visits[step.target] = uuid4().hex
        return self._visits[step.target]

    def _settle(self, step: Try, attempt: Attempt, outcome: Reply | Failed) -> Reply | None:
        """Note what came of an attempt; the reply, where it is one."""
        call, history = self.call, self.history
        if not isinstance(outcome, Failed):
            outcome.attempts = tuple(self.trail)
            if call.chain.groups:
                from ._balancing import answered

                self._keep = answered(call, call.chain.targets[step.target])
            _say_filtered(outcome, history)
            call.hooks.attempted(attempt, None)
            return outcome
        # whose strategies waits are: it takes its time to load, so that is over before the clock is read for one
        import tenacity  # noqa: F401

        bare(outcome.error, ())  # hooks may hand it to whoever writes down frames
        _note(attempt, outcome, call.clock())
        call.hooks.attempted(attempt, classified(outcome.error))
        if outcome.final and not self._takes_up(outcome):
            # that what the caller has can't be taken up is no news to him: what he has is
            self.final = outcome.error if outcome.tried or self.interrupted is None else self.interrupted.error
        elif outcome.final:
            self.interrupted = outcome
        if outcome.tried:
            until = _until(outcome.error, call.clock())
            history.failed(step.target, outcome.error, retry_same=outcome.retry_same, until=until)
        else:
            history.skipped(step.target, outcome.error, until=outcome.until, forcible=outcome.forcible)
        return None

    def _takes_up(self, broken: Failed) -> bool:
        """Whether the answer that broke off begins anew elsewhere, or goes on there, which it does once."""
        policy = self.call.chain.policy
        if not broken.restartable or policy.on_stream_failure == "raise":
            return False
        if policy.on_stream_failure == "restart":
            return True
        if self.onward is not None or policy.moves(classified(broken.error)) == "never":
            return False
        from ._continuation import continuation

        request = self.call.request
        self.onward = continuation(request, broken.error) if isinstance(request, ChatRequest) else None
        self._visits.clear()  # it is another request
        return self.onward is not None

    def _race(self, step: Try, attempt: Attempt, lane: Lane, beside: Hedge) -> Generator[Action, Outcome, Reply | None]:
        """The step, and beside it, where it is slow, the same request at another target; who is first answers."""
        runners = [(step, attempt, lane)]

        def second() -> Lane | None:
            other = beside.start(self.call.clock())
            if other is None:
                return None
            runners.append((other, *self._attempt(other)))
            return runners[-1][2]

        def lost(number: int) -> None:
            loser = runners[number][1]
            loser.cancelled_by, loser.possibly_billed = "hedge", True

        raced = yield Race(lane, second, beside.after, self._settles, lost)
        assert isinstance(raced, Raced)
        reply = None
        for number, (tried, made, running) in enumerate(runners):
            if number == raced.winner and raced.events is not None:
                reply = self._settle(tried, made, (yield from _carry_on(running, raced.events)))
            elif number in raced.results:
                reply = self._settle(tried, made, raced.results[number]) or reply
        return reply

    def _settles(self, outcome: Reply | Failed) -> bool:
        """Whether it is no use to wait for anybody else."""
        if not isinstance(outcome, Failed) or outcome.final:
            return True
        return self.call.chain.policy.moves(outcome.error) == "never"

    def _repeatable(self) -> bool:
        """Whether the account that failed last may be asked again."""
        failures = self.history.failures
        if not failures or not failures[-1].tried:
            return True
        target = self.call.chain.targets[failures[-1].target]
        return self.call.health.can_repeat(target, throttled=isinstance(failures[-1].error, RateLimited))


def _carry_on(lane: Lane, action: Action) -> Generator[Action, Outcome, Reply | Failed]:
    """What is left of a lane that has begun, from this action on."""
    try:
        while True:
            action = lane.send((yield action))
    except StopIteration as stop:
        outcome: Reply | Failed = stop.value
        return outcome
    finally:
        lane.close()


def _say_filtered(reply: Reply, history: History) -> None:
    """That somebody's content policy stood against the question, or his answer, is not left to the trail alone."""
    errors = (failure.error for failure in history.failures)
    names = [error.target for error in errors if isinstance(classified(error), ContentFiltered)]
    if names:
        said = f"the content policy of {', '.join(filter(None, names))} refused or cut it before"
        reply.warnings.append(ChatWarning("content_filtered", said))


def _until(error: LLMSwitchError, now: float) -> float | None:
    """When a target that failed may be asked again, where it said so itself and will come back without a person."""
    rule = rule_for(error).cool
    return now + error.retry_after if error.retry_after is not None and rule is not None and rule.transient else None


def _reset(error: LLMSwitchError, target: str) -> StreamReset:
    assert isinstance(error, StreamInterrupted)
    partial = error.partial
    discarded = len(partial.text) + len(partial.reasoning) if partial is not None else 0
    return StreamReset(type(classified(error)).__name__, discarded, target)


def _note(attempt: Attempt, failed: Failed, now: float) -> None:
    error = failed.error
    cause = classified(error)
    attempt.error = type(cause).__name__
    attempt.message = cause.message
    attempt.status = attempt.status or error.status
    attempt.code = error.code
    attempt.retry_after = error.retry_after
    attempt.possibly_billed = error.possibly_billed
    attempt.request_id = attempt.request_id or error.request_id
    if failed.tried:
        attempt.end_ms = (now - attempt.started) * 1000
    else:
        attempt.end_ms, attempt.skipped_because = 0.0, error.message
