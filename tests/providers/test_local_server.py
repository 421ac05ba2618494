"""The embedded model's server: one child process, one key, and no orphan."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from llmswitch.providers import local_server, local_weights
from llmswitch.providers.local_server import LocalModelUnavailable, LocalServer, RunningServer

ROOT = Path(__file__).parents[2]

# Stands in for the engine: it listens, answers nobody, and does what the first word of the "weights" says.
ENGINE = """
import json, os, socket, sys, threading, time
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        for group in ("model", "cpuparams", "cpuparams_batch"):
            setattr(self, group, SimpleNamespace())

class Server:
    def __init__(self, params):
        with open(params.model.path) as file:
            order = file.read()
        with open(params.model.path + ".starts", "a") as file:
            file.write(json.dumps({"pid": os.getpid(), "argv": sys.orig_argv, "environ": dict(os.environ),
                "key": params.api_keys[0], "alias": list(params.model_alias), "context": params.n_ctx,
                "slots": params.n_parallel, "hosts": params.hostnames}) + "\\n")
        print("noise on the engine's stdout", flush=True)
        print("last words", file=sys.stderr, flush=True)
        if order == "fail":
            raise RuntimeError("cannot load")
        if order == "exit":
            os._exit(3)
        if order == "hang":
            time.sleep(60)
        listener = socket.create_server(("127.0.0.1", 0))
        self.listening_address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.listener = listener
"""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put the stand-in before the real engine, here and in every child; return its folder."""
    folder = tmp_path / "engine"
    package = folder / "xllamacpp"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    monkeypatch.delenv("LLMSWITCH_LOCAL_VERBOSE", raising=False)
    return folder


@pytest.fixture
def weights(engine: Path, tmp_path: Path) -> Path:
    """A file that the stand-in takes for weights."""
    path = tmp_path / "toy.gguf"
    path.write_text("serve")
    return path


@pytest.fixture
def server(weights: Path) -> Iterator[LocalServer]:
    """A server of the stand-in, not started."""
    made = LocalServer(weights)
    yield made
    made.stop()


def starts(weights: Path) -> list[dict[str, object]]:
    """What each child that was ever started has noted of itself."""
    return [json.loads(line) for line in weights.with_name(weights.name + ".starts").read_text().splitlines()]


def listens(running: RunningServer) -> bool:
    address = urlsplit(running.base_url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):  # it is ending
        return False
    return True


def ends_within(running: RunningServer, seconds: float) -> bool:
    """Whether nothing listens there any more, soon enough: of a zombie a process id can't tell."""
    deadline = time.monotonic() + seconds
    while listens(running):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def parent(script: str, weights: Path) -> subprocess.Popen[str]:
    """A Python process that runs `script` with a started `server`, having printed where it listens."""
    begin = f"""
        import os, sys, time
        from pathlib import Path
        from llmswitch.providers.local_server import LocalServer
        server = LocalServer(Path({str(weights)!r}))
        running = server.start()
        print(running.base_url, running.api_key, flush=True)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)])},
    )


def told(process: subprocess.Popen[str]) -> RunningServer:
    assert process.stdout is not None
    return RunningServer(*process.stdout.readline().split())


def test_start_says_where_and_hides_the_key(server: LocalServer, weights: Path) -> None:
    """Starting returns a loopback address ending in /v1 and a 256-bit key, which the repr leaves out."""
    running = server.start()
    assert listens(running)
    assert running.base_url.startswith("http://127.0.0.1:")
    assert running.base_url.endswith("/v1")
    assert len(bytes.fromhex(running.api_key)) == 32
    assert running.api_key not in repr(running)
    [child] = starts(weights)
    assert (running.api_key, ["127.0.0.1"], ["toy"]) == (child["key"], child["hosts"], child["alias"])


@pytest.mark.slow
def test_every_slot_has_the_same_context(server: LocalServer, weights: Path) -> None:
    """Each of up to four conversations at once has 4096 tokens for itself."""
    server.start()
    [child] = starts(weights)
    assert child["slots"] in range(1, 5)
    assert child["context"] == 4096 * int(str(child["slots"]))


def test_the_key_is_in_no_argument_and_no_variable(server: LocalServer, weights: Path) -> None:
    """The key reaches the child through its stdin alone."""
    key = server.start().api_key
    [child] = starts(weights)
    assert key not in json.dumps([child["argv"], child["environ"]])
    assert key not in json.dumps(dict(os.environ))


def test_a_running_server_is_started_once(server: LocalServer, weights: Path) -> None:
    """Sixty-four threads that start at once get the same server, and one child runs."""
    together = threading.Barrier(64)
    results: list[RunningServer] = []

    def begin() -> None:
        together.wait()
        results.append(server.start())

    threads = [threading.Thread(target=begin) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 64
    assert len(set(results)) == 1
    assert len(starts(weights)) == 1


def test_a_dead_child_is_replaced(server: LocalServer, weights: Path) -> None:
    """After the child was killed the next start starts another, with another key."""
    first = server.start()
    os.kill(int(str(starts(weights)[0]["pid"])), signal.SIGTERM)
    assert ends_within(first, 3)
    assert server._child is not None
    server._child.process.wait(3)
    second = server.start()
    assert listens(second)
    assert second.api_key != first.api_key


def test_stop_ends_the_child_and_start_begins_anew(server: LocalServer, weights: Path) -> None:
    """Stopping ends the server, may be done twice, and leaves it to be started again."""
    first = server.start()
    server.stop()
    server.stop()
    assert not listens(first)
    assert listens(server.start())


@pytest.mark.slow
def test_progress_tells_the_beginning_and_the_end(server: LocalServer, weights: Path) -> None:
    """The callback gets the file's size before and after loading, and nothing when the server runs."""
    calls: list[tuple[str, int, int]] = []
    server.start(progress=lambda *call: calls.append(call))
    server.start(progress=lambda *call: calls.append(call))
    assert calls == [("loading", 0, 5), ("loading", 5, 5)]


@pytest.mark.slow
def test_an_idle_server_stops_and_starts_again(weights: Path) -> None:
    """A server that nobody touches stops by itself; one that is touched stays."""
    server = LocalServer(weights, idle_seconds=0.4)
    running = server.start()
    for _ in range(5):
        time.sleep(0.1)
        server.touch()
    assert listens(running)
    assert ends_within(running, 2)
    assert listens(server.start())
    server.stop()


@pytest.mark.parametrize(
    ("order", "reason"),
    [("fail", "RuntimeError: cannot load"), ("exit", "its process ended with exit status 3")],
)
def test_a_failed_start_says_why(server: LocalServer, weights: Path, order: str, reason: str) -> None:
    """The error carries the reason, the file, the engine's last words and what to do."""
    weights.write_text(order)
    with pytest.raises(LocalModelUnavailable) as caught:
        server.start()
    message = str(caught.value)
    for part in (reason, str(weights), "last words", "llmswitch local install", "LLMSWITCH_LOCAL_VERBOSE=1"):
        assert part in message
    assert str(starts(weights)[0]["key"]) not in message
    weights.write_text("serve")
    assert listens(server.start())


@pytest.mark.slow
def test_a_slow_start_is_given_up(server: LocalServer, weights: Path) -> None:
    """A start beyond its timeout is an error, for a waiting thread too, and leaves no child."""
    weights.write_text("hang")
    errors: list[str] = []

    def begin() -> None:
        with pytest.raises(LocalModelUnavailable) as caught:
            server.start(timeout=0.5)
        errors.append(str(caught.value))

    threads = [threading.Thread(target=begin) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 3
    assert any("not ready in time" in error for error in errors)
    assert server._child is None


def test_weights_that_vanished_are_named(server: LocalServer, weights: Path) -> None:
    """A file that is gone by the time of the start is reported, and no child is started."""
    weights.unlink()
    with pytest.raises(LocalModelUnavailable, match=r"toy\.gguf"):
        server.start()


@pytest.mark.slow
def test_verbose_shows_what_the_engine_says(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """LLMSWITCH_LOCAL_VERBOSE lets the engine's output through to stderr; otherwise nothing is shown."""
    server.start()
    server.stop()
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("LLMSWITCH_LOCAL_VERBOSE", "1")
    server.start()
    server.stop()
    output = capfd.readouterr()
    assert "last words" in output.err
    assert output.out == ""


@pytest.mark.slow
def test_the_current_folder_lends_the_child_no_module(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A json.py in the current folder does not run in the child."""
    tmp_path.joinpath("json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    assert listens(server.start())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_an_interrupt_does_not_reach_the_child(server: LocalServer, weights: Path) -> None:
    """Ctrl-C, which goes to the whole process group, leaves the server running."""
    running = server.start()
    os.kill(int(str(starts(weights)[0]["pid"])), signal.SIGINT)
    time.sleep(0.1)
    assert listens(running)


def test_the_child_ends_with_the_program(weights: Path) -> None:
    """A program that just ends leaves no server behind, and no warning either."""
    process = parent("", weights)
    running = told(process)
    output, complaints = process.communicate(timeout=10)
    assert (process.returncode, output, complaints) == (0, "", "")
    assert ends_within(running, 0.5)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_child_ends_with_a_killed_parent_though_a_fork_lives(weights: Path) -> None:
    """Kill -9 of the parent ends its server within 3 s, even where a fork of the parent lives on."""
    process = parent(
        """
        sibling = os.fork()
        if sibling == 0:
            time.sleep(30)
            os._exit(0)
        print(sibling, flush=True)
        sys.stdin.read()
        """,
        weights,
    )
    with process:
        running = told(process)
        assert process.stdout is not None
        sibling = int(process.stdout.readline())
        try:
            assert listens(running)
            process.kill()
            assert ends_within(running, 3)
        finally:
            os.kill(sibling, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_starts_its_own(weights: Path) -> None:
    """A process forked at any moment neither uses nor ends the server of its parent: it starts its own."""
    process = parent(
        """
        import socket, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        with server._lock:  # as if another thread were starting it just now
            child = os.fork()
        if child == 0:
            own = server.start(timeout=5)
            print(own.base_url, own.api_key, flush=True)
            sys.exit(0)  # runs the handlers of atexit
        os.waitpid(child, 0)
        print(server.start() == running, flush=True)
        sys.stdin.read()
        """,
        weights,
    )
    with process:
        first, second = told(process), told(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        assert listens(first)
        assert ends_within(second, 1)
        assert (first.api_key, first.base_url) != (second.api_key, second.base_url)


def test_a_missing_engine_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine the error names the extra to install, even where the weights are missing too."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr(local_weights, "find_weights", lambda: None)
    with pytest.raises(LocalModelUnavailable, match=r"pip install 'llmswitch\[local\]'"):
        local_server.start()


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch, engine: Path) -> None:
    """With the engine and without weights the error names the command that fetches them."""
    monkeypatch.setattr(local_weights, "find_weights", lambda: None)
    with pytest.raises(LocalModelUnavailable, match="`llmswitch local install`"):
        local_server.start()


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, engine: Path) -> None:
    """A LLMSWITCH_LOCAL_MODEL that names no file is what the error speaks of."""
    monkeypatch.setenv("LLMSWITCH_LOCAL_MODEL", "nowhere.gguf")
    with pytest.raises(LocalModelUnavailable, match=r"LLMSWITCH_LOCAL_MODEL.*nowhere\.gguf"):
        local_server.start()


def test_the_process_shares_one_server_per_file(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """The module's start serves the file that is found, and the same file always by the same server."""
    monkeypatch.setenv("LLMSWITCH_LOCAL_MODEL", str(weights))
    running = local_server.start()
    shared = local_server.running_server()
    assert shared is local_server.running_server(weights)
    assert running == shared.start()
    shared.stop()
    assert not listens(running)


# From here on the real engine.

real = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the extra 'local'")
HELLO = {
    "messages": [{"role": "user", "content": "Say hello in five words"}],
    "temperature": 0,
    "max_tokens": 40,
}


def client(running: RunningServer, key: str | None = None) -> httpx.Client:
    return httpx.Client(
        base_url=running.base_url + "/",
        headers={"Authorization": f"Bearer {key or running.api_key}"},
        timeout=60,
        trust_env=False,
    )


def streamed(http: httpx.Client, request: dict[str, object]) -> list[str]:
    """The data of the events of a streamed answer."""
    with http.stream("POST", "chat/completions", json={**request, "stream": True}) as response:
        assert response.status_code == 200
        return [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]


@pytest.fixture
def tiny(tiny_gguf: Path) -> Iterator[RunningServer]:
    """The real engine serving random weights."""
    server = LocalServer(tiny_gguf)
    yield server.start()
    server.stop()


@real
@pytest.mark.slow
def test_the_engine_answers_and_streams(tiny: RunningServer) -> None:
    """With its key the server answers in one piece and as a stream that ends with [DONE]."""
    request = {**HELLO, "grammar": "root ::= [a-z]+"}  # noise is seldom UTF-8
    with client(tiny) as http:
        whole = http.post("chat/completions", json=request).raise_for_status().json()
        events = streamed(http, request)
    assert whole["model"] == "tiny"
    assert whole["usage"]["completion_tokens"] == 40
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    assert len(pieces) > 40
    assert whole["choices"][0]["message"]["content"] == "".join(pieces)


@real
@pytest.mark.slow
@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages", "embeddings"])
def test_the_engine_refuses_another_key(tiny: RunningServer, path: str) -> None:
    """Whoever lacks the key gets 401."""
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
        with httpx.Client(headers=headers, trust_env=False) as http:
            assert http.post(f"{tiny.base_url}/{path}", json=HELLO).status_code == 401


@real
@pytest.mark.slow
def test_the_engine_gives_a_request_4096_tokens(tiny: RunningServer) -> None:
    """A prompt beyond 4096 tokens is a 400 that says so."""
    with client(tiny) as http:
        response = http.post("chat/completions", json={"messages": [{"role": "user", "content": "x" * 5000}]})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "exceed_context_size_error"
    assert response.json()["error"]["n_ctx"] == 4096


@real
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_the_engine_ends_with_a_parent_killed_in_the_middle_of_an_answer(tiny_gguf: Path) -> None:
    """A parent killed by kill -9 takes the real engine along within 3 s, though it is streaming."""
    process = parent("sys.stdin.read()", tiny_gguf)
    with process:
        running = told(process)
        endless = {**HELLO, "max_tokens": 4000, "ignore_eos": True, "stream": True}
        with client(running) as http, http.stream("POST", "chat/completions", json=endless) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("data: ")
            process.kill()
            assert ends_within(running, 3)
            with pytest.raises(httpx.TransportError):
                list(lines)


@real
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_the_engine_ignores_an_interrupt(tiny_gguf: Path) -> None:
    """The real engine installs no handler of its own that would end it at Ctrl-C."""
    server = LocalServer(tiny_gguf)
    running = server.start()
    assert server._child is not None
    server._child.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    with client(running) as http:
        http.post("chat/completions", json=HELLO).raise_for_status()
    server.stop()


@real
@pytest.mark.slow
def test_the_engine_explains_a_file_it_cannot_load(tmp_path: Path) -> None:
    """For a file that is no GGUF the error carries the engine's own explanation."""
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk" * 100)
    with pytest.raises(LocalModelUnavailable, match=r"junk\.gguf(.|\n)*expected 'GGUF'"):
        LocalServer(path).start()


@real
@pytest.mark.slow
def test_smollm2_says_hello_and_classifies() -> None:
    """The real model answers in words, and keeps to a JSON schema."""
    weights = local_weights.find_weights()
    if weights is None or local_weights.model_name(weights) != local_weights.MODEL_NAME:
        pytest.skip("SmolLM2's weights are not on this machine")
    schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
    review = "Classify the mood of this review: 'I love this library, it is wonderful!'"
    with client(local_server.start()) as http:
        hello = http.post("chat/completions", json=HELLO).raise_for_status().json()
        mood = http.post(
            "chat/completions",
            json={
                "messages": [{"role": "user", "content": review}],
                "temperature": 0,
                "response_format": {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}},
            },
        )
    local_server.running_server().stop()
    assert hello["model"] == "smollm2-135m-instruct"
    assert "hello" in hello["choices"][0]["message"]["content"].lower()
    assert json.loads(mood.raise_for_status().json()["choices"][0]["message"]["content"])["mood"] == "good"
