"""
From addresses to a connected socket: the addresses of one host race, so that a dead one costs a quarter of a second.

In the spirit of RFC 8305: families take turns, each address has a start before the next, and what connects first wins.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from ._resolver import Address

if TYPE_CHECKING:
    import asyncio

__all__ = ["connect", "connect_async"]

_START = 0.25  # seconds that an address has before the next one is tried beside it (RFC 8305, section 5)
_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", 0)})


def connect(addresses: Sequence[Address], by: float) -> socket.socket:
    """
    A socket that is connected to one of these addresses.

    Raises the `OSError` of the last one that failed; `TimeoutError` at `by` (monotonic seconds).
    """
    if len(addresses) == 1:
        return _connect_one(addresses[0], by)
    coming = deque(_in_turns(addresses))
    problem: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    following = monotonic()
    with selectors.DefaultSelector() as selector:
        try:
            while coming or selector.get_map():
                now = monotonic()
                if now >= by:
                    raise TimeoutError("no address answered")
                if coming and (now >= following or not selector.get_map()):
                    following = now + _START
                    try:
                        selector.register(_begin(coming.popleft()), selectors.EVENT_WRITE)
                    except OSError as failed:
                        problem, following = failed, now
                    continue
                for key, _ in selector.select((min(by, following) if coming else by) - now):
                    found = key.fileobj
                    assert isinstance(found, socket.socket)
                    selector.unregister(found)
                    number = found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if number == 0:
                        found.settimeout(None)
                        return found
                    found.close()
                    problem, following = OSError(number, os.strerror(number)), now
            raise problem
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]  # who lost the race


def _connect_one(address: Address, by: float) -> socket.socket:
    family, place = address
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        left = by - monotonic()
        if left <= 0:
            raise TimeoutError("no time was left to connect")
        made.settimeout(left)
        made.connect(place)
    except BaseException:
        made.close()
        raise
    return made


def _begin(address: Address) -> socket.socket:
    family, place = address
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        number = made.connect_ex(place)
        if number not in _UNDER_WAY:
            raise OSError(number, os.strerror(number))
    except BaseException:
        made.close()
        raise
    return made


def _in_turns(addresses: Sequence[Address]) -> list[Address]:
    """One of the first address's family, one of another, and so on; within a family as they came."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    turns: list[Address] = []
    while first or others:
        turns += [*first[:1], *others[:1]]
        first, others = first[1:], others[1:]
    return turns


async def connect_async(addresses: Sequence[Address], by: float) -> socket.socket:
    """The same, by awaiting. A task for each address that is tried, where there are several."""
    import asyncio  # which a program without it does not load

    loop = asyncio.get_running_loop()
    if len(addresses) == 1:
        return await _connect_one_async(loop, addresses[0], by)
    coming = deque(_in_turns(addresses))
    problem: BaseException = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    running: set[asyncio.Task[socket.socket]] = set()
    try:
        while coming or running:
            now = monotonic()
            if now >= by:
                raise TimeoutError("no address answered")
            if coming:
                running.add(loop.create_task(_connect_one_async(loop, coming.popleft(), by)))
            wait = min(_START, by - now) if coming else by - now
            done, running = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            won = [task for task in done if task.exception() is None]
            running.update(won[1:])
            if won:
                return won[0].result()
            problem = next((failed for task in done if (failed := task.exception()) is not None), problem)
        raise problem
    finally:
        for task in running:
            task.add_done_callback(_close_loser)
            task.cancel()


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect_one_async(loop: asyncio.AbstractEventLoop, address: Address, by: float) -> socket.socket:
    import asyncio

    family, place = address
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        async with asyncio.timeout(by - monotonic()):
            await loop.sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made
