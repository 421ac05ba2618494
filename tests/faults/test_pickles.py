"""What leaves the process: errors, replies and configurations can be pickled and copied, and hold no secret."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import llmswitch
from llmswitch import LLMSwitchError, _errors
from llmswitch._config_file import Loaded
from llmswitch._secrets import Secret
from llmswitch.testing.fault_server import Close, ReadRequest, Send, refused_port, response, sse
from tests.faults.bench import KEY, PROMPT, Bench, Outcome, completion, refusing, text, words
from tests.rows import rows

WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest-pickle": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def happened(bench: Bench) -> Outcome:
    """A chain of which every target failed, each in its own way."""
    with refused_port() as port:
        t2, t3 = bench.serve(refusing(401)), bench.serve([ReadRequest(), Send(b"HTTP/1.1 2"), Close()])
        bench.client = bench.client_for(f"http://127.0.0.1:{port}", t2.url, t3.url)
        return bench.ask()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_row_97_an_error_that_happened(whole: Bench, way: Any) -> None:
    """An error with its trail and the errors of every target crosses whole, without a key or a prompt."""
    error: Any = happened(whole).error
    assert isinstance(error, llmswitch.AllTargetsFailed)
    twin = way(error)
    assert type(error) is type(twin)
    assert str(error) == str(twin)
    assert list(error.attempts) == list(twin.attempts)
    assert [(type(each), str(each)) for each in error.exceptions] == [
        (type(each), str(each)) for each in twin.exceptions
    ]
    assert KEY.encode() not in pickle.dumps(error)
    assert PROMPT.encode() not in pickle.dumps(error)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_row_97_an_answer_that_broke_off(streaming: Bench, way: Any) -> None:
    """So does one with part of an answer."""
    error: Any = streaming.ask([ReadRequest(), Send(sse([*words(3)]))]).error
    twin = way(error)
    assert error.partial.text == twin.partial.text
    assert (error.incomplete_tool_calls, error.usage_estimate) == (twin.incomplete_tool_calls, twin.usage_estimate)


@rows("name", [name for name in _errors.__all__ if name != "LLMSwitchError"])
@rows("way", WAYS.values(), ids=WAYS)
def test_row_97_every_class(name: str, way: Any) -> None:
    """Every class of the taxonomy keeps all that it was given."""
    error = getattr(_errors, name)("it went wrong")
    for field, value in (("provider", "p"), ("model", "m"), ("retry_after", 2.5), ("field", "f"), ("partial", None)):
        setattr(error, field, value)
    twin = way(error)
    assert (type(error), str(error), vars(error)) == (type(twin), str(twin), vars(twin))
    assert isinstance(twin, LLMSwitchError)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_row_97_a_reply(bench: Bench, way: Any) -> None:
    """A reply crosses with its message, usage and trail."""
    if bench.way.stream:
        outcome = bench.ask([ReadRequest(), Send(sse([text("hi"), {"choices": [{"finish_reason": "stop"}]}]))])
    else:
        outcome = bench.ask([ReadRequest(), Send(response(200, completion("hi")))])
    reply = outcome.answered
    assert reply == way(reply)
    assert KEY.encode() not in pickle.dumps(reply)
    assert PROMPT.encode() not in pickle.dumps(reply)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_row_97_a_configuration(whole: Bench, way: Any) -> None:
    """A configuration crosses; it says where keys are, and never holds one."""
    loaded = Loaded.from_mapping(whole.config("http://127.0.0.1:9", limits={}))
    assert loaded == way(loaded)
    assert KEY.encode() not in pickle.dumps(loaded)


@rows("way", WAYS.values(), ids=WAYS)
def test_row_97_a_key_does_not_leave(way: Any) -> None:
    """A key can't be pickled or copied at all, and the refusal does not show it."""
    secret = Secret(KEY, "a test")
    with pytest.raises(TypeError) as refused:
        way(secret)
    assert KEY not in str(refused.value)


def test_row_97_a_client_does_not_leak(whole: Bench) -> None:
    """A client can't be pickled with its keys: it is refused, or holds none."""
    whole.ask([ReadRequest(), Send(response(200, completion("hi")))])
    try:
        data = pickle.dumps(whole.client)
    except Exception as refused:
        data = str(refused).encode()
    assert KEY.encode() not in data
