"""Requests that are signed, and tokens that end: rows 83 and 84."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import pickle
import re
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from llmswitch import AsyncClient, Client
from llmswitch._credential import Gate
from llmswitch._errors import ConfigError, LLMSwitchError
from llmswitch.testing.fault_server import ReadRequest, Received, Respond, response
from tests.faults.bench import JSON, KEY, PROMPT, WAY_ASYNC, Bench, Script, completion, sse, streamed

TOKEN = "CANARY-token-93ab1f"
TIMED: JSON = {
    "auth": {"signer": "tests.faults.signers:Timed"},
    "credentials": {"access_key": {"env": "T3_KEY"}, "secret_key": {"env": "T1_KEY"}},
}
FETCHED: JSON = {"auth": {"signer": "tests.faults.signers:Token"}}


def answer(request: Received) -> bytes:
    if request.json().get("stream"):
        return sse(streamed())
    return response(200, completion())


def timed(off: float) -> Script:
    """A vendor whose clock differs, and who refuses what is signed five minutes off it."""

    def judge(request: Received) -> bytes:
        now, stamp = time.time() + off, request.headers["x-time"]
        expected = hmac.new(f"{KEY}-t1".encode(), stamp.encode() + request.body, hashlib.sha256).hexdigest()
        assert expected == request.headers["x-signature"]
        if abs(int(stamp) - now) > 300:
            headers = {"date": formatdate(now, usegmt=True), "content-type": "application/json"}
            return response(401, {"error": {"message": "the signature has expired"}}, headers)
        return answer(request)

    return [ReadRequest(), Respond(judge)]


@pytest.mark.parametrize("off", [600.0, -600.0, 86_400.0])
def test_row_83_a_clock_that_is_off(bench: Bench, off: float) -> None:
    """One repetition with the vendor's own time; the calls after it are signed by that at once."""
    bench.open(timed(off), providers={"t1": TIMED})
    first = bench.ask()
    assert [("t1:m", "AuthInvalid"), ("t1:m", None)] == first.trail
    assert "clock" in (first.attempts[0].message or "")
    assert [("t1:m", None)] == bench.ask().trail


def test_row_83_a_clock_is_no_excuse_for_a_wrong_key(bench: Bench) -> None:
    """Refused by the vendor's own time too: AuthInvalid that names the skew, and the account is out."""

    def refuse(request: Received) -> bytes:
        headers = {"date": formatdate(time.time() + 600, usegmt=True), "content-type": "application/json"}
        return response(401, {"error": {"message": "no such key"}}, headers)

    bench.open([ReadRequest(), Respond(refuse)], providers={"t1": TIMED})
    outcome = bench.ask()
    bench.moved(outcome, "AuthInvalid", billed=False, tries=2, closed=False)
    assert re.search("clock of this machine is off by -(599|600) s", outcome.attempts[1].message or "")
    assert [("t1:m", "AuthInvalid"), ("t2:m", None)] == bench.ask().trail
    assert 2 == len(bench.t1.requests)


def test_row_83_a_right_clock_is_not_touched(bench: Bench) -> None:
    """401 with a Date that agrees with ours is not repeated."""
    refusal = response(401, {"error": {"message": "no"}}, {"date": formatdate(usegmt=True)})
    bench.open([ReadRequest(), Respond(lambda _: refusal)], providers={"t1": TIMED})
    bench.moved(bench.ask(), "AuthInvalid", billed=False, closed=False)


class Vendor:
    """Gives tokens, counts them, and takes only the last one."""

    def __init__(self, seconds: float = 3600.0, *, refuses: bool = False, slow: float = 0.05) -> None:
        self.seconds, self.refuses, self.slow, self.given = seconds, refuses, slow, 0
        self._lock = threading.Lock()

    def __call__(self, request: Received) -> bytes:
        if request.path.endswith("/token"):
            assert f"Basic {KEY}-t1" == request.headers["authorization"]
            time.sleep(self.slow)
            with self._lock:
                self.given += 1
                if self.refuses:
                    return response(401, {"error": "invalid_client"})
                return response(200, {"token": f"{TOKEN}-{self.given}", "seconds": self.seconds})
        if not request.path.endswith(f"access_token={TOKEN}-{self.given}"):
            return response(401, {"error": {"message": "the token has ended"}})
        return answer(request)

    @property
    def script(self) -> Script:
        return [ReadRequest(), Respond(self)]


def tokens(request_paths: list[str]) -> int:
    return sum(path.endswith("/token") for path in request_paths)


def many(client: Client | AsyncClient, calls: int, bench: Bench) -> list[Any]:
    """So many calls at once."""
    if isinstance(client, AsyncClient):

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(client.chat(PROMPT) for _ in range(calls)), return_exceptions=True)

        return bench.run(all_of_them())
    done: list[Any] = []

    def one() -> None:
        try:
            done.append(client.chat(PROMPT))
        except LLMSwitchError as error:
            done.append(error)

    threads = [threading.Thread(target=one) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


CALLS = [20, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize("calls", CALLS)
def test_row_84_one_token_for_all(whole: Bench, calls: int) -> None:
    """Calls that need a token at the same time wait for one request; the token is in no trail, error or log."""
    vendor = Vendor()
    whole.open(vendor.script, alone=True, providers={"t1": FETCHED})
    done = many(whole.client, calls, whole)
    assert ["t1"] * calls == [getattr(each, "provider", repr(each)) for each in done]
    assert 1 == vendor.given
    assert TOKEN not in repr([each.attempts for each in done])


def test_row_84_a_token_that_ended_early(bench: Bench) -> None:
    """A 401 in spite of a token that should hold: one new token, one repetition."""
    vendor = Vendor()
    bench.open(vendor.script, providers={"t1": FETCHED})
    assert [("t1:m", None)] == bench.ask().trail
    vendor.given += 1  # the vendor takes the old one no longer
    assert [("t1:m", "AuthInvalid"), ("t1:m", None)] == bench.ask().trail
    assert [("t1:m", None)] == bench.ask().trail


def test_row_84_a_token_that_has_ended(bench: Bench) -> None:
    """A token is replaced when its time is over, before anything is sent with it."""
    vendor = Vendor(seconds=0.0)
    bench.open(vendor.script, providers={"t1": FETCHED})
    for number in (1, 2):
        assert [("t1:m", None)] == bench.ask().trail
        assert number == vendor.given


@pytest.mark.parametrize("calls", CALLS)
def test_row_84_no_token(whole: Bench, calls: int) -> None:
    """Where the vendor gives none, every call that waited moves on by the one refusal, and the account is out."""
    vendor = Vendor(refuses=True)
    whole.open(vendor.script, providers={"t1": FETCHED})
    done = many(whole.client, calls, whole)
    assert ["t2"] * calls == [getattr(each, "provider", repr(each)) for each in done]
    assert {"AuthInvalid"} == {each.attempts[0].error for each in done}
    assert vendor.given <= 2  # a call that comes just as the refusal does asks for itself


@pytest.mark.parametrize("fault", ["refused", "reset", "html"])
def test_row_84_the_token_cannot_be_fetched(bench: Bench, fault: str) -> None:
    """What goes wrong on the way to a token is the target's failure, and the next one answers."""
    if fault == "refused":
        server = bench.serve([])
        server.close()
        bench.open(at=server.url, providers={"t1": FETCHED})
        expected = "ConnectFailed"
    elif fault == "reset":
        from llmswitch.testing.fault_server import Reset

        bench.open([ReadRequest(), Reset()], providers={"t1": FETCHED})
        expected = "NoResponse"
    else:
        page = response(502, b"<html>bad gateway</html>", {"content-type": "text/html"})
        bench.open([ReadRequest(), Respond(lambda _: page)], providers={"t1": FETCHED})
        expected = "ServerError"
    outcome = bench.ask()
    assert (expected, "t2") == (outcome.attempts[0].error, outcome.answered.provider)


def test_row_84_a_caller_who_leaves_lets_the_next_one_fetch() -> None:
    """The call that fetches the token is cancelled: another one of those that wait takes over."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        bench = Bench(WAY_ASYNC, stack)
        vendor = Vendor(slow=0.2)
        bench.open(vendor.script, alone=True, providers={"t1": FETCHED})
        client = bench.client
        assert isinstance(client, AsyncClient)

        async def main() -> list[Any]:
            tasks = [asyncio.create_task(client.chat(PROMPT)) for _ in range(5)]
            await asyncio.sleep(0.1)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        done = bench.run(main())
        assert isinstance(done[0], asyncio.CancelledError)
        assert ["t1"] * 4 == [getattr(each, "provider", repr(each)) for each in done[1:]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_renewal() -> None:
    """A renewal that was in flight when the process forked is nobody's in the child."""
    gate = Gate()
    assert gate.enter()
    assert not gate.enter()
    child = os.fork()
    if child == 0:
        os._exit(0 if gate.enter() else 1)
    assert 0 == os.waitpid(child, 0)[1]
    assert not gate.enter()


# What may be configured


def test_a_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is not there, or that there is none of, is named, and how to give it."""
    provider = {"dialect": "openai", "base_url": "http://a.local/v1", **TIMED}
    config = {"providers": {"a": provider}, "default": "a:m"}
    with pytest.raises(ConfigError, match="no secret_key: set"):
        Client.from_config(
            {**config, "providers": {"a": {**provider, "credentials": {"access_key": {"env": "T1_KEY"}}}}}
        )
    with pytest.raises(ConfigError, match="did you mean 'secret_key'"):
        Client.from_config({**config, "providers": {"a": {**provider, "credentials": {"secret_kee": {"env": "X"}}}}})
    client = Client.from_config(config)
    credential = client._setup.chain(None).targets[0].endpoint.credential
    assert "Timed(access_key, secret_key)" == repr(credential)
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(credential)


def test_a_file_that_was_found_names_no_code(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auth.signer` is honoured only where the file was named."""
    (tmp_path / "llmswitch.toml").write_text(
        'default = "a:m"\n[providers.a]\ndialect = "openai"\nbase_url = "http://a.local"\n'
        '[providers.a.auth]\nsigner = "tests.faults.signers:Timed"\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"auth\.signer"):
        Client()
