"""
The requests of the examination, by the library's own exchange: its proxies, certificates, tokens and limits hold.

Each is sent once and never repeated. What came back is kept with what only the driver sees: the vendor's clock, and how
the network failed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any

from llmswitch._adapter import Adapter, HTTPRequest, NotAnAnswer, VendorFault
from llmswitch._assembly import ReplyAssembly
from llmswitch._call import Call
from llmswitch._capabilities import Capabilities
from llmswitch._chain import Chain
from llmswitch._config import ChainConfig
from llmswitch._connections import Connections
from llmswitch._counting import CountReply
from llmswitch._drill import Drill
from llmswitch._drive import SyncDriver
from llmswitch._endpoint import Endpoint
from llmswitch._errors import LLMSwitchError
from llmswitch._estimate import Spend
from llmswitch._exchange import exchange
from llmswitch._json import dumps
from llmswitch._operation import CHAT, Operation, Reply, Request
from llmswitch._policy import Policy
from llmswitch._reading import Reading
from llmswitch._reply import ChatReply, ChatWarning
from llmswitch._request import ChatRequest
from llmswitch._target import Target
from llmswitch._wire import Exchange, Fault, Open, Opened

__all__ = ["Asker", "Heard", "moved"]

_CARRIER = ChatRequest.read("-")  # a call has a request; of these nothing of it is sent
_TINY = "Say OK."
_LEAST = 0.1  # seconds that any request has
_FEW = 16  # tokens: the least that every vendor takes


class _Told(ReplyAssembly):
    """An answer's JSON, in the place of an answer."""

    __slots__ = ("body",)

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.finish("stop")


@dataclass(slots=True)
class _Facts(CountReply):
    body: Any = None


class _Get(Operation):
    """A request without a body, whose answer is any JSON."""

    def __init__(self, path: str, method: str = "GET") -> None:
        self._path = path
        self._method = method

    def fit(self, request: Any, target: Target) -> tuple[Request, list[ChatWarning]]:  # noqa: ARG002
        return request, []

    def build(self, adapter: Adapter, request: Any, *, stream: bool) -> HTTPRequest:  # noqa: ARG002
        return HTTPRequest(self._path, b"", {"accept": "application/json"}, self._method)

    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:  # noqa: ARG002
        return None

    def parse(self, adapter: Adapter, body: Any, request: Any) -> ReplyAssembly:  # noqa: ARG002
        if not isinstance(body, (dict, list)):
            raise NotAnAnswer("it is neither an object nor a list")
        # some say with 200 that they refuse
        facts = adapter.read_error(200, {}, dumps(body)) if isinstance(body, dict) and "error" in body else None
        if facts is not None:
            raise VendorFault(facts)
        return _Told(body)

    def reply(self, reading: Reading) -> Reply:
        assert isinstance(reading.assembly, _Told)
        return _Facts(0, body=reading.assembly.body)

    def most(self, request: Any, able: Capabilities) -> Spend:  # noqa: ARG002
        return Spend(0, 0)


@dataclass(slots=True)
class Heard:
    """
    What came of a request. `body` is the JSON of an answer; `reply` that of a live call; `error` what came in its
    place, classified; `fault` how the network failed. `ahead`: seconds by which this machine's clock is ahead of the
    vendor's, `None` where he does not tell. `seconds`: how long it took.
    """

    body: Any = None
    reply: ChatReply | None = None
    error: LLMSwitchError | None = None
    fault: Fault | None = None
    status: int | None = None
    connect_ms: float | None = None
    ahead: float | None = None
    seconds: float = 0.0

    def note(self, opened: Opened, sent: float) -> None:
        """The beginning of an answer to what was sent at that Unix time."""
        self.status, self.connect_ms = opened.status, opened.connect_ms
        served = _served(opened.headers.get("date"))
        if served is not None:
            age = opened.headers.get("age", "")
            served += int(age) if age.isdigit() and len(age) < 8 else 0
            self.ahead = (sent + time()) / 2 - served - 0.5  # a date has no fractions: half a second on average


def _served(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None


def moved(target: Target, endpoint: Endpoint) -> Target:
    """The same model and protocol at another endpoint."""
    return replace(target, endpoint=endpoint, _scopes={}, _hashes={})


class Asker:
    """Sends one request at a time for whichever thread asks; `live_seconds` is what a call may take."""

    def __init__(self, connections: Connections, drill: Drill | None, live_seconds: float) -> None:
        self._connections = connections
        self.drill = drill
        self._live_seconds = live_seconds

    def get(self, target: Target, path: str, by: float) -> Heard:
        """A GET with the target's key, of a path below its address, until `by` (monotonic seconds)."""
        return self._ask(target, _Get(path), _CARRIER, max(_LEAST, by - monotonic()))

    def knock(self, target: Target, by: float) -> Heard:
        """A HEAD of the target's address, without its key: whatever is answered, somebody is there."""
        keyless = moved(target, target.endpoint.beside(target.endpoint.base_url))
        return self._ask(keyless, _Get("", "HEAD"), _CARRIER, max(_LEAST, by - monotonic()))

    def chat(self, target: Target) -> Heard:
        """One tiny call."""
        request = ChatRequest.read(_TINY, max_tokens=_FEW, degrade=True)
        return self._ask(target, CHAT, request, self._live_seconds)

    def _ask(self, target: Target, operation: Operation, request: ChatRequest, seconds: float) -> Heard:
        config = ChainConfig(targets=(target.name,), max_attempts=1, timeout=seconds, first_token_timeout=seconds)
        call = Call(
            Chain("doctor", (target,), Policy.from_config(config)),
            request,
            stream=False,
            timeout=seconds,
            drill=str(self.drill) if self.drill is not None else None,
            operation=operation,
        )
        heard, began = Heard(), monotonic()
        try:
            reply = self._carry_out(exchange(call), heard)
        except LLMSwitchError as problem:
            heard.error = problem
        else:
            heard.body = reply.body if isinstance(reply, _Facts) else None
            heard.reply = reply if isinstance(reply, ChatReply) else None
        heard.seconds = monotonic() - began
        return heard

    def _carry_out(self, steps: Exchange, heard: Heard) -> Reply:
        driver, outcome = SyncDriver(self._connections, self.drill), None
        try:
            while True:
                action, sent = steps.send(outcome), time()
                if isinstance(action, Open):
                    heard.status = None  # what a token's host said is no answer of the next one
                outcome = driver.perform(action)
                if isinstance(outcome, Opened):
                    heard.note(outcome, sent)
                elif isinstance(outcome, Fault):
                    heard.fault = outcome
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply
        finally:
            steps.close()
            driver.close()
