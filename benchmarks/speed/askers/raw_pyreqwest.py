"""pyreqwest, the HTTP client of Rust's reqwest. Its streams hold nothing back, which has to be asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pyreqwest.client import ClientBuilder, SyncClientBuilder

from benchmarks.speed.asking import KEY, line_with_text, streamed, text_of, whole

DISTRIBUTIONS = ("pyreqwest",)
NAME = "pyreqwest"
IMPORT = "from pyreqwest.client import ClientBuilder, SyncClientBuilder"


class Asker:
    """A client of each kind."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"

    @cached_property
    def _client(self) -> Any:
        return SyncClientBuilder().error_for_status(enable=True).build()

    @cached_property
    def _async(self) -> Any:
        return ClientBuilder().error_for_status(enable=True).build()

    def _post(self, client: Any, body: dict[str, Any]) -> Any:
        return client.post(self._url).bearer_auth(KEY).body_json(body)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        return text_of(self._post(self._client, whole(messages, tools)).build().send().json())

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        count, lines = 0, _Lines()
        with self._post(self._client, streamed(messages)).streamed_read_buffer_limit(0).build_streamed() as answer:
            while (chunk := answer.body_reader.read_chunk()) is not None:
                count += lines.with_text(chunk)
        return count

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._post(self._async, whole(messages)).build().send()
        return text_of(await answer.json())

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count, lines = 0, _Lines()
        async with self._post(self._async, streamed(messages)).streamed_read_buffer_limit(0).build_streamed() as answer:
            while (chunk := await answer.body_reader.read_chunk()) is not None:
                count += lines.with_text(chunk)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        opened, lines = self._post(self._async, streamed(messages)).streamed_read_buffer_limit(0), _Lines()
        stream = opened.build_streamed()
        answer = await stream.__aenter__()
        while not lines.with_text(await answer.body_reader.read_chunk()):
            pass
        return stream, answer


class _Lines:
    """Cut from pieces of any size, since the library gives no lines."""

    def __init__(self) -> None:
        self._rest = b""

    def with_text(self, chunk: Any) -> int:
        """How many lines that end in this piece have text."""
        *lines, self._rest = (self._rest + bytes(chunk)).split(b"\n")
        return sum(line_with_text(line.decode()) for line in lines)
