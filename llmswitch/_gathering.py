"""A chunked body as h11 reads it, with the chunks that came together read together."""

from __future__ import annotations

from typing import Any

__all__ = ["gather"]


class _Gathering:
    """
    In the place of h11's reader of a chunked body: as many of its events as have come, of which those with data are
    one. A vendor sends a chunk for each piece of text, and every event costs whatever is above h11 its whole way.
    """

    def __init__(self, reader: Any, data: type) -> None:
        self._reader, self._data = reader, data
        self._behind: Any = None  # what came behind data that is handed up first: the end, or what is no HTTP

    def __call__(self, buffer: Any) -> Any:
        behind, self._behind = self._behind, None
        if isinstance(behind, Exception):
            raise behind
        if behind is not None:
            return behind
        first = self._reader(buffer)
        if type(first) is not self._data:
            return first
        pieces = [first.data]
        while buffer:
            try:
                event = self._reader(buffer)
            except Exception as problem:  # noqa: BLE001 - raised by the next call
                self._behind = problem
                break
            if type(event) is not self._data:
                self._behind = event
                break
            pieces.append(event.data)
        return first if len(pieces) == 1 else self._data(data=b"".join(pieces))

    def read_eof(self) -> Any:
        """The connection ended in the middle of the body."""
        return self._reader.read_eof()


def gather(connection: Any) -> None:
    """
    Have an `h11.Connection` whose peer is about to send a chunked body read it so. One that is not built as it was
    reads it as ever, which is slower and no less right.
    """
    reader = getattr(connection, "_reader", None)
    if type(reader).__module__ == "h11._readers" and type(reader).__name__ == "ChunkedReader":
        import h11

        connection._reader = _Gathering(reader, h11.Data)  # noqa: SLF001 - there is no other way to name it
