"""`llmswitch doctor`, with servers on this machine's loopback: where on the way it ends, and with which status."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmswitch._doctor import run as doctor

Run = Callable[..., Any]
KEY = "k-0123456789abcdefghijklmnop"


class Lister(BaseHTTPRequestHandler):
    """Lists one model, or answers as the test says."""

    status, body = 200, '{"data": [{"id": "one"}]}'

    def do_GET(self) -> None:
        content = self.body.encode()
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_CONNECT = do_GET

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts servers; each gives its port."""
    started: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(context: ssl.SSLContext | None = None, **fields: Any) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Lister,), fields))
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that the test breaks
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        port: int = server.server_address[1]
        return port

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes a configuration whose chain asks `mine:one` at that address."""
    monkeypatch.setenv("MY_KEY", KEY)

    def write(base_url: str) -> None:
        Path("llmswitch.toml").write_text(
            f"""
            chains.main.targets = ["mine:one"]
            [providers.mine]
            dialect = "openai"
            base_url = "{base_url}"
            api_key = {{ env = "MY_KEY" }}
            """
        )

    return write


def checks(result: Any) -> dict[str, dict[str, Any]]:
    """The lines of the provider in a report as JSON."""
    return {check["name"]: check for check in json.loads(result.stdout)["providers"][0]["checks"]}


def test_the_table_and_the_status(run: Run, serve: Any, configured: Any) -> None:
    """All well is status 0; a red line is status 1, and says what to do; a wrong argument is status 2."""
    configured(f"http://127.0.0.1:{serve()}/v1")
    result = run("doctor")
    assert (0, "MY_KEY" in result.stdout) == (result.exit_code, True)
    assert "one is in the list of 1" in result.stdout
    assert "nothing is wrong" in result.stderr
    assert KEY not in result.stdout + result.stderr
    configured(f"http://127.0.0.1:{serve(status=401, body='{}')}/v1")
    result = run("doctor")
    assert 1 == result.exit_code
    assert "-> make a new key" in result.stdout
    assert 2 == run("doctor", "--provider", "nobody").exit_code
    assert 2 == run("doctor", "--no-such-option").exit_code


def test_a_configuration_that_is_wrong(run: Run) -> None:
    """It is a red line of the report, which stays JSON."""
    Path("llmswitch.toml").write_text("chains.main.targets = []")
    result = run("doctor", "--json")
    assert (1, "fail") == (result.exit_code, json.loads(result.stdout)["state"])


def test_where_the_way_ends(run: Run, serve: Any, configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address, a closed port and a certificate that nobody vouches for are told apart."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = listener.getsockname()[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setattr("socket.getaddrinfo", _nobody)
    for address, layer in (
        ("https://no-such-host.invalid/v1", "dns"),
        (f"http://127.0.0.1:{closed}/v1", "tcp"),
        (f"https://127.0.0.1:{serve(context)}/v1", "tls"),
        (f"https://127.0.0.1:{serve()}/v1", "tls"),
    ):
        configured(address)
        result = run("doctor", "--json")
        host = checks(result)["host"]
        assert (1, "fail", layer) == (result.exit_code, host["state"], host["facts"]["layer"])
        assert host["todo"]


def _nobody(*_arguments: object, **_options: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_dead_vendor_holds_nobody_up(run: Run, configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and says nothing costs its own time, and is named as silent."""
    monkeypatch.setattr(doctor, "examine", partial(doctor.examine, seconds=0.3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configured(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        began = time.monotonic()
        result = run("doctor", "--json")
    assert time.monotonic() - began < 5
    assert ("fail", "http") == (checks(result)["host"]["state"], checks(result)["host"]["facts"]["layer"])


def test_a_proxy_is_said_without_its_password(run: Run, serve: Any, configured: Any) -> None:
    """Which proxy, and that it wants another password; the password itself is nowhere."""
    configured("https://api.example.com/v1")
    with Path("llmswitch.toml").open("a") as file:
        file.write(f'proxy = "http://user:pass-word9@127.0.0.1:{serve(status=407, body="")}"\n')
    Path("llmswitch.toml").chmod(0o600)
    result = run("doctor", "--json")
    assert "pass-word9" not in result.stdout + result.stderr
    assert checks(result)["proxy"]["facts"]["proxy"].startswith("http://127.0.0.1:")
    assert ("fail", "skipped") == (checks(result)["proxy"]["state"], checks(result)["host"]["state"])
