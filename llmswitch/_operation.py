"""
What a call asks for: an answer in a conversation, the number of its tokens, or vectors of texts.

The exchange carries out each in the same way; all in which they differ is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

from ._adapter import Adapter, HTTPRequest
from ._allowances import Spend
from ._assembly import ReplyAssembly
from ._capabilities import Capabilities, fit
from ._counting import CountAssembly, CountReply
from ._embedding import EmbedReply, EmbedRequest, VectorAssembly, fit_texts
from ._estimate import largest, of_texts
from ._reply import ChatReply, ChatWarning
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._reading import Reading
    from ._target import Target

__all__ = ["CHAT", "COUNT", "EMBED", "Operation", "Reply", "Request"]

Request: TypeAlias = ChatRequest | EmbedRequest
Reply: TypeAlias = ChatReply | EmbedReply | CountReply


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


class _Chat(Operation):
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
        return largest(request, able)


class _Count(_Chat):
    """The same request, of which only the size is wanted: nothing is spent."""

    def build(self, adapter: Adapter, request: ChatRequest, *, stream: bool) -> HTTPRequest:  # noqa: ARG002
        return adapter.build_count(request)

    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:  # noqa: ARG002
        return None

    def parse(self, adapter: Adapter, body: Any, request: ChatRequest) -> ReplyAssembly:  # noqa: ARG002
        return adapter.parse_count(body)

    def reply(self, reading: Reading) -> Reply:
        assert isinstance(reading.assembly, CountAssembly)
        return reading.assembly.count()

    def most(self, request: ChatRequest, able: Capabilities) -> Spend:  # noqa: ARG002
        return Spend(0, 0)


class _Embed(Operation):
    def fit(self, request: EmbedRequest, target: Target) -> tuple[Request, list[ChatWarning]]:
        return fit_texts(request, target.adapter.capabilities, target.name)

    def build(self, adapter: Adapter, request: EmbedRequest, *, stream: bool) -> HTTPRequest:  # noqa: ARG002
        return adapter.build_embedding(request)

    def asks_stream(self, adapter: Adapter, *, stream: bool) -> bool | None:  # noqa: ARG002
        return None

    def parse(self, adapter: Adapter, body: Any, request: EmbedRequest) -> ReplyAssembly:
        return adapter.parse_embedding(body, request)

    def reply(self, reading: Reading) -> Reply:
        assert isinstance(reading.assembly, VectorAssembly)
        return reading.assembly.embedding()

    def most(self, request: EmbedRequest, able: Capabilities) -> Spend:  # noqa: ARG002
        return of_texts(request.texts)


CHAT: Operation = _Chat()
COUNT: Operation = _Count()
EMBED: Operation = _Embed()
