"""The embedded local model, served on this machine: llama.cpp's own server in a child process.

The engine (`xllamacpp`, the extra `llmswitch[local]`) speaks Chat Completions over HTTP on 127.0.0.1, on a
free port and behind a random key, so the ordinary adapter talks to it as it would to a vendor. It runs in a
child process: a crash of native code stays outside the host program. The child ends when its standard input
closes, so it never outlives its parent, however that ends.

The child is this very file run as a script. Running it by path rather than by `-m` keeps the current folder
off the child's import path, and keeps it from importing all of llmswitch; hence only the standard library is
imported at the top.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

__all__ = ["LocalModelUnavailable", "LocalServer", "RunningServer", "running_server", "start"]

Progress = Callable[[str, int, int], None]

_ENGINE = "xllamacpp"
_CONTEXT = 4096  # tokens for one conversation, prompt and answer together
_MOST_SLOTS = 4  # conversations answered at once, where there are as many cores
_PROMPT_CACHE_MIB = 256  # the engine's own default is 8192
_TAIL = 4096  # bytes of the engine's last words
_GRACE = 2.0  # seconds to end by itself


class LocalModelUnavailable(RuntimeError):
    """The embedded local model can't answer; the message says what to install or look at."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server listens: `base_url`, which ends in /v1, and the key to send as a bearer token."""

    base_url: str
    api_key: str = field(repr=False)


class LocalServer:
    """A server of one GGUF file, started when asked for and stopped when idle. Safe to share between threads.

    weights: the path of the GGUF file.
    idle_seconds: the server stops after so many seconds without a `start` or `touch`; the next `start` starts
    it anew.
    """

    def __init__(self, weights: Path, *, idle_seconds: float = 600) -> None:
        self._weights = weights
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._last_use = 0.0
        self._child: _Child | None = None
        self._running: RunningServer | None = None
        _instances.add(self)

    def start(self, timeout: float = 60, progress: Progress | None = None) -> RunningServer:
        """The running server, started first if need be. Blocks until it answers.

        timeout: seconds for the whole of it.
        progress: called with ("loading", done_bytes, total_bytes) at the beginning and at the end of loading;
        the engine reports nothing in between. Not called when the server runs already.

        Raises LocalModelUnavailable when the engine isn't installed, can't load the file, or takes too long.
        """
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise LocalModelUnavailable(
                f"The local model is being started by another thread and was not ready within {timeout:g} s."
            )
        try:
            self.touch()
            if self._running is not None and self._child is not None and self._child.process.poll() is None:
                return self._running
            self._end()
            return self._launch(deadline - time.monotonic(), progress)
        finally:
            self._lock.release()

    def touch(self) -> None:
        """Count as used now, as a long answer does while it streams."""
        self._last_use = time.monotonic()

    def stop(self) -> None:
        """End the server and free its memory. Harmless when none runs."""
        with self._lock:
            self._end()

    def _launch(self, timeout: float, progress: Progress | None) -> RunningServer:
        try:
            size = self._weights.stat().st_size
        except OSError as exc:
            raise LocalModelUnavailable(f"The local model's weights can't be read: {exc}.") from exc
        if progress is not None:
            progress("loading", 0, size)
        self._child = child = _Child(self._weights)  # kept at once, so that a fork meanwhile can let go of it
        try:
            running = child.wait_until_ready(timeout)
        except BaseException:
            self._end()
            raise
        self._running = running
        self.touch()
        threading.Thread(target=self._stop_when_idle, args=(child,), name="llmswitch-local-idle", daemon=True).start()
        if progress is not None:
            progress("loading", size, size)
        return running

    def _end(self) -> None:
        child, self._child, self._running = self._child, None, None
        if child is not None:
            child.end()

    def _stop_when_idle(self, child: _Child) -> None:
        while not child.ended.wait(max(0.0, self._last_use + self._idle_seconds - time.monotonic())):
            with self._lock:
                if self._child is child and time.monotonic() - self._last_use >= self._idle_seconds:
                    self._end()

    def _forget(self) -> None:
        """In a forked process: the server is the parent's, and so is any thread that held the lock."""
        self._lock = threading.Lock()
        child, self._child, self._running = self._child, None, None
        if child is not None:
            child.let_go()


class _Child:
    """One engine process and the pipes to it."""

    def __init__(self, weights: Path) -> None:
        from llmswitch.providers.local_weights import model_name

        if getattr(sys, "frozen", False):
            raise LocalModelUnavailable("The local model can't run in a frozen program: there is no Python to start.")
        self._weights = weights
        self._key = secrets.token_hex(32)
        self._verbose = bool(os.environ.get("LLMSWITCH_LOCAL_VERBOSE"))
        self._settings = {
            "engine_folder": _engine_folder(),
            "weights": str(weights),
            "model": model_name(weights),
            "api_key": self._key,
            "verbose": self._verbose,
        }
        self._tail = bytearray()
        self._ready = False
        self.ended = threading.Event()
        try:
            self.process = subprocess.Popen(  # noqa: S603  -- this very file
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._verbose else subprocess.PIPE,
                bufsize=0,  # an unbuffered pipe has no lock that a fork could leave locked
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as exc:
            raise LocalModelUnavailable(f"The local model's process could not be started: {exc}.") from exc
        self._drain = threading.Thread(target=self._keep_tail, name="llmswitch-local-stderr", daemon=True)
        self._drain.start()

    def wait_until_ready(self, timeout: float) -> RunningServer:
        """Tell the child what to load and wait for the port it reports."""
        reports: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(
            target=lambda: reports.put(self._exchange()), name="llmswitch-local-start", daemon=True
        ).start()
        try:
            report = json.loads(reports.get(timeout=max(0.0, timeout)) or b"{}")
        except queue.Empty:
            self._fail("it was not ready in time")
        if "port" not in report:
            self._fail(report.get("error"))
        self._ready = True
        return RunningServer(f"http://127.0.0.1:{report['port']}/v1", self._key)

    def end(self) -> None:
        """End the process by closing its stdin, or by force."""
        self.ended.set()
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def let_go(self) -> None:
        """In a forked process: close its copies of the pipes, and leave the parent's process alone."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process.returncode = 0  # nothing here may wait for it

    def _exchange(self) -> bytes:
        """Send the settings and return the child's one line; empty when it ended before that."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            try:
                self.process.stdin.write(json.dumps(self._settings).encode() + b"\n")
            except OSError:  # it has ended: its exit status and stderr tell more than a broken pipe
                return b""
            return stdout.readline()

    def _keep_tail(self) -> None:
        """Read the engine's stderr to its end, so that it never blocks; keep the last words of its start."""
        if self.process.stderr is None:
            return
        with self.process.stderr as stderr:
            while words := stderr.read(_TAIL):
                if not self._ready:  # later words may quote a request
                    self._tail += words
                    del self._tail[:-_TAIL]

    def _fail(self, error: str | None) -> NoReturn:
        self.end()
        self._drain.join(_GRACE)
        reason = error or f"its process ended with {_status(self.process.returncode)}"
        words = self._tail.decode("utf-8", "replace").strip()
        raise LocalModelUnavailable(
            f"The local model could not be started from {self._weights}: {reason}. If the file is damaged, "
            "delete it and run `llmswitch local install`. LLMSWITCH_LOCAL_VERBOSE=1 shows all its output."
            + (f" The engine's last words:\n{words}" if words else "")
        )


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _engine_folder() -> str:
    """The folder to import the engine from, found without importing it."""
    spec = importlib.util.find_spec(_ENGINE)
    if spec is None or spec.origin is None:
        raise LocalModelUnavailable(
            "The embedded local model needs its engine: `pip install 'llmswitch[local]'` (34 MB), then "
            "`llmswitch local install` for the weights (93 MB)."
        )
    return str(Path(spec.origin).parent.parent)


def running_server(weights: Path | None = None) -> LocalServer:
    """The process's one server of `weights`, by default of the file `find_weights` finds. It is not started.

    Raises LocalModelUnavailable when there are no weights on this machine; the message tells how to get them.
    """
    if weights is None:
        weights = _weights()
    return _shared.setdefault(weights, LocalServer(weights))


def start(timeout: float = 60, progress: Progress | None = None) -> RunningServer:
    """Start the embedded model if it isn't running, and say where it listens; see `LocalServer.start`.

    Raises LocalModelUnavailable, with the way out, when the engine or the weights are missing or the start
    fails.
    """
    return running_server().start(timeout, progress)


def _weights() -> Path:
    from llmswitch.providers.local_weights import WeightsMissing, find_weights

    try:
        weights = find_weights()
    except WeightsMissing as exc:
        raise LocalModelUnavailable(str(exc)) from exc
    if weights is None:
        _engine_folder()  # where both are missing, the engine is named first
        raise LocalModelUnavailable(
            "The embedded local model's weights are not on this machine: `llmswitch local install` fetches "
            "them (93 MB)."
        )
    return weights


_shared: dict[Path, LocalServer] = {}
_instances: weakref.WeakSet[LocalServer] = weakref.WeakSet()


def _forget_all() -> None:
    for server in list(_instances):
        server._forget()  # noqa: SLF001  -- this module's own


@atexit.register
def _stop_all() -> None:
    for server in list(_instances):
        server._end()  # noqa: SLF001  -- without the lock: nothing may hold up the exit


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _serve() -> None:
    """The child: load, report the port, and serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the parent
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the engine prints is no report
    settings = json.loads(sys.stdin.readline())
    # The engine holds the interpreter while it loads: a parent that dies meanwhile is noticed right after.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        server = _load(settings)
    except (ImportError, OSError, RuntimeError) as exc:
        answer: dict[str, Any] = {"error": f"{type(exc).__name__}: {exc}"}
    else:
        answer = {"port": urlsplit(server.listening_address).port}
    with report:
        report.write(json.dumps(answer) + "\n")
    if "port" in answer:
        threading.Event().wait()


def _exit_with_parent() -> None:
    os.read(0, 1)  # nothing more is ever written: this returns when the pipe closes
    os._exit(0)  # at once: the engine's threads may be in the middle of an answer


def _load(settings: dict[str, Any]) -> Any:
    """Load the weights and open the port, by the engine's own names for its parameters."""
    sys.path.append(settings["engine_folder"])
    import xllamacpp

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    params = xllamacpp.CommonParams()
    params.model.path = settings["weights"]
    params.model_alias = {settings["model"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.n_parallel = min(_MOST_SLOTS, cores)
    params.n_ctx = _CONTEXT * params.n_parallel  # the engine divides it among the slots
    # One core is left free: threads that wait for each other by spinning collapse on a busy machine.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, cores - 1)
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 3 if settings["verbose"] else 1  # 1: errors, which explain a failed start
    return xllamacpp.Server(params)


if __name__ == "__main__":
    _serve()
