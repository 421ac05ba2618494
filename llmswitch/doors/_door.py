"""The contract of a door: one protocol that clients speak, as the server's side of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from llmswitch._errors import LLMSwitchError
from llmswitch._events import ChatEvent
from llmswitch._messages import Message
from llmswitch._reply import ChatReply
from llmswitch._request import ChatOptions

from ._envelope import Envelopes
from ._ledger import write_ledger

__all__ = ["Asked", "Door", "EventWriter", "Refusal"]


@dataclass(slots=True)
class Asked:
    """
    A request as the client made it, in neutral words.

    `model`: the name that the client gave, which the configuration maps to a chain or a target. `options`: what
    `chat()` takes, without the model. `stream`: whether the answer is wanted as a stream. `said`: what else of the
    request its answer has to repeat or heed, such as whether usage is wanted in the stream. Its repr shows sizes only.
    """

    model: str
    messages: list[Message]
    options: ChatOptions
    stream: bool = False
    said: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Asked({self.model}, {len(self.messages)} messages, stream={self.stream})"


@dataclass(slots=True, frozen=True)
class Refusal:
    """An error as the protocol says it: an HTTP status, headers, and a JSON body that leads to the SDK's own class."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class EventWriter(Protocol):
    """One stream on its way out: bytes of server-sent events. Made anew for each stream."""

    def begin(self) -> bytes:
        """What comes before the first event of the answer."""
        ...

    def event(self, event: ChatEvent) -> bytes:
        """One event of the answer; empty where the protocol has no word for it."""
        ...

    def end(self, reply: ChatReply) -> bytes:
        """What is said when the answer is whole."""
        ...

    def failed(self, error: LLMSwitchError) -> bytes:
        """What is said when the answer breaks off, so that the SDK raises its own error."""
        ...


class Door(ABC):
    """
    One protocol. It keeps nothing, and does no I/O.

    `path`: how the address of a request ends, below the base URL. `envelopes`: in which what is opaque goes through a
    client, and comes back.
    """

    path: ClassVar[str]

    def __init__(self, envelopes: Envelopes | None = None) -> None:
        self.envelopes = envelopes or Envelopes()

    def sealing(self, envelopes: Envelopes) -> Self:
        """The same door with these envelopes."""
        return type(self)(envelopes)

    def envelope(self, reply: ChatReply) -> str | None:
        """The envelope of an answer; `None` where nothing of it is opaque."""
        return write_ledger(reply.message.parts, self.envelopes)

    @abstractmethod
    def read(self, body: Any) -> Asked:
        """The request, from its JSON. Raises `InvalidRequest` that names the field, for what can't be asked here."""

    @abstractmethod
    def reply(self, asked: Asked, reply: ChatReply) -> dict[str, Any]:
        """The whole answer as JSON."""

    @abstractmethod
    def writer(self, asked: Asked) -> EventWriter:
        """What writes the stream."""

    @abstractmethod
    def refusal(self, error: LLMSwitchError) -> Refusal:
        """An error before the answer began. The trail of attempts goes with it, and no key and no prompt."""
