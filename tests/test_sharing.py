"""One client shared: between threads, event loops and forked processes, over real sockets."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llmswitch import AsyncClient, Client


class _Echo(BaseHTTPRequestHandler):
    """Answers with the question, so that an answer that went to somebody else shows."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        choice = {"message": {"content": question}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None: ...  # a client that goes away is no error of the server's


@pytest.fixture
def config() -> Iterator[dict[str, Any]]:
    server = _Server(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    yield {"providers": {"echo": {"dialect": "openai", "base_url": url}}, "default": "echo:m"}
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_sixty_four_threads(config):
    """Each of 64 threads gets the answers to its own questions from one client."""
    with Client.from_config(config) as client, ThreadPoolExecutor(64) as pool:
        questions = [f"question {number}" for number in range(640)]
        assert questions == list(pool.map(lambda question: client.chat(question).text, questions))


def test_three_event_loops(config):
    """One async client works in three `asyncio.run`, one after another."""
    client = AsyncClient.from_config(config)

    async def ask(number: int) -> list[str]:
        replies = await asyncio.gather(*(client.chat(f"{number}-{each}") for each in range(20)))
        await client.aclose()
        return [reply.text for reply in replies]

    for number in range(3):
        assert [f"{number}-{each}" for each in range(20)] == asyncio.run(ask(number))


def test_the_sync_client_inside_a_running_loop(config):
    """The sync client is truly sync: it works where a loop is running."""

    async def main() -> str:
        return client.chat("inside").text

    with Client.from_config(config) as client:
        assert "inside" == asyncio.run(main())


def _child(client: Client, name: str, answers: Any) -> None:
    answers.put([client.chat(f"{name}-{number}").text for number in range(50)])


@pytest.mark.slow
def test_after_a_fork(config):
    """Forked children of a warm client get their own answers, and the parent goes on unharmed."""
    context = multiprocessing.get_context("fork")
    with Client.from_config(config) as client:
        assert "warm" == client.chat("warm").text
        answers = context.Queue()
        children = [context.Process(target=_child, args=(client, f"child{each}", answers)) for each in range(4)]
        for child in children:
            child.start()
        parent = [client.chat(f"parent-{number}").text for number in range(50)]
        got = sorted(answers.get(timeout=30) for _ in children)
        for child in children:
            child.join()
        assert [f"parent-{number}" for number in range(50)] == parent
        assert [[f"child{each}-{number}" for number in range(50)] for each in range(4)] == got


def test_a_closed_client_opens_again(config):
    """`close` ends the connections, not the client."""
    client = Client.from_config(config)
    for _ in range(2):
        assert "again" == client.chat("again").text
        client.close()


def test_connections_are_kept(config):
    """A second call uses the connection of the first: its attempt knows of no connecting."""
    with Client.from_config(config) as client:
        first, second = client.chat("one"), client.chat("two")
    assert first.attempts[0].connect_ms is not None
    assert second.attempts[0].connect_ms is None
