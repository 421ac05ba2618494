"""
Names to addresses, within a time limit, in threads of our own.

A look-up can't be interrupted, and the event loop's own threads are few, so one vendor's silent name server could keep
every other name from being looked up. Here each name has a thread for itself, and no more than a few.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeAlias

__all__ = ["Address", "resolve", "resolve_async"]

Address: TypeAlias = tuple[int, Any]
"""A family of addresses and an address of it, as a socket takes them."""

_MOST = 4  # look-ups of one name at once
_PATIENCE = 2.0  # seconds after which a look-up that says nothing is not joined any more, but tried beside


class _Lookup:
    """One look-up that is under way. `done` functions are called in its thread."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.started = monotonic()
        self.found: list[Address] | OSError | None = None
        self._waiting: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Raises `OSError` where this process can have no more threads."""
        # a daemon: a program that ends does not wait for a name server
        thread = threading.Thread(target=self._run, name=f"llmswitch resolves {self.host}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise OSError(errno.EAGAIN, "no thread can be started to look a name up") from None

    def _run(self) -> None:
        try:
            # bytes, since the encoding of international names is the caller's and was done before
            found = socket.getaddrinfo(self.host.encode("ascii"), self.port, type=socket.SOCK_STREAM)
            self.found = [(family, address) for family, _, _, _, address in found]
        except OSError as problem:
            self.found = problem.with_traceback(None)
        except ValueError:
            self.found = OSError(errno.EINVAL, "this name can't be looked up")
        _ended(self)
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def tell(self, done: Callable[[], object]) -> None:
        """Call this when it is done, which may be now."""
        with self._lock:
            if self.found is None:
                self._waiting.append(done)
                return
        done()

    def addresses(self) -> list[Address]:
        """What was found. Raises the `OSError` of a look-up that failed, `TimeoutError` where it is not done."""
        if self.found is None:
            raise TimeoutError("the name server did not answer")
        if isinstance(self.found, OSError):
            raise self.found
        return self.found


_lookups: dict[tuple[str, int], list[_Lookup]] = {}
_lock = threading.Lock()


def _lookup(host: str, port: int) -> _Lookup:
    """A look-up of this name that is under way, or a new one."""
    with _lock:
        running = _lookups.setdefault((host, port), [])
        if running and (monotonic() - running[-1].started < _PATIENCE or len(running) >= _MOST):
            return running[-1]
        lookup = _Lookup(host, port)
        running.append(lookup)
    try:
        lookup.begin()
    except OSError:
        _ended(lookup)
        raise
    return lookup


def _ended(lookup: _Lookup) -> None:
    key = (lookup.host, lookup.port)
    with _lock:
        running = _lookups.get(key, [])
        if lookup in running:
            running.remove(lookup)
        if not running:
            _lookups.pop(key, None)


def _as_it_is(host: str, port: int) -> list[Address] | None:
    """The address, where the host is one already."""
    try:
        if ":" in host:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return [(family, address) for family, _, _, _, address in found]
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return None
    return [(socket.AF_INET, (host, port))]


def resolve(host: str, port: int, by: float) -> list[Address]:
    """The addresses of a host. Raises `OSError` where it has none, `TimeoutError` at `by` (monotonic seconds)."""
    known = _as_it_is(host, port)
    if known is not None:
        return known
    lookup, done = _lookup(host, port), threading.Event()
    lookup.tell(done.set)
    done.wait(max(0.0, by - monotonic()))
    return lookup.addresses()


async def resolve_async(host: str, port: int, by: float) -> list[Address]:
    """The same, by awaiting."""
    known = _as_it_is(host, port)
    if known is not None:
        return known
    import asyncio  # which a program without it does not load

    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:
            pass  # the loop was closed, and the call with it

    lookup = _lookup(host, port)
    lookup.tell(tell)
    timer = loop.call_at(loop.time() + max(0.0, by - monotonic()), finish)
    try:
        await done
    finally:
        timer.cancel()
    return lookup.addresses()


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _lock  # noqa: PLW0603 - the parent's may be held for ever
    _lock = threading.Lock()
    _lookups.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
