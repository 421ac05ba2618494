"""The vendors' own signers and tokens over real sockets: clocks that are off, storms of callers, and what is logged."""

from __future__ import annotations

import importlib
import json
import logging
import threading
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from llmswitch._adapter import HTTPRequest
from llmswitch.providers.bce_auth import authorization as bce
from llmswitch.providers.tencent_native_tc3 import authorization as tc3
from llmswitch.testing.fault_server import ReadRequest, Received, Respond, response
from tests.faults.bench import HEALTHY, JSON, KEY, LIBRARY, PROMPT, Bench, Script
from tests.faults.test_signing import FETCHED, Vendor, many

SECRET = f"{KEY}-t1"
TOKEN = "24.CANARY-token-a87ff679a2f3e71d"
TENCENT: JSON = {
    "dialect": "tencent-native",
    "auth": {"signer": "llmswitch.providers.tencent_native_tc3:TC3", "options": {"service": "hunyuan"}},
    "credentials": {"secret_id": {"env": "CLOUD_ID"}, "secret_key": {"env": "T1_KEY"}},
}
WENXIN: JSON = {
    "dialect": "wenxin",
    "credentials": {"client_id": {"env": "CLOUD_ID"}, "client_secret": {"env": "T1_KEY"}},
}
STREAM = {"content-type": "text/event-stream"}


@pytest.fixture(autouse=True)
def _cloud_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ID", "AKIDEXAMPLE0000")


def refused(code: str, headers: JSON | None = None) -> bytes:
    """As Tencent refuses: with the status 200."""
    body = {"Response": {"Error": {"Code": code, "Message": "no"}, "RequestId": "r-1"}}
    return response(200, body, {"content-type": "application/json", **(headers or {})})


def tencent(off: float = 0.0) -> Script:
    """Tencent, whose clock differs from ours; it checks each signature."""

    def judge(request: Received) -> bytes:
        now, stamp = time.time() + off, int(request.headers["x-tc-timestamp"])
        url = f"http://{request.headers['host']}"
        wanted = tc3(HTTPRequest("/", request.body), url, "AKIDEXAMPLE0000", SECRET, stamp, "hunyuan")
        date = {"date": formatdate(now, usegmt=True)}
        if request.headers["authorization"] != wanted:
            return refused("AuthFailure.SignatureFailure", date)
        if abs(stamp - now) > 300:
            return refused("AuthFailure.SignatureExpire", date)
        if request.json()["Stream"]:
            frame = {"Id": "c-1", "Choices": [{"Delta": {"Content": HEALTHY}, "FinishReason": "stop"}]}
            return response(200, b"data: " + json.dumps(frame).encode() + b"\n\n", STREAM)
        choice = {"Message": {"Role": "assistant", "Content": HEALTHY}, "FinishReason": "stop"}
        return response(200, {"Response": {"Id": "c-1", "Choices": [choice]}})

    return [ReadRequest(), Respond(judge)]


@pytest.mark.parametrize("off", [600.0, -86_400.0])
def test_row_83_tencent(bench: Bench, off: float) -> None:
    """A clock that is off is found by the Date of a refusal with the status 200; the next calls are signed by it."""
    bench.open(tencent(off), providers={"t1": TENCENT})
    first = bench.ask()
    assert [("t1:m", "AuthInvalid"), ("t1:m", None)] == first.trail
    assert HEALTHY == first.text
    assert "the clock of this machine is off by" in (first.attempts[0].message or "")
    assert [("t1:m", None)] == bench.ask().trail


def test_row_83_tencent_knows_a_wrong_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key under a right clock is refused once, and the next target answers."""
    monkeypatch.setenv("T1_KEY", f"{KEY}-of-somebody-else")
    bench.open(tencent(), providers={"t1": TENCENT})
    outcome = bench.ask()
    assert [("t1:m", "AuthInvalid"), ("t2:m", None)] == outcome.trail
    assert "AuthFailure.SignatureFailure" == outcome.attempts[0].code


class Baidu:
    """
    The older API: a token for id and secret, which takes `slow` seconds, and an answer for the token. Each refusal of a
    token takes `later` seconds longer than the one before.
    """

    def __init__(self, *, slow: float = 0.0, later: float = 0.0) -> None:
        self.slow, self.later, self.given, self.refused = slow, later, 0, 0
        self.addresses: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, request: Received) -> bytes:
        self.addresses.append(request.path)
        url = urlsplit(request.path)
        if url.path == "/oauth/2.0/token":
            assert [SECRET] == parse_qs(request.body.decode())["client_secret"]
            time.sleep(self.slow)
            with self._lock:
                self.given += 1
                return response(200, {"access_token": f"{TOKEN}-{self.given}", "expires_in": 2592000})
        if f"access_token={TOKEN}-{self.given}" != url.query:
            self.refused += 1
            time.sleep(self.later * self.refused)
            return response(200, {"error_code": 110, "error_msg": f"Access token invalid: {url.query}"})
        if request.json().get("stream"):
            frame = {"id": "as-1", "result": HEALTHY, "is_end": True}
            return response(200, b"data: " + json.dumps(frame).encode() + b"\n\n", STREAM)
        return response(200, {"id": "as-1", "result": HEALTHY, "finish_reason": "normal"})

    @property
    def script(self) -> Script:
        return [ReadRequest(), Respond(self)]


@pytest.mark.parametrize("through", ["own", "client", "proxy"])
def test_a_token_in_an_address_is_written_nowhere(bench: Bench, through: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    The token stands in the query that is sent, and in no log line of any logger at DEBUG, no trail, no error: through
    our own connections, a client that was brought along (which logs its addresses at INFO), and a proxy.
    """
    caplog.set_level(logging.DEBUG)
    baidu = Baidu()
    server = bench.serve(baidu.script)
    brought: Any = None
    if through == "client":
        library = importlib.import_module(LIBRARY)
        brought = bench.stack.enter_context(library.Client()) if bench.way.sync else library.AsyncClient()
    own = {**WENXIN, "proxy": server.url} if through == "proxy" else WENXIN
    at = "http://aip.internal" if through == "proxy" else server.url
    bench.open(at=at, alone=True, providers={"t1": own}, http_client=brought)
    outcomes = [bench.ask(), bench.ask()]
    baidu.given += 1  # the vendor takes the old one no longer, and quotes it
    outcomes.append(bench.ask())
    if brought is not None and not bench.way.sync:
        bench.run(brought.aclose())
    assert [HEALTHY] * 3 == [outcome.text for outcome in outcomes]
    assert any(f"access_token={TOKEN}-1" in address for address in baidu.addresses)
    assert not any(SECRET in address for address in baidu.addresses)
    said = [caplog.text, *(repr(record.args) for record in caplog.records)]
    said += [repr(outcome.attempts) for outcome in outcomes]
    for line in said:
        assert TOKEN not in line
        assert SECRET not in line
    if through == "client":
        assert "?[secret]" in caplog.text, "the library logged no address, so the test proves nothing"


def test_row_84_a_storm_of_refusals_fetches_one_token(whole: Bench) -> None:
    """Calls that were refused with the old token, while or after another one fetches the new one, leave that alone."""
    baidu = Baidu(slow=0.03, later=0.01)
    whole.open(baidu.script, alone=True, providers={"t1": WENXIN})
    whole.ask()
    baidu.given += 1  # the vendor takes the old one no longer
    done = many(whole.client, 20, whole)
    assert [HEALTHY] * 20 == [getattr(each, "text", repr(each)) for each in done]
    assert 3 == baidu.given


def test_row_84_a_vendor_that_can_not_give_tokens(whole: Bench) -> None:
    """A token's address that fails is the vendor's failure, not the key's: those who waited share it."""
    vendor = Vendor()
    asked: list[str] = []

    def broken(request: Received) -> bytes:
        asked.append(request.path)
        time.sleep(0.05)
        return response(503, {"error": "busy"})

    whole.open([ReadRequest(), Respond(broken)], providers={"t1": FETCHED})
    done = many(whole.client, 20, whole)
    assert ["t2"] * 20 == [getattr(each, "provider", repr(each)) for each in done]
    assert {"Overloaded"} == {each.attempts[0].error for each in done}
    assert len(asked) <= 2  # a call that comes just as the failure does asks for itself
    assert 0 == vendor.given


def test_row_83_a_token_is_asked_for_by_the_vendors_clock(bench: Bench) -> None:
    """Where the request for a token is signed, a clock that is off is found there."""
    off = 3600.0
    asked: list[float] = []

    def judge(request: Received) -> bytes:
        now = time.time() + off
        date = {"date": formatdate(now, usegmt=True), "content-type": "application/json"}
        if not request.path.startswith("/v1/BCE-BEARER/token"):
            assert "Bearer bce-v3/minted-0123456789" == request.headers["authorization"]
            if request.json().get("stream"):
                chunk = {"choices": [{"index": 0, "delta": {"content": HEALTHY}, "finish_reason": "stop"}]}
                return response(200, b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n", STREAM)
            message = {"role": "assistant", "content": HEALTHY}
            return response(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}, date)
        stamp = request.headers["x-bce-date"]
        signed = time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        asked.append(signed)
        headers = {"host": request.headers["host"], "x-bce-date": stamp}
        url = f"http://{request.headers['host']}{request.path}"
        assert bce("GET", url, headers, "AKIDEXAMPLE0000", SECRET, signed) == request.headers["authorization"]
        if abs(signed - now) > 300:
            return response(403, {"code": "RequestExpired", "message": "Request expired."}, date)
        times = {"createTime": "2023-11-14T22:13:20Z", "expireTime": "2023-11-15T10:13:20Z"}
        return response(200, {"token": "bce-v3/minted-0123456789", **times}, date)

    server = bench.serve([ReadRequest(), Respond(judge)])
    signer = "llmswitch.providers.qianfan_token:MintedKey"
    own: JSON = {
        "auth": {"signer": signer, "options": {"host": server.url}},
        "credentials": {"access_key": {"env": "CLOUD_ID"}, "secret_key": {"env": "T1_KEY"}},
    }
    bench.open(at=server.url, alone=True, providers={"t1": own})
    assert [("t1:m", None)] == bench.ask(prompt=PROMPT).trail
    assert 2 == len(asked)
    assert abs(asked[1] - asked[0] - off) < 5
    assert [("t1:m", None)] == bench.ask().trail
    assert 2 == len(asked)
