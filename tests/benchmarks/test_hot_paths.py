"""
How many functions of ours a call and a chunk of a stream go through: a count that nothing else on the machine moves.

A number that has grown is no mistake by itself. It is to be looked at, and then either the code or the number changes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

import httpx
import pytest

import llmswitch
from benchmarks.wire import DONE, ROLE, STOP, completion, words
from llmswitch import AsyncClient, Client
from llmswitch.testing import FakeVendor

OURS = str(Path(llmswitch.__file__).parent)
PROVIDERS = str(Path(llmswitch.__file__).parent.parent / "providers")


def events(count: int) -> Iterator[bytes]:
    """One event in each piece of the body, as a vendor sends them."""
    for said in (*(json.dumps(each) for each in (ROLE, *words(count), STOP)), DONE):
        yield f"data: {said}\n\n".encode()


@dataclass
class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    count: int

    def __iter__(self) -> Iterator[bytes]:
        return events(self.count)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in events(self.count):
            yield piece


def client(kind: Any, chunks: int = 0, targets: int = 1) -> Any:
    def answer(_: httpx.Request) -> httpx.Response:
        if not chunks:
            return httpx.Response(200, json=completion())
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(chunks))

    own = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}
    config = {
        "default": "c",
        "chains": {"c": {"targets": [f"t{number}:m" for number in range(targets)]}},
        "providers": {f"t{number}": own for number in range(targets)},
    }
    return kind.from_config(config, http_client=FakeVendor(answer))


class Count:
    """Calls of functions of this package, and turns of its generators, within the block."""

    calls = 0

    def _seen(self, frame: FrameType, event: str, _: object) -> None:
        self.calls += event == "call" and frame.f_code.co_filename.startswith((OURS, PROVIDERS))

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)


def asked(targets: int = 1) -> int:
    """By a whole answer."""
    made = client(Client, targets=targets)
    for _ in range(3):
        made.chat("Hi")
    with Count() as count:
        made.chat("Hi")
    return count.calls


def streamed(chunks: int) -> int:
    """By a stream."""
    made = client(Client, chunks)
    for _ in made.stream("Hi"):
        pass
    with Count() as count:
        for _ in made.stream("Hi"):
            pass
    return count.calls


def streamed_async(chunks: int) -> int:
    """By a stream that is awaited."""

    async def run() -> int:
        made = client(AsyncClient, chunks)
        async for _ in made.stream("Hi"):
            pass
        with Count() as count:
            async for _ in made.stream("Hi"):
                pass
        return count.calls

    return asyncio.run(run())


def test_a_call() -> None:
    """A whole answer takes three hundred; the chain behind the target that answers adds one for each target."""
    alone = asked()
    assert 250 <= alone <= 310
    assert alone + 19 >= asked(targets=20) - 5


@pytest.mark.parametrize(("ask", "most"), [(streamed, 17), (streamed_async, 20)], ids=["sync", "async"])
def test_a_chunk(ask: Any, most: int) -> None:
    """A chunk that comes alone takes so many (one less with orjson), from the driver to the caller's event."""
    assert most - 5 <= (ask(300) - ask(100)) / 200 <= most
