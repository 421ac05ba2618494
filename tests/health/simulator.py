"""Plays network and vendors for many calls at once, on a clock that is made up: a second of theirs costs nothing."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

from llmswitch._chain import Chain
from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent, StreamReset, TextDelta
from llmswitch._exchange import Call, exchange
from llmswitch._health import Health
from llmswitch._reply import ChatReply
from llmswitch._request import ChatRequest
from llmswitch._wire import Close, Exchange, Fault, Open, Outcome, Read, Sleep
from tests.health.vendors import CONDITIONS, Asked, Condition, Served, Steps, Weather
from tests.health.virtual import PROMPT, Clock

_WORDS = ["lorem", "ipsum", "dolor", "sit amet", "你好", "naïve", "🙂", "\\", "end"]
REQUEST = ChatRequest.read(PROMPT)


@dataclass
class Played:
    """
    One call as its caller saw it, and as the vendors did. `able`: a target was there that had to answer. `leave` is how
    its caller abandons it, after so many actions.
    """

    number: int
    stream: bool
    started: float
    limit: float
    able: bool = False
    ended: float = 0.0
    reply: ChatReply | None = None
    error: LLMSwitchError | None = None
    events: list[ChatEvent] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    slept: float = 0.0
    leave: Callable[[Exchange], object] | None = None
    leave_after: int = 0

    @property
    def heard(self) -> str:
        """The text that the caller has after the last time he was told to throw it away."""
        text = ""
        for event in self.events:
            if isinstance(event, StreamReset):
                text = ""
            elif isinstance(event, TextDelta):
                text += event.text
        return text


class World:
    """A chain, the weather at each of its targets, and what is known of their health."""

    def __init__(
        self,
        chain: Chain,
        weather: Mapping[str, Weather],
        *,
        seed: int = 0,
        conditions: Mapping[str, Condition] = CONDITIONS,
        echo: str = "",
    ) -> None:
        self.chain = chain
        self.weather = dict(weather)
        self.rng = random.Random(seed)
        self.clock = Clock(1000.0)
        self.health = Health(clock=self.clock, chance=self.rng.random)
        self.served: list[Served] = []
        self._conditions = conditions
        self._echo = echo
        self._open_ill: Counter[str] = Counter()
        self._numbers = count(1)
        random.seed(seed)  # tenacity's strategies draw from the one die that all share

    # Calls

    def call(
        self,
        *,
        stream: bool = False,
        timeout: float | None = None,
        leave: Callable[[Exchange], object] | None = None,
        leave_after: int = 0,
    ) -> Played:
        """One call, alone, from now on."""
        one = self._played(self.clock.now, timeout, stream=stream)
        one.leave, one.leave_after = leave, leave_after
        self._run([one])
        return one

    def calls(self, arrivals: Iterable[tuple[float, bool, float | None]]) -> list[Played]:
        """Calls that begin at these times, streams or not, each with a limit of its own or the chain's."""
        played = [self._played(at, timeout, stream=stream) for at, stream, timeout in arrivals]
        self._run(played)
        return played

    def _played(self, at: float, timeout: float | None, *, stream: bool) -> Played:
        limit = self.chain.policy.total_for(stream=stream) if timeout is None else timeout
        return Played(next(self._numbers), stream, at, limit)

    def _run(self, played: list[Played]) -> None:
        tie = count()
        heap = [(one.started, next(tie), self._play(one)) for one in played]
        heapq.heapify(heap)
        while heap:
            at, _, running = heapq.heappop(heap)
            self.clock.now = max(self.clock.now, at)
            wakes = next(running, None)
            if wakes is not None:
                heapq.heappush(heap, (wakes, next(tie), running))

    def _play(self, one: Played) -> Generator[float, None, None]:
        one.able = self._somebody_has_to_answer(one)
        call = Call(self.chain, REQUEST, one.stream, one.limit, clock=self.clock, health=self.health)
        try:
            one.reply = yield from self._drive(call, one)
        except LLMSwitchError as error:
            one.error = error
        one.ended = self.clock.now

    def _drive(self, call: Call, one: Played) -> Generator[float, None, ChatReply | None]:
        steps: Exchange = exchange(call)
        outcome: Outcome = None
        answer: Steps | None = None
        ill = ""
        try:
            for actions in count():
                if one.leave is not None and actions == one.leave_after:
                    one.leave(steps)
                    return None
                action = steps.send(outcome)
                outcome = None
                if isinstance(action, list):
                    one.events += action
                elif isinstance(action, Open):
                    assert answer is None, "a second request before the first was let go"
                    served = self._serve(action, one)
                    ill = "" if served.condition == "well" else served.target
                    self._open_ill[ill] += 1
                    again = any(other.target == served.target for other in one.served[:-1])
                    answer = self._conditions[served.condition](Asked(action, served, self.rng, self._echo, again))
                    outcome = yield from self._next(answer, action.by)
                elif isinstance(action, Read):
                    assert answer is not None
                    outcome = yield from self._next(answer, action.by)
                elif isinstance(action, Sleep):
                    one.slept += action.seconds
                    yield self.clock.now + action.seconds
                elif isinstance(action, Close):
                    self._open_ill[ill] -= 1
                    answer = None
        except StopIteration as stop:
            assert answer is None, "an answer was left open"
            reply: ChatReply = stop.value
            return reply
        finally:
            self._open_ill[ill] -= answer is not None
        raise AssertionError("an exchange without end")

    def _serve(self, action: Open, one: Played) -> Served:
        served = Served(
            action.target.name, self.clock.now, self.weather[action.target.name].at(self.clock.now), one.stream
        )
        said = " ".join(self.rng.choice(_WORDS) for _ in range(self.rng.randint(1, 9)))
        served.text = f"call {one.number}, request {len(one.served)}, {served.target}: {said}."
        one.served.append(served)
        self.served.append(served)
        return served

    def _next(self, answer: Steps, by: float) -> Generator[float, None, Outcome]:
        delay, what = next(answer, (float("inf"), b""))
        if self.clock.now + delay > by:
            yield max(by, self.clock.now)
            return Fault("timeout", "")
        if delay:
            yield self.clock.now + delay
        return what

    # What an oracle knows

    def _somebody_has_to_answer(self, one: Played) -> bool:
        """
        Whether a target is well for as long as the call can take, and nothing stands against it: neither what is known
        of it nor what is still to be reported, and it has its endpoint to itself.
        """
        shared = Counter(target.scope("endpoint") for target in self.chain.targets)
        states = {shown.target: shown.state for shown in self.health.show(self.chain.targets)}
        return any(
            shared[target.scope("endpoint")] == 1
            and states[target.name] == "ok"
            and not self._open_ill[target.name]
            and self.weather[target.name].well_during(one.started, one.started + one.limit)
            for target in self.chain.targets
        )

    def in_flight(self) -> int:
        """Calls that are under way, by the books."""
        return sum(shown.in_flight for shown in self.health.show(self.chain.targets))
