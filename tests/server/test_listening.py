"""The socket that the gateway listens on."""

from __future__ import annotations

import socket

from llmswitch.server.run import _listen


def test_an_answer_is_not_held_back():
    """Who is accepted has no delay between packets: an answer, or an event of a stream, would be 40 ms late by it."""
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as client:
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client
