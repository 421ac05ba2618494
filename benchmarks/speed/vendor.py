"""
A vendor that costs its clients nothing: `python -m benchmarks.speed.vendor` prints its port and serves.

It is a bare asyncio protocol that reads no more of a request than it must and writes bytes that were made before. What
it answers is chosen by the first part of the path: `/whole`, `/burst`, `/paced`, `/idle`, `/fail`, `/other`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.wire import DONE, JSON, ROLE, STOP, USAGE, completion, words

__all__ = ["BURST", "PACED", "serving"]

BURST, PACED = 2_000, 200
"""Words of a stream that comes at once, and of one that comes an event at a time."""

_PACE = 0.0005  # seconds between two events: more than the slowest client needs for one
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _answer(status: bytes, body: JSON) -> bytes:
    raw = json.dumps(body).encode()
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(raw))
    return head + raw


def _events(count: int) -> list[bytes]:
    """Each event as a chunk of its own."""
    said = [*(json.dumps(each) for each in (ROLE, *words(count), STOP, USAGE)), DONE]
    events = [b"data: %s\n\n" % each.encode() for each in said]
    return [b"%x\r\n%s\r\n" % (len(event), event) for event in events]


_WHOLE = _answer(b"200 OK", completion("word " * 100))
_FAILED = _answer(b"500 Internal Server Error", {"error": {"message": "it failed", "type": "server_error"}})
_BURST = _HEAD + b"".join(_events(BURST)) + _END
_SLOWLY = _events(PACED)
_FIRST = _HEAD + b"".join(_events(1)[:2])


class _Vendor(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._came: list[bytes] = []
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        self._came.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        request = self._came[0] if len(self._came) == 1 else b"".join(self._came)
        head, found, body = request.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self._missing = length - len(body)
        if self._missing <= 0:
            self._came.clear()
            self._missing = 0
            self._say(head.split(b"/", 2)[1])

    def _say(self, kind: bytes) -> None:
        if kind == b"paced":
            self._transport.write(_HEAD)
            self._go_on(0)
        else:
            self._transport.write({b"burst": _BURST, b"idle": _FIRST, b"fail": _FAILED}.get(kind, _WHOLE))

    def _go_on(self, number: int) -> None:
        if self._transport.is_closing():
            return
        if number == len(_SLOWLY):
            self._transport.write(_END)
            return
        self._transport.write(_SLOWLY[number])
        asyncio.get_running_loop().call_later(_PACE, self._go_on, number + 1)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Vendor, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving() -> Iterator[str]:
    """The vendor in a process of its own, which ends with the block; its URL without a path."""
    command = [sys.executable, "-m", "benchmarks.speed.vendor"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve())
