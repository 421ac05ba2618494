"""Plays network and vendors for many calls at once, on a clock that is made up: a second of theirs costs nothing."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from llmswitch._allowances import Reserve
from llmswitch._chain import Chain
from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent, StreamReset, TextDelta
from llmswitch._exchange import Call, exchange
from llmswitch._health import Health
from llmswitch._reply import ChatReply
from llmswitch._request import ChatRequest
from llmswitch._wire import Await, Close, Exchange, Fault, Open, Outcome, Race, Raced, Read, Sleep
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


class _Over(Exception):
    """A lane has ended, and this is what it came to."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass
class _Lane:
    """An exchange, or an attempt of one, with the answer that it has open."""

    steps: Generator[Any, Outcome, Any]
    answer: Steps | None = None
    ill: str = ""
    outcome: Outcome = None

    def send(self) -> Any:
        outcome, self.outcome = self.outcome, None
        try:
            return self.steps.send(outcome)
        except StopIteration as stop:
            raise _Over(stop.value) from None


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
        lane = _Lane(exchange(call))
        try:
            for actions in count():
                if one.leave is not None and actions == one.leave_after:
                    one.leave(lane.steps)
                    return None
                events = yield from self._act(lane, one)
                if events is not None:
                    one.events += events
        except _Over as over:
            assert lane.answer is None, "an answer was left open"
            reply: ChatReply = over.value
            return reply
        finally:
            self._let_go(lane)
        raise AssertionError("an exchange without end")

    def _act(self, lane: _Lane, one: Played) -> Generator[float, None, list[ChatEvent] | None]:
        """Carry out one action of a lane; the events, where it has some for the caller."""
        action = lane.send()
        if isinstance(action, list):
            return action
        if isinstance(action, Open):
            assert lane.answer is None, "a second request before the first was let go"
            served = self._serve(action, one)
            lane.ill = "" if served.condition == "well" else served.target
            self._open_ill[lane.ill] += 1
            again = any(other.target == served.target for other in one.served[:-1])
            lane.answer = self._conditions[served.condition](Asked(action, served, self.rng, self._echo, again))
            lane.outcome = yield from self._next(lane.answer, action.by)
        elif isinstance(action, Read):
            assert lane.answer is not None
            lane.outcome = yield from self._next(lane.answer, action.by)
        elif isinstance(action, Sleep):
            one.slept += action.seconds
            yield self.clock.now + action.seconds
        elif isinstance(action, Await):
            while not action.turn.granted and self.clock.now < action.by:
                yield min(self.clock.now + 0.01, action.by)
        elif isinstance(action, Race):
            yield from self._race(action, lane, one)
        elif isinstance(action, Close):
            self._let_go(lane)
        elif isinstance(action, Reserve):
            lane.outcome = action.perform()
        return None

    def _let_go(self, lane: _Lane) -> None:
        self._open_ill[lane.ill] -= lane.answer is not None
        lane.answer = None

    def _race(self, race: Race, lane: _Lane, one: Played) -> Generator[float, None, None]:
        """As the drivers do it: the second lane begins when the first is late, and the loser is closed."""
        lanes, wakes, results = [_Lane(race.first)], [self.clock.now], dict[int, Any]()
        running: list[Generator[float, None, list[ChatEvent] | None]] = [self._act(lanes[0], one)]
        asked, raced = False, None
        while raced is None:
            number = min((n for n in range(len(lanes)) if n not in results), key=lambda n: wakes[n])
            if not asked and wakes[number] > race.after:
                yield race.after
                asked, second = True, race.second()
                if second is not None:
                    lanes.append(_Lane(second))
                    wakes.append(self.clock.now)
                    running.append(self._act(lanes[1], one))
                continue
            if wakes[number] > self.clock.now:
                yield wakes[number]
            try:
                wakes[number] = next(running[number])
            except StopIteration as stop:
                if stop.value is not None:
                    raced = Raced(number, stop.value, results)
                    break
                running[number] = self._act(lanes[number], one)
            except _Over as over:
                results[number] = over.value
                if race.settles(results[number]) or len(results) == len(lanes):
                    raced = Raced(number, None, results)
        assert raced is not None
        for number, loser in enumerate(lanes):
            if number != raced.winner and number not in results:
                race.lost(number)
                loser.steps.close()
                self._let_go(loser)
        lane.answer, lane.ill, lane.outcome = lanes[raced.winner].answer, lanes[raced.winner].ill, raced

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
