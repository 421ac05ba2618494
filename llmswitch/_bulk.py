"""Bulk work: many requests through one client, a few at a time, each result as it comes. All but the waiting."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from ._balancing import ordered, recall
from ._bare import bare
from ._errors import AllTargetsFailed, InvalidRequest, LLMSwitchError, LocalOverload, Overloaded, RateLimited
from ._pace import Pace
from ._policy import rule_for
from ._rate_headers import Counted, read_left
from ._reply import ChatReply, Usage
from ._request import ChatOptions

if TYPE_CHECKING:
    from ._base_client import Messages
    from ._call import Call
    from ._chain import Chain
    from ._operation import Reply

__all__ = ["BatchRequest", "BatchResult", "Bulk", "Job", "answer_of", "read_request"]

BatchRequest: TypeAlias = str | Mapping[str, Any]

_SOON = 0.05  # seconds after which a request is asked again at the soonest, so as not to spin
_AFTER_LIMIT = 1.0  # the same where nobody says when
_PASSING = (RateLimited, Overloaded, LocalOverload)


@dataclass(slots=True, frozen=True)
class BatchResult:
    """
    What came of one request: `reply`, or `error`. `index`: its place among the requests, from 0. `id`: the caller's
    own, `None` where there was none.
    """

    index: int
    id: str | None
    reply: ChatReply | None = None
    error: LLMSwitchError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.reply is not None


def read_request(given: object) -> tuple[str | None, Messages, ChatOptions]:
    """
    The id, the messages and the options of a request as it stands in a batch: a prompt, or a mapping with `messages` or
    `prompt`, with or without `id`, and with options of `chat()`. Raises `InvalidRequest`.
    """
    if isinstance(given, str):
        return None, given, {}
    if not isinstance(given, Mapping):
        raise InvalidRequest("a request is a prompt, or a mapping with `messages` or `prompt`")
    fields: dict[str, Any] = dict(given)
    name = fields.pop("id", None)
    if name is not None and (not isinstance(name, str) or not name):
        raise InvalidRequest("id must be a string that is not empty", field="id")
    if ("messages" in fields) == ("prompt" in fields):
        raise InvalidRequest("a request has either `messages` or `prompt`", field="messages")
    if "prompt" in fields and not isinstance(fields["prompt"], str):
        raise InvalidRequest("prompt must be a string", field="prompt")
    messages = fields.pop("messages") if "messages" in fields else fields.pop("prompt")
    return name, messages, fields  # type: ignore[return-value]


@dataclass(slots=True, eq=False)
class Job:
    """
    One request under way. `chain`: whom it may ask, in their own order. `numbers`: which of the calls to a target it
    is. `since`: when it was first refused by a target that comes back by itself.
    """

    index: int
    id: str | None
    call: Call
    chain: Chain
    began: float = 0.0
    numbers: dict[str, int] = field(default_factory=dict)
    since: float | None = None

    def result(self, outcome: ChatReply | LLMSwitchError) -> BatchResult:
        if isinstance(outcome, ChatReply):
            return BatchResult(self.index, self.id, reply=outcome)
        return BatchResult(self.index, self.id, error=outcome)


class Bulk(ABC):
    """
    What the two batches share: which request begins when, and which is asked again. It never waits.

    The chain tries its targets as always, but sleeps for nobody: where it has nobody left for the moment, its call
    comes back here, and one wait serves all. What answers say of limits is heeded before one is used up: who is not due
    yet is asked after the others, and where nobody is due, nobody begins. `pace`: that of a batch before it, whose
    experience counts.
    """

    def __init__(
        self,
        check: Callable[..., Call],
        concurrency: int,
        patience: float,
        options: ChatOptions,
        pace: Pace | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        _check_numbers(concurrency, patience)
        self._check = check
        self._patience = float(patience)
        self._options = options
        self._clock = clock
        self._pace = pace or Pace(concurrency)
        self._waiting: deque[Job] = deque()
        self._ready: deque[BatchResult] = deque()
        self._count = 0
        self._stuck: float | None = None  # since when nobody was answered, though somebody was refused
        self._dry = False
        self._stopped = False

    @property
    def in_flight(self) -> int:
        """Calls that have begun and whose results were not taken yet."""
        return self._pace.flying

    @property
    def pace(self) -> Pace:
        """Its pace, for a batch that comes after it."""
        return self._pace

    @property
    def room(self) -> int:
        """How many calls may be in flight at the moment."""
        return int(self._pace.room)

    @property
    def wait(self) -> float:
        """Seconds until the next call may begin, where vendors have no room for one now; otherwise 0."""
        return self._due() or 0.0

    def stop(self) -> None:
        """Begin nothing more. The results of what is in flight still come; what waits to be asked again has none."""
        self._stopped = True
        self._waiting.clear()
        self._wake()

    @abstractmethod
    def _wake(self) -> None: ...

    @abstractmethod
    def _launch(self, job: Job) -> None: ...

    def _vacant(self) -> bool:
        """Whether a request may begin now. A result that was not taken yet counts as if it were in flight."""
        held = self._pace.flying + len(self._ready)
        return not self._stopped and self._pace.open(self._clock()) and held < self._pace.most

    def _begin_waiting(self) -> None:
        while self._waiting and self._vacant() and self._turn(self._waiting[0]) <= self._clock():
            self._begin(self._waiting.popleft())

    def _wants(self) -> bool:
        """Whether another request is to be read now."""
        return not self._dry and not self._waiting and self._vacant()

    def _read(self, source: Iterator[BatchRequest]) -> None:
        """Take in the next one, if there is any."""
        self._dry = True  # if it raises
        try:
            given = next(source)
        except StopIteration:
            return
        self._dry = False
        self._take_in(given)

    def _take_in(self, given: object) -> None:
        """A request was read: it begins, or is refused for what is wrong with it."""
        index, self._count = self._count, self._count + 1
        name = given.get("id") if isinstance(given, Mapping) else None
        try:
            name, messages, options = read_request(given)
            call = self._check(messages, {**self._options, **options}, stream=False)
        except LLMSwitchError as problem:
            self._ready.append(BatchResult(index, name if isinstance(name, str) else None, error=bare(problem, ())))
            return
        self._waiting.append(Job(index, name, call, _sleepless(call.chain)))
        self._begin_waiting()

    def _turn(self, job: Job) -> float:
        """When one of its targets may be asked by what they said of their limits; at once where all are out anyway."""
        open_ones = [target for target in job.chain.targets if job.call.health.refusal(target) is None]
        return min((self._pace.rates.due(target.scope("target")) for target in open_ones), default=-math.inf)

    def _begin(self, job: Job) -> None:
        job.began, job.numbers, job.call.heard = self._clock(), {}, []
        self._line_up(job)
        self._pace.began()
        self._launch(job)

    def _line_up(self, job: Job) -> None:
        """Put those last who are not due. Whom nobody has heard limits from is left in the order that a call makes."""
        call, rates, chain = job.call, self._pace.rates, job.chain
        call.chain, call.lined_up = chain, False
        settled = not (call.grants or chain.groups)
        if not settled and not any(rates.known(target.scope("target")) for target in chain.targets):
            return
        if chain.groups and recall(call) is not None:
            return  # whom its session keeps to, other processes have to be asked
        order = chain.targets if settled else ordered(call)
        order = tuple(sorted(order, key=lambda target: rates.due(target.scope("target")) > job.began))
        call.chain, call.lined_up = chain._replace(targets=order), True
        first = next((target for target in order if call.health.refusal(target) is None), order[0]).scope("target")
        job.numbers[first] = rates.began(first, job.began)

    def _settle(self, job: Job, outcome: ChatReply | BaseException) -> None:
        """A call has ended. What is no answer and no failure of it is raised where the results are taken."""
        if not isinstance(outcome, (ChatReply, LLMSwitchError)):
            self.stop()
            self._pace.flying -= 1
            raise outcome
        self._hear(job, outcome)
        self._end(job, outcome)

    def _hear(self, job: Job, outcome: ChatReply | LLMSwitchError) -> None:
        """What its answers said of limits, and what they took from them."""
        rates, now = self._pace.rates, self._clock()
        names = {target.name: target.scope("target") for target in job.chain.targets}
        for attempt in outcome.attempts:
            if attempt.usage is not None and attempt.target in names:
                rates.used(names[attempt.target], _counted(attempt.usage))
        for target, headers in job.call.heard or ():
            name = target.scope("target")
            number, began = job.numbers.get(name), job.began
            if number is None:  # another one had been asked first
                number, began = rates.began(name, now), now
            rates.heard(name, number, began, read_left(headers, target.rate_headers))
        job.call.heard = None

    def _end(self, job: Job, outcome: ChatReply | LLMSwitchError) -> None:
        now = self._clock()
        answered = isinstance(outcome, ChatReply)
        self._pace.ended(job.began, now, answered=answered, throttled=_throttled(outcome))
        if isinstance(outcome, ChatReply):
            self._stuck = None
        else:
            again = _comes_back(job.call, outcome)
            if again is not None and self._patient(job, again, now):
                self._pace.hold(again)
                if not self._stopped:
                    self._waiting.append(job)
                return
        self._ready.append(job.result(outcome))

    def _patient(self, job: Job, again: float, now: float) -> bool:
        """Whether it may wait until then. A chain that is gone for good is waited for once, not by each request."""
        job.since = now if job.since is None else job.since
        self._stuck = now if self._stuck is None else self._stuck
        return again - min(job.since, self._stuck) <= self._patience

    def _over(self) -> bool:
        return not self._pace.flying and (self._stopped or (self._dry and not self._waiting))

    def _due(self) -> float | None:
        """Seconds until a request may begin though none has ended; `None` where only an end makes room."""
        if self._stopped or self._pace.flying >= self.room or (self._dry and not self._waiting):
            return None
        turn = self._turn(self._waiting[0]) if self._waiting else -math.inf
        return max(0.0, max(turn, self._pace.until) - self._clock())


def answer_of(reply: Reply) -> ChatReply:
    """The answer. Raises `OutputInvalid` where it is not of the form that was asked for."""
    assert isinstance(reply, ChatReply)
    reply.parsed  # noqa: B018 - it is said now
    return reply


def _counted(usage: Usage) -> dict[Counted, int]:
    """What is known of the tokens, by the names that limits have for them."""
    found = (usage.total_tokens, usage.input_tokens, usage.output_tokens)
    kinds: tuple[Counted, ...] = ("tokens", "input_tokens", "output_tokens")
    return {kind: number for kind, number in zip(kinds, found, strict=True) if number is not None}


def _check_numbers(concurrency: object, patience: object) -> None:
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InvalidRequest("concurrency must be a whole number of at least 1", field="concurrency")
    if not isinstance(patience, (int, float)) or isinstance(patience, bool) or not 0 <= patience < math.inf:
        raise InvalidRequest("patience must be a number of seconds of at least 0", field="patience")


def _sleepless(chain: Chain) -> Chain:
    """The same chain, whose calls come back where it would sleep because a vendor throttles."""
    from tenacity import wait_fixed

    return chain._replace(policy=chain.policy._replace(longest_wait=0.0, throttled=wait_fixed(math.inf)))


def _throttled(outcome: ChatReply | LLMSwitchError) -> bool:
    """Whether somebody was asked on the way who said that it is too much, or there was no room to ask."""
    return any(
        attempt.error == "LocalOverload" or (attempt.error == "RateLimited" and not attempt.skipped_because)
        for attempt in outcome.attempts
    )


def _comes_back(call: Call, error: LLMSwitchError) -> float | None:
    """When a call that failed so may be asked again; `None` where it is no use to wait."""
    now = call.clock()
    refusals = {target.name: call.health.refusal(target) for target in call.chain.targets}
    if all(refusal is not None and not refusal.transient for refusal in refusals.values()):
        return None  # who was taken out by hand, or is out of money, does not come back by himself
    ends = {name: refusal.until for name, refusal in refusals.items() if refusal is not None and refusal.transient}
    causes = error.exceptions if isinstance(error, AllTargetsFailed) else (error,)
    passing = [cause for cause in causes if isinstance(cause, _PASSING)]
    if not passing and not any(cause.target in ends and rule_for(cause).counts is not None for cause in causes):
        return None
    times = [*ends.values(), *(now + cause.retry_after for cause in passing if cause.retry_after is not None)]
    return max(min(times, default=now + _AFTER_LIMIT), now + _SOON)
