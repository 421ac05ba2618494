"""Event loops, threads, forks and exits: one client in all of them."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from llmswitch import AsyncClient, Client, LLMSwitchError
from llmswitch.testing.fault_server import (
    FaultServer,
    Hang,
    Pause,
    ReadRequest,
    Received,
    Respond,
    Send,
    WaitFor,
    chunk,
    event_bytes,
    response,
    sse,
    sse_head,
)
from tests.everyday import many
from tests.faults.bench import DONE, HEALTHY, PATIENT, PROMPT, STOP, WAY_SYNC, Bench, answering, completion, text

ROOT = Path(__file__).parents[2]
can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def echo(request: Received) -> bytes:
    """Answers with what was asked, so that an answer of somebody else is seen."""
    body = request.json()
    said = body["messages"][-1]["content"]
    return sse([text(said), STOP, DONE]) if body.get("stream") else response(200, completion(said))


ECHO = [ReadRequest(), Respond(echo)]


def config_of(server: FaultServer) -> dict[str, object]:
    return Bench(WAY_SYNC, ExitStack()).config(server.url, limits=PATIENT)


# Loops


def test_row_94_three_loops() -> None:
    """A client that is used in three event loops, one after the other, answers in each of them."""
    with FaultServer(answering()) as server:
        client = AsyncClient.from_config(config_of(server))

        async def ask() -> str:
            try:
                return (await client.chat(PROMPT)).text
            finally:
                await client.aclose()

        assert [HEALTHY] * 3 == [asyncio.run(ask()) for _ in range(3)]
        assert server.wait_closed()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_row_94_three_loops_without_closing() -> None:
    """Also where nobody closes it; connections of loops that are gone are not kept."""
    with FaultServer(answering()) as server:
        client = AsyncClient.from_config(config_of(server))

        async def ask() -> str:
            return (await client.chat(PROMPT)).text

        assert [HEALTHY] * 5 == [asyncio.run(ask()) for _ in range(5)]
        gc.collect()
        server.wait_closed(0.3)
        assert server.open <= 1
        gc.collect()


def test_row_94_two_loops_at_once() -> None:
    """Two threads, each with a loop of its own, may share one client."""
    with FaultServer(ECHO) as server:
        client = AsyncClient.from_config(config_of(server))
        wrong: list[str] = []

        async def ask(name: str) -> None:
            replies = await asyncio.gather(*(client.chat(f"{name}-{number}") for number in range(20)))
            wrong.extend(reply.text for number, reply in enumerate(replies) if reply.text != f"{name}-{number}")
            await client.aclose()

        threads = [threading.Thread(target=lambda name=name: asyncio.run(ask(name))) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [] == wrong
        assert 40 == len(server.requests)


# Forks


def ask_many(client: Client, name: str, number: int) -> list[str]:
    """Answers that are not what this process asked."""
    wrong = []
    for at in range(number):
        asked = f"{name}-{at}"
        if at % 2:
            with client.stream(asked) as stream:
                said = "".join(stream.text)
        else:
            said = client.chat(asked).text
        if said != asked:
            wrong.append(f"{asked}: {said}")
    return wrong


def forked(number: int, children: int) -> None:
    """A client that is warm, forked so often; each process asks so many times, all at once."""
    with FaultServer(ECHO) as server, Client.from_config(config_of(server)) as client:
        assert [] == ask_many(client, "warm", 2)
        pipes = []
        for child in range(children):
            reading, writing = os.pipe()
            process = os.fork()
            if process == 0:  # the child: it must leave by _exit, or pytest would go on in it too
                try:
                    wrong = ask_many(client, f"child-{child}", number)
                except BaseException as problem:
                    wrong = [repr(problem)]
                os.write(writing, json.dumps(wrong[:5]).encode())
                os._exit(0)
            os.close(writing)
            pipes.append((process, reading))
        wrong = ask_many(client, "parent", number)
        for process, reading in pipes:
            with os.fdopen(reading, "rb") as pipe:
                wrong += json.loads(pipe.read())
            os.waitpid(process, 0)
        assert [] == wrong
        assert 2 + number * (children + 1) == len(server.requests)


@can_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_row_95_forked() -> None:
    """Children of a process with a warm client get their own answers, and do the parent no harm."""
    forked(12, children=2)


@pytest.mark.slow
@can_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_row_95_forked_for_thousands_of_calls() -> None:
    """4,000 calls; the row's own number is 10,000, and more than that are made where LLMSWITCH_THOROUGH is 3."""
    forked(many(1_000), children=3)


@can_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_row_95_forked_in_the_middle_of_a_stream() -> None:
    """A child that lets go of the parent's open stream does not cut the parent's answer."""
    go = threading.Event()
    rest = chunk(event_bytes(text("two"))) + chunk(event_bytes(STOP)) + b"0\r\n\r\n"
    script = [ReadRequest(), Send(sse_head() + chunk(event_bytes(text("one "))))]

    with (
        FaultServer([*script, WaitFor(go), Send(rest)], ECHO) as server,
        Client.from_config(config_of(server)) as client,
    ):
        stream = client.stream(PROMPT)
        first = next(stream)
        process = os.fork()
        if process == 0:
            try:
                stream.close()
                code = 0 if client.chat("child").text == "child" else 1
            except BaseException:
                code = 2
            os._exit(code)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        go.set()
        assert "one two" == first.text + "".join(stream.text)  # type: ignore[union-attr]


@can_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_row_95_a_child_that_reads_on() -> None:
    """A child that reads on in the parent's open stream gets nothing of it, and takes nothing of it."""
    go = threading.Event()
    rest = chunk(event_bytes(text("two"))) + chunk(event_bytes(STOP)) + b"0\r\n\r\n"
    script = [ReadRequest(), Send(sse_head() + chunk(event_bytes(text("one "))))]
    with FaultServer([*script, WaitFor(go), Send(rest)]) as server, Client.from_config(config_of(server)) as client:
        stream = client.stream(PROMPT)
        first = next(stream)
        process = os.fork()
        if process == 0:
            try:
                next(stream)
                code = 1
            except LLMSwitchError:
                code = 0
            except BaseException:
                code = 2
            os._exit(code)
        go.set()
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert "one two" == first.text + "".join(stream.text)  # type: ignore[union-attr]


def child_asks(config: dict[str, object], names: list[str]) -> list[str]:
    with Client.from_config(config) as client:
        return [client.chat(name).text for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_row_95_multiprocessing(method: str) -> None:
    """The workers of a pool answer too, however they are started."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    with FaultServer(ECHO) as server:
        config = config_of(server)
        with multiprocessing.get_context(method).Pool(2) as pool:
            names = [[f"{worker}-{at}" for at in range(10)] for worker in range(4)]
            assert names == pool.starmap(child_asks, [(config, each) for each in names])


# Threads


@pytest.mark.slow
def test_row_96_64_threads() -> None:
    """64 threads share one client; each gets its own answers."""
    with FaultServer(ECHO) as server, Client.from_config(config_of(server)) as client:
        wrong: list[str] = []
        threads = [
            threading.Thread(target=lambda name=str(number): wrong.extend(ask_many(client, name, 4)))
            for number in range(64)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [] == wrong
        assert 256 == len(server.requests)
        assert server.accepted <= 64


def test_row_96_the_sync_client_in_a_running_loop() -> None:
    """The sync client works inside a running loop; it blocks that loop, and nothing locks up."""
    with FaultServer(ECHO) as server, Client.from_config(config_of(server)) as client:

        async def main() -> list[str]:
            direct = client.chat("direct").text
            beside = await asyncio.gather(*(asyncio.to_thread(client.chat, f"beside-{at}") for at in range(5)))
            return [direct, *(reply.text for reply in beside)]

        assert ["direct", *(f"beside-{at}" for at in range(5))] == asyncio.run(main())


def test_row_96_a_stream_that_another_thread_ends() -> None:
    """A stream that was begun in one thread may be read and closed in another."""
    with FaultServer(ECHO) as server, Client.from_config(config_of(server)) as client:
        stream = client.stream("elsewhere")
        first = next(stream)
        rest: list[object] = []
        thread = threading.Thread(target=lambda: rest.extend(stream))
        thread.start()
        thread.join(10)
        assert "elsewhere" == first.text  # type: ignore[union-attr]
        assert 1 == len(rest)
        assert "elsewhere" == stream.reply.text


def test_row_96_closing_while_others_ask() -> None:
    """Closing the client in one thread does not crash the others: they answer, or fail as llmswitch."""
    with FaultServer([ReadRequest(), Pause(0.01), Respond(echo)]) as server:
        client = Client.from_config(config_of(server))
        problems: list[BaseException] = []

        def ask(name: str) -> None:
            for at in range(10):
                try:
                    assert f"{name}-{at}" == client.chat(f"{name}-{at}", timeout=1).text
                except LLMSwitchError:
                    pass  # its connection was closed under it
                except BaseException as problem:
                    problems.append(problem)

        threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.02)
            client.close()
        for thread in threads:
            thread.join(20)
        client.close()
        assert [] == problems
        assert not any(thread.is_alive() for thread in threads)


def test_row_96_closing_ends_what_is_in_flight() -> None:
    """A call that waits for its answer ends when another thread closes the client, not with its time limit."""
    with FaultServer([ReadRequest(), Hang()]) as server:
        client = Client.from_config(config_of(server))
        ended: list[float] = []

        def ask() -> None:
            with pytest.raises(LLMSwitchError):
                client.chat(PROMPT, timeout=1.5)
            ended.append(time.monotonic())

        thread = threading.Thread(target=ask)
        thread.start()
        assert server.wait_for_requests(1)
        closed = time.monotonic()
        client.close()
        thread.join(10)
        assert ended[0] - closed < 1.0


# Exits

SYNC_EXIT = """
    stream = Client.from_config(config).stream("x")
    next(stream)
"""
ASYNC_EXIT = """
    async def main():
        global stream
        stream = AsyncClient.from_config(config).stream("x")
        await anext(stream)
        LEAVE
    try:
        asyncio.run(main())
    except KeyError:
        pass
"""
THREAD_EXIT = """
    import threading
    client = Client.from_config(config)
    threading.Thread(target=lambda: client.chat("x"), daemon=True).start()
    time.sleep(0.2)
"""
EXITS = {
    "sync": SYNC_EXIT,
    "sync-sys-exit": SYNC_EXIT + "    sys.exit(0)\n",
    "async": ASYNC_EXIT.replace("LEAVE", "pass"),
    "async-error": ASYNC_EXIT.replace("LEAVE", "raise KeyError"),
    "async-task": ASYNC_EXIT.replace("LEAVE", "asyncio.ensure_future(anext(stream)); await asyncio.sleep(0.01)"),
    "daemon-thread": THREAD_EXIT,
}
REST = ("sync-sys-exit", "async", "async-task", "daemon-thread")


@pytest.mark.parametrize("how", ["async-error", *(pytest.param(how, marks=pytest.mark.slow) for how in REST)])
def test_row_98_exit_with_open_streams(how: str) -> None:
    """A program that ends with a stream open ends at once, with nothing on stderr."""
    with FaultServer([ReadRequest(), Send(sse_head() + chunk(event_bytes(text("one ")))), Hang()]) as server:
        code = textwrap.dedent(
            """
            import asyncio, json, sys, time
            from llmswitch import AsyncClient, Client, LLMSwitchError
            config = json.loads(sys.argv[1])
            """
        ) + textwrap.dedent(EXITS[how])
        started = time.monotonic()
        run = subprocess.run(
            [sys.executable, "-c", code, json.dumps(config_of(server))],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            cwd=ROOT,
        )
        assert (0, "") == (run.returncode, run.stderr)
        assert time.monotonic() - started < 10
        assert 1 == len(server.requests)
