"""What a failure means for the calls after it, over real sockets: no packet to whom it is known not to help."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from llmswitch import Client
from llmswitch.testing import instant_waits
from llmswitch.testing.fault_server import ReadRequest, Send, refused_port, response
from tests.everyday import sizes
from tests.faults.bench import HEALTHY, JSON, PATIENT, PROMPT, Bench, answering, completion, refusing

LATER = {"retry-after": "20"}


def again(bench: Bench, *, expected: int) -> None:
    """The next call is answered by T2, and T1 has heard so many requests by then."""
    outcome = bench.ask()
    assert HEALTHY == outcome.text
    assert expected == len(bench.t1.requests)


COOLING: dict[str, tuple[int, JSON | str, Any]] = {
    "66-rate": (429, {"error": {"message": "slow down"}}, LATER),
    "70-money": (402, "", ()),
    "71-quota": (429, {"error": {"message": "daily limit reached"}}, ()),
    "72-key": (401, "", ()),
    "73-region": (451, "", ()),
    "74-model": (404, "", ()),
}


@pytest.mark.parametrize(("status", "body", "headers"), COOLING.values(), ids=COOLING)
def test_rows_66_and_70_to_74_no_packet_to_who_is_out(
    bench: Bench, status: int, body: JSON | str, headers: Any
) -> None:
    """After a fact that lasts, the next call goes to T2 without a packet to T1."""
    outcome = bench.ask(refusing(status, body, headers))
    assert 2 == len(outcome.attempts)
    for _ in range(3):
        again(bench, expected=1)


@pytest.mark.parametrize(
    ("status", "others"), [(402, False), (401, False), (404, True)], ids=["70-money", "72-key", "74-model"]
)
def test_rows_70_and_72_and_74_the_scope_of_it(whole: Bench, status: int, others: bool) -> None:
    """Money and keys are the account's: its other models are out too. A model that is gone takes nobody along."""
    ok = [ReadRequest(), Send(response(200, completion("other model")))]
    t1, t2 = whole.serve(refusing(status), ok), whole.serve(answering())
    config = whole.config(t1.url, t2.url, limits=PATIENT)
    config["chains"]["other"] = {"targets": ["t1:other", "t2:m"], **PATIENT}
    whole.client = whole.client_of(config)
    assert HEALTHY == whole.ask().text
    assert ("other model" if others else HEALTHY) == whole.ask(options={"model": "other"}).text


@pytest.mark.parametrize("status", [500, 503], ids=["500", "503"])
def test_row_79_the_breaker_opens_at_the_fifth(whole: Bench, status: int) -> None:
    """After five failures that count T1 hears nothing more for a time; every call is answered."""
    whole.open(refusing(status, "", {"retry-after": "0"} if status == 503 else ()))
    for _ in range(12):
        assert HEALTHY == whole.ask().text
    assert 5 == len(whole.t1.requests)


def test_row_4_a_dead_port_is_knocked_at_five_times(whole: Bench) -> None:
    """So it is for a port that nobody listens on."""
    with refused_port() as port:
        whole.open(at=f"http://127.0.0.1:{port}")
        firsts = [whole.ask().attempts[0] for _ in range(8)]
    assert ["ConnectFailed"] * 5 == [attempt.error for attempt in firsts[:5]]
    assert all(attempt.skipped_because for attempt in firsts[5:])


def test_row_78_four_hundreds_are_nobodys_failure(whole: Bench) -> None:
    """What the caller got wrong opens no breaker."""
    whole.open(*[refusing(400, {"error": {"message": "wrong"}})] * 12, answering("from T1"))
    for _ in range(12):
        assert "BadRequest" == type(whole.ask().error).__name__
    assert "from T1" == whole.ask().text


def test_row_101_all_are_out(bench: Bench) -> None:
    """With every target out the call fails at once, says why of each, and sends no packet."""
    t1, t2 = bench.serve(refusing(401)), bench.serve(refusing(402))
    bench.client = bench.client_for(t1.url, t2.url)
    bench.ask()
    outcome = bench.ask()
    error: Any = outcome.error
    assert "AllTargetsUnavailable" == type(error).__name__
    assert outcome.seconds < 0.05
    assert (1, 1) == (len(t1.requests), len(t2.requests))
    assert "t1:m" in str(error)
    assert "t2:m" in str(error)


def crowd(bench: Bench, calls: int, threads: int) -> list[str]:
    """So many calls by so many threads at once."""
    client = bench.client
    assert isinstance(client, Client)
    answers: list[str] = []

    def ask() -> None:
        answers.extend(client.chat(PROMPT).text for _ in range(calls // threads))

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    return answers


@pytest.mark.parametrize("calls", sizes(60, 1000))
def test_row_91_a_crowd_at_a_dead_target(whole: Bench, calls: int) -> None:
    """Whatever the crowd, every call is answered, and T1 hears no more than five and those in flight."""
    if not whole.way.sync:
        pytest.skip("the crowd is of threads")
    threads = 20
    with instant_waits():
        whole.open(refusing(500))
        started = time.monotonic()
        assert [HEALTHY] * calls == crowd(whole, calls, threads)
    assert time.monotonic() - started < max(calls / 50, 2)
    assert calls == len(whole.t2.requests)
    assert len(whole.t1.requests) <= 5 + 2 * threads
    assert len(whole.t1.requests) + len(whole.t2.requests) <= 1.1 * calls + 5 + 2 * threads
