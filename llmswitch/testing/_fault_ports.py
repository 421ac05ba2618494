"""Ports of this machine where nobody is: one that refuses, and one that swallows whoever knocks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["black_hole", "refused_port"]


@contextmanager
def refused_port(host: str = "127.0.0.1") -> Iterator[int]:
    """
    A port that refuses every connection.

    It stays taken within the block, so that nobody else can come to listen there.
    """
    with socket.socket(_family(host), socket.SOCK_STREAM) as bound:
        bound.bind((host, 0))
        yield int(bound.getsockname()[1])


@contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """
    A port where connecting never ends: its queue is full, so the system drops whatever asks to be let in.

    For Linux; other systems may refuse instead. Raises `OSError` where the queue can't be filled.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(_family(host), socket.SOCK_STREAM))
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            filler = stack.enter_context(socket.socket(_family(host), socket.SOCK_STREAM))
            filler.settimeout(0.02)
            try:
                filler.connect(address)
            except TimeoutError:
                break
        else:
            raise OSError("this system lets in more than it was told to; there is no black hole here")
        yield int(address[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
