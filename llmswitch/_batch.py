"""Bulk work: many requests through one client, a few at a time, each result as it comes. Only the waiting differs."""

from __future__ import annotations

import contextvars
import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ._attempt import bare
from ._errors import AllTargetsFailed, InvalidRequest, LLMSwitchError, LocalOverload, Overloaded, RateLimited
from ._exchange import exchange
from ._pace import Pace
from ._policy import rule_for
from ._reply import ChatReply
from ._request import ChatOptions

if TYPE_CHECKING:
    from ._base_client import Messages
    from ._call import Call
    from ._chain import Chain
    from ._operation import Reply
    from ._wire import Exchange

__all__ = ["Batch", "BatchRequest", "BatchResult", "Bulk", "Job", "read_request"]

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
    """One request under way. `since`: when it was first refused by a target that comes back by itself."""

    index: int
    id: str | None
    call: Call
    began: float = 0.0
    since: float | None = None

    def result(self, outcome: ChatReply | LLMSwitchError) -> BatchResult:
        if isinstance(outcome, ChatReply):
            return BatchResult(self.index, self.id, reply=outcome)
        return BatchResult(self.index, self.id, error=outcome)


class Bulk(ABC):
    """
    What the two batches share: which request begins when, and which is asked again. It never waits.

    The chain tries its targets as always, but sleeps for nobody: where it has nobody left for the moment, its call
    comes back here, and one wait serves all. `pace`: that of a batch before it, whose experience counts.
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
        self._refused: deque[Job] = deque()
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

    def stop(self) -> None:
        """Begin nothing more. The results of what is in flight still come; what waits to be asked again has none."""
        self._stopped = True
        self._refused.clear()
        self._wake()

    @abstractmethod
    def _wake(self) -> None: ...

    @abstractmethod
    def _launch(self, job: Job) -> None: ...

    def _vacant(self) -> bool:
        """Whether a request may begin now. A result that was not taken yet counts as if it were in flight."""
        held = self._pace.flying + len(self._ready)
        return not self._stopped and self._pace.open(self._clock()) and held < self._pace.most

    def _begin_refused(self) -> None:
        while self._refused and self._vacant():
            self._begin(self._refused.popleft())

    def _wants(self) -> bool:
        """Whether another request is to be read now."""
        return not self._dry and not self._refused and self._vacant()

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
        call.chain = _sleepless(call.chain)
        self._begin(Job(index, name, call))

    def _begin(self, job: Job) -> None:
        job.began = self._clock()
        self._pace.began()
        self._launch(job)

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
                    self._refused.append(job)
                return
        self._ready.append(job.result(outcome))

    def _patient(self, job: Job, again: float, now: float) -> bool:
        """Whether it may wait until then. A chain that is gone for good is waited for once, not by each request."""
        job.since = now if job.since is None else job.since
        self._stuck = now if self._stuck is None else self._stuck
        return again - min(job.since, self._stuck) <= self._patience

    def _over(self) -> bool:
        return not self._pace.flying and (self._stopped or (self._dry and not self._refused))

    def _due(self) -> float | None:
        """Seconds until a request may begin though none has ended; `None` where only an end makes room."""
        if self._stopped or self._pace.flying >= self.room or (self._dry and not self._refused):
            return None
        return max(0.0, self._pace.until - self._clock())


def _check_numbers(concurrency: object, patience: object) -> None:
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InvalidRequest("concurrency must be a whole number of at least 1", field="concurrency")
    if not isinstance(patience, (int, float)) or isinstance(patience, bool) or not 0 <= patience < math.inf:
        raise InvalidRequest("patience must be a number of seconds of at least 0", field="patience")


def _sleepless(chain: Chain) -> Chain:
    """The same chain, whose calls come back where it would sleep because a vendor throttles."""
    from tenacity import wait_fixed

    return replace(chain, policy=replace(chain.policy, longest_wait=0.0, throttled=wait_fixed(math.inf)))


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


class Batch(Bulk, Iterator[BatchResult]):
    """
    The results of many requests, as they come. Take them from one thread.

    The requests are read in that thread too, when there is room for them. Use it as a context manager, or `close()` it
    where you leave before its end.
    """

    def __init__(
        self,
        check: Callable[..., Call],
        carry_out: Callable[[Exchange], Reply],
        requests: Iterable[BatchRequest],
        concurrency: int,
        patience: float,
        options: ChatOptions,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(check, concurrency, patience, options, pace)
        self._carry_out = carry_out
        self._source = iter(requests)
        self._ended: SimpleQueue[tuple[Job, ChatReply | BaseException] | None] = SimpleQueue()

    def __next__(self) -> BatchResult:
        while True:
            self._begin_refused()
            while self._wants():
                self._read()
            if self._ready:
                return self._ready.popleft()
            if self._over():
                raise StopIteration
            try:
                ended = self._ended.get(timeout=self._due())
            except Empty:
                continue
            if ended is not None:
                job, outcome = ended
                if not isinstance(outcome, (ChatReply, LLMSwitchError)):
                    self.stop()
                    self._pace.flying -= 1
                    raise outcome
                self._end(job, outcome)

    def _read(self) -> None:
        try:
            given = next(self._source)
        except StopIteration:
            self._dry = True
            return
        except BaseException:
            self._dry = True
            raise
        self._take_in(given)

    def _launch(self, job: Job) -> None:
        context = contextvars.copy_context()  # the caller's deadline() holds for it
        name = f"llmswitch-batch-{job.index}"
        # no pool: its threads would keep the interpreter from ending
        threading.Thread(target=context.run, args=(self._run, job), name=name, daemon=True).start()

    def _run(self, job: Job) -> None:
        outcome: ChatReply | BaseException
        try:
            reply = self._carry_out(exchange(job.call))
            assert isinstance(reply, ChatReply)
            reply.parsed  # noqa: B018 - an answer of the wrong form is said now
            outcome = reply
        except LLMSwitchError as problem:
            outcome = bare(problem, ())
        except BaseException as problem:  # noqa: BLE001 - raised where the results are taken
            outcome = problem
        self._ended.put((job, outcome))

    def _wake(self) -> None:
        self._ended.put(None)

    def close(self) -> None:
        """Begin nothing more and want no more results. Calls that are in flight end by themselves."""
        self.stop()
        self._ready.clear()
        self._pace.flying = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
