"""A key and a prompt that are known by sight, through every failure: they are in nothing that anybody writes down."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

import llmswitch
from llmswitch import AsyncClient, Client, Hooks
from llmswitch._call import Call
from llmswitch._errors import AllTargetsFailed, LLMSwitchError
from llmswitch.testing import FakeVendor, instant_waits
from tests.health.simulator import REQUEST, World
from tests.health.test_chain_simulation import always
from tests.health.vendors import CONDITIONS
from tests.health.virtual import KEY, PROMPT, chain, configuration, keys
from tests.rows import rows

OURS = tuple(str(path) for path in (Path(llmswitch.__file__).parent, Path(llmswitch.__file__).parents[1] / "providers"))
SPELLINGS = {
    "plain": f"{KEY}-x",
    "base64": base64.b64encode(f"{KEY}-x".encode()).decode(),
}
SECRETS = (KEY, base64.b64encode(f"{KEY}-x".encode()).decode()[:32], PROMPT)


def said_by(error: BaseException) -> dict[str, str]:
    """All that an error says of itself, to whoever asks: texts, fields, pickle, frames; and what hangs on it."""
    found: dict[str, str] = {}
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        name = f"{len(seen)} {type(each).__name__}"
        found[f"{name}: str"] = str(each)
        found[f"{name}: repr"] = repr(each)
        found[f"{name}: fields"] = repr(vars(each))
        found[f"{name}: attempts"] = repr(list(getattr(each, "attempts", ())))
        found[f"{name}: pickle"] = pickle.dumps(each).decode("latin-1")
        found[f"{name}: pickle without words"] = repr(pickle.loads(pickle.dumps(each)))
        found[f"{name}: frames"] = frames_of(each)
        waiting += [each.__cause__, each.__context__, *(each.exceptions if isinstance(each, AllTargetsFailed) else ())]
    return found


def frames_of(error: BaseException) -> str:
    """The frames of this package that a traceback holds, with their locals, as Sentry and rich show them."""
    captured = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join(
        f"{frame.filename}:{frame.lineno} {frame.name}: {frame.locals}"
        for frame in captured.stack
        if frame.filename.startswith(OURS)
    )


def leaks(said: Mapping[str, str], secrets: tuple[str, ...] = SECRETS) -> list[str]:
    return [
        f"{place}: …{text[max(0, text.find(secret) - 60) :][:160]}…"
        for place, text in said.items()
        for secret in secrets
        if secret in text
    ]


# Every failure that the simulator knows


@rows("spelling", SPELLINGS)
@rows("stream", [False, True], ids=["whole", "stream"])
@rows("condition", sorted(set(CONDITIONS) - {"well", "stale"}))
def test_no_failure_tells_the_key_or_the_prompt(condition: str, stream: bool, spelling: str) -> None:
    """Vendors that say the key back in whatever they answer: it is in no error, trail, target, health or pickle."""
    for names in (("a-x:m",), ("a-x:m", "b-x:m")):
        world = World(chain(*names), dict.fromkeys(names, always(condition)), seed=len(names), echo=SPELLINGS[spelling])
        played = world.call(stream=stream)
        assert played.error is not None
        call = Call(world.chain, REQUEST, stream, clock=world.clock, health=world.health)
        said = said_by(played.error)
        parts: list[object] = [call, world.chain, REQUEST, world.health, world.health.show(world.chain.targets)]
        for target in world.chain.targets:
            parts += [target, target.endpoint, target.endpoint.address(), target.adapter, target.spec]
        said["parts"] = "\n".join(f"{part} {part!r}" for part in parts)
        assert [] == leaks(said)


# What the HTTP library says


def server(answer: Callable[[httpx.Request], httpx.Response], **more: Any) -> Client:
    """A client of one target in front of this vendor."""
    with patch.dict(os.environ, keys(["a-x:m"])):
        return Client.from_config(configuration(["a-x:m"]), http_client=FakeVendor(answer), **more)


def raising(problem: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise problem

    return answer


def refusing(status: int = 401, **error: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(status, json={"error": error})


def failed(client: Client, *, stream: bool = False) -> LLMSwitchError:
    """The error of a call, with the frames from which it came."""
    call: Callable[[], object] = (lambda: list(client.stream(PROMPT))) if stream else (lambda: client.chat(PROMPT))
    with instant_waits(), pytest.raises(LLMSwitchError) as caught:
        call()
    return caught.value


@rows("stream", [False, True], ids=["whole", "stream"])
@rows(
    "kind",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.ReadError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        httpx.ProxyError,
        OSError,
    ],
)
def test_what_the_http_library_says_is_scrubbed(kind: type[Exception], stream: bool) -> None:
    """An exception of httpx that quotes the header with the key becomes an error that does not, and hangs on none."""
    problem = kind(f"Illegal header value b'Bearer {KEY}-x'")
    error = failed(server(raising(problem)), stream=stream)
    assert [] == leaks(said_by(error), (KEY,))
    assert (None, None) == (error.__cause__, error.__context__)


@rows("stream", [False, True], ids=["whole", "stream"])
@rows("status", [401, 429, 500, 503, 200])
def test_the_frames_of_an_error_do_not_hold_the_key(status: int, stream: bool) -> None:
    """A traceback with the locals of our frames shows no key, even where the vendor has just said it back."""
    error = failed(server(refusing(status, message=f"wrong key {KEY}-x")), stream=stream)
    assert "_client.py" in frames_of(error) or "_stream.py" in frames_of(error)
    assert [] == leaks(said_by(error), (KEY,))


def test_the_frames_of_an_error_do_not_hold_the_prompt() -> None:
    """A traceback with the locals of our frames shows no prompt."""
    assert [] == leaks(said_by(failed(server(refusing(message="wrong key")))), (PROMPT,))


@rows("wrong", [{"temperature": "hot"}, {"model": "nobody:m"}, {"extra": {"nobody": PROMPT}}])
def test_the_frames_of_a_call_that_is_wrong_do_not_hold_the_prompt(wrong: dict[str, Any]) -> None:
    """Nor do those of a call that is refused before anything is sent."""
    client = server(refusing(message="no"))
    for call in (client.chat, client.stream):
        with pytest.raises(LLMSwitchError) as caught:
            call(PROMPT, **wrong)
        assert [] == leaks(said_by(caught.value), (PROMPT,))
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_the_frames_of_a_stream_do_not_hold_the_prompt() -> None:
    """The same where the answer is a stream."""
    assert [] == leaks(said_by(failed(server(refusing(message="wrong key")), stream=True)), (PROMPT,))


# Where a vendor may say the key back


def answers(place: str) -> Callable[[httpx.Request], httpx.Response]:
    key = f"{KEY}-x"
    if place == "the words are the error":
        return lambda _request: httpx.Response(401, json={"error": f"Incorrect API key provided: {key}"})
    if place == "the words are the error, and long":
        return lambda _request: httpx.Response(401, json={"error": f"{'No such key here: ':_<40}{key}"})
    if place == "a header":
        return lambda _request: httpx.Response(401, headers={"x-request-id": key}, json={})
    if place == "the body's request id":
        return lambda _request: httpx.Response(401, json={"request_id": key, "error": {"message": "no"}})
    if place == "text":
        return lambda _request: httpx.Response(401, text=f"no such key: {key}")
    error = {"message": "no", place: key}
    return lambda _request: httpx.Response(401, json={"error": error})


@rows(
    "place",
    [
        "message",
        "param",
        "text",
        "code",
        "type",
        "a header",
        "the body's request id",
        "the words are the error",
        "the words are the error, and long",
    ],
)
def test_a_key_is_scrubbed_wherever_the_vendor_says_it(place: str) -> None:
    """A refusal that quotes the key, in words, code or ids, becomes an error that holds nothing of it."""
    said = said_by(failed(server(answers(place))))
    assert [] == leaks(said, (KEY[:16],))


# What hooks are given


def test_hooks_are_given_errors_without_frames() -> None:
    """An error that a hook hands to Sentry holds no frame of ours with the body of the vendor's answer."""
    told: dict[str, str] = {}

    def hear(error: LLMSwitchError) -> None:
        told.update(said_by(error))

    hooks = Hooks(
        on_attempt=lambda attempt: told.update(attempt=repr(attempt)),
        on_switch=lambda before, after, error: hear(error),
        account_needs_human=hear,
        security=hear,
    )
    failed(server(refusing(message=f"wrong key {KEY}-x"), hooks=hooks))
    assert told
    assert [] == leaks(told)


def test_what_is_pickled_or_shown_of_a_client() -> None:
    """A client, its targets and its endpoints are shown without the key, and can't be pickled with it."""
    client = server(refusing(message="no"))
    failed(client)
    target = client._setup.chain(None).targets[0]
    for part in (
        client,
        target,
        target.endpoint,
        target.endpoint.secret,
        client.health(),
        client._health,
        client._setup,
    ):
        assert [] == leaks({"shown": f"{part} {part!r}"})
        try:
            pickled = pickle.dumps(part)
        except (TypeError, AttributeError, pickle.PicklingError):
            continue
        assert [] == leaks({"pickle": pickled.decode("latin-1")})


# What is logged, over a real connection


class Handler(BaseHTTPRequestHandler):
    """Answers with what the model's name asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        like = asked["model"]
        if like == "hangs-up":
            self.close_connection = True
            return
        status = 200 if like in ("well", "not-json") else int(like)
        words = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
        refusal = {"error": {"message": f"you sent {self.headers['authorization']} and {asked['messages']}"[:60]}}
        said = b"not json" if like == "not-json" else json.dumps(words if status == 200 else refusal).encode()
        self.send_response(status)
        self.send_header("x-request-id", self.headers["authorization"])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Nothing: what is logged is what is tested."""


@pytest.fixture
def loopback() -> Iterator[str]:
    """The address of a server on this machine."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}/v1"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize("way", ["sync", "async"])
def test_nothing_is_logged(loopback: str, caplog: pytest.LogCaptureFixture, way: str) -> None:
    """With every logger at DEBUG, those of httpx, httpcore and asyncio too, neither key nor prompt is logged."""
    caplog.set_level(logging.DEBUG)
    models = ["well", "401", "402", "429", "500", "503", "not-json", "hangs-up"]
    config = {
        "providers": {"a-x": {"dialect": "openai", "base_url": loopback, "api_key": {"env": "HEALTH_X"}}},
        "default": "a-x:well",
    }
    said: dict[str, str] = {}

    def note(model: str, outcome: object) -> None:
        said[model] = f"{outcome} {outcome!r}"
        if isinstance(outcome, LLMSwitchError):
            # the prompt is the caller's own argument in the frame of chat(); that has a test of its own
            said.update({place: text for place, text in said_by(outcome).items() if "frames" not in place})

    async def ask() -> None:
        async with AsyncClient.from_config(config) as client:
            for model in models:
                try:
                    note(model, await client.chat(PROMPT, model=f"a-x:{model}"))
                except LLMSwitchError as error:
                    note(model, error)

    with patch.dict(os.environ, keys(["a-x:well"])), instant_waits():
        if way == "async":
            asyncio.run(ask(), debug=True)
        else:
            with Client.from_config(config) as client:
                for model in models:
                    try:
                        note(model, client.chat(PROMPT, model=f"a-x:{model}"))
                    except LLMSwitchError as error:
                        note(model, error)
    assert len(models) <= len(said)
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert [] == leaks({**said, "log": caplog.text, "records": repr([vars(record) for record in caplog.records])})
