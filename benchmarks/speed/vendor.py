"""
A vendor that costs its clients nothing: `python -m benchmarks.speed.vendor` prints its port and serves.

It is a bare asyncio protocol that reads no more of a request than it must and writes bytes that were made before. What
it answers is chosen by the first part of the path: `/whole`, `/burst`, `/paced`, `/idle`, `/fail`, and `/failed`, which
tells how often it was asked to fail. The rest of the path says in which protocol: `/v1/messages` is that of Anthropic.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.asking import BURST, PACED
from benchmarks.wire import DONE, JSON, ROLE, STOP, USAGE, completion, words

__all__ = ["serving"]

_PACE = 0.0005  # seconds between two events: more than the slowest client needs for one
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _answer(status: bytes, body: JSON) -> bytes:
    raw = json.dumps(body).encode()
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(raw))
    return head + raw


def _chunks(said: list[str]) -> list[bytes]:
    """Each event as a chunk of its own."""
    return [b"%x\r\n%s\r\n" % (len(event), event) for event in (each.encode() for each in said)]


def _completion_events(count: int) -> list[bytes]:
    said = [*(json.dumps(each) for each in (ROLE, *words(count), STOP, USAGE)), DONE]
    return _chunks([f"data: {each}\n\n" for each in said])


def _message(content: list[JSON], stop_reason: str | None) -> JSON:
    usage = {"input_tokens": 11, "output_tokens": 7}
    head: JSON = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    return {**head, "stop_reason": stop_reason, "stop_sequence": None, "usage": usage}


def _message_events(count: int) -> list[bytes]:
    said: list[JSON] = [
        {"type": "message_start", "message": _message([], None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"w{index} "}}
            for index in range(count)
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return _chunks([f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in said])


class _Protocol:
    """What is answered in one of the protocols. `first`: of how many events a stream that stays open consists."""

    def __init__(self, whole: JSON, events: Callable[[int], list[bytes]], first: int) -> None:
        self.paced = events(PACED)
        self.said = {
            b"whole": _answer(b"200 OK", whole),
            b"burst": _HEAD + b"".join(events(BURST)) + _END,
            b"idle": _HEAD + b"".join(events(1)[:first]),
            b"fail": _FAILED,
        }


_FAILED = _answer(b"500 Internal Server Error", {"error": {"message": "it failed", "type": "server_error"}})
_COMPLETIONS = _Protocol(completion("word " * 100), _completion_events, 2)
_MESSAGES = _Protocol(_message([{"type": "text", "text": "word " * 100}], "end_turn"), _message_events, 3)


class _Vendor(asyncio.Protocol):
    failed = 0  # how often, on all connections

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
            self._say(head.split(b" ", 2)[1])

    def _say(self, target: bytes) -> None:
        kind = target[1:].split(b"/", 1)[0]
        protocol = _MESSAGES if target.endswith(b"/v1/messages") else _COMPLETIONS
        if kind == b"paced":
            self._transport.write(_HEAD)
            self._go_on(protocol.paced, 0)
        elif kind == b"failed":
            self._transport.write(_answer(b"200 OK", {"failed": _Vendor.failed}))
        else:
            _Vendor.failed += kind == b"fail"
            self._transport.write(protocol.said[kind])

    def _go_on(self, events: list[bytes], number: int) -> None:
        if self._transport.is_closing():
            return
        if number == len(events):
            self._transport.write(_END)
            return
        self._transport.write(events[number])
        asyncio.get_running_loop().call_later(_PACE, self._go_on, events, number + 1)


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
