"""
What a call asks for: an answer in a conversation, the number of its tokens, or vectors of texts.

The exchange carries out each in the same way, and all in which they differ is an operation: the first one is here, the
others are with what they return (`_counting`, `_embedding`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

from ._adapter import Adapter, HTTPRequest
from ._assembly import ReplyAssembly
from ._capabilities import Capabilities, fit
from ._reply import ChatReply, ChatWarning
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._counting import CountReply
    from ._embedding import EmbedReply, EmbedRequest
    from ._estimate import Spend
    from ._reading import Reading
    from ._target import Target

__all__ = ["CHAT", "Chat", "Operation", "Reply", "Request"]

Request: TypeAlias = "ChatRequest | EmbedRequest"
Reply: TypeAlias = "ChatReply | EmbedReply | CountReply"


class Operation(ABC):
    """One kind of call. It has no state; its requests are of one class, and so are its replies."""

    @abstractmethod
    def fit(self, request: Any, target: Target) -> tuple[Request, list[ChatWarning]]:
        """The request as the target can take it, and what was changed. Raises `CapabilityMismatch`."""

    @abstractmethod
    def build(self, adapter: Adapter, request: Any, *, stream: bool) -> HTTPRequest:
        """What is sent. Raises `CapabilityMismatch` or `InvalidRequest`."""

    @abstractmethod
    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:
        """Whether it is asked for as a stream; `None` where it can't come as one."""

    @abstractmethod
    def parse(self, adapter: Adapter, body: Any, request: Any) -> ReplyAssembly:
        """What came in one piece. Raises `VendorFault`, or `NotAnAnswer`."""

    @abstractmethod
    def reply(self, reading: Reading) -> Reply:
        """The reply, from what was read."""

    @abstractmethod
    def most(self, request: Any, able: Capabilities) -> Spend:
        """What it may come to at the most, in tokens."""


class Chat(Operation):
    """An answer in a conversation."""

    def fit(self, request: ChatRequest, target: Target) -> tuple[Request, list[ChatWarning]]:
        return fit(
            request,
            target.adapter.capabilities,
            target.adapter.schema_gap,
            provider=target.provider,
            model=target.model,
        )

    def build(self, adapter: Adapter, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        return adapter.build(request, stream=stream)

    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:
        return adapter.asks_stream(stream=stream)

    def parse(self, adapter: Adapter, body: Any, request: ChatRequest) -> ReplyAssembly:
        return adapter.parse(body, request)

    def reply(self, reading: Reading) -> Reply:
        return reading.reply()

    def most(self, request: ChatRequest, able: Capabilities) -> Spend:
        from ._estimate import largest  # for whoever bounds what is spent

        return largest(request, able)


CHAT: Operation = Chat()
