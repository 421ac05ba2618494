"""
The contract of an adapter: a pure translation between the neutral form and one wire dialect. No I/O, no clock, no
await.

Every dialect writes the same functions: `build` (neutral request to HTTP request; within it build_messages and
prepare_tools), `parse` (whole answer to reply), `decoder` (framed stream to events), `read_error` (status, headers,
body to facts); and, shared by the last three, map_finish_reason and convert_usage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel

from ._capabilities import Capabilities, SchemaGap
from ._errors import CapabilityMismatch
from ._events import ChatEvent
from ._messages import VendorData
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._assembly import ReplyAssembly
    from ._counting import CountAssembly
    from ._embedding import EmbedRequest, VectorAssembly
    from ._framing import EventStreamMessage, ServerSentEvent

__all__ = [
    "Adapter",
    "BrokenEvent",
    "ErrorFacts",
    "Framing",
    "HTTPRequest",
    "ModelIdentity",
    "NotAnAnswer",
    "SchemaGap",
    "StreamDecoder",
    "VendorFault",
]

Framing: TypeAlias = Literal["sse", "sse-lines", "sse-json", "ndjson", "aws-event-stream"]


@dataclass(slots=True)
class HTTPRequest:
    """
    What is to be sent: a path below the target's base URL, headers (never the key), and the body's exact bytes.

    Its repr shows sizes only, since the body is the prompt.
    """

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def __repr__(self) -> str:
        return f"HTTPRequest({self.method} {self.path}, {len(self.body)} bytes)"


@dataclass(slots=True)
class ErrorFacts:
    """What a vendor said of a failure, before it is classified. `message` is its own text, cut and scrubbed later."""

    status: int | None = None
    code: str | None = None
    type: str | None = None
    message: str = ""
    param: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    html: bool = False


class VendorFault(Exception):
    """The vendor reported an error inside an answer or a stream that had begun well."""

    def __init__(self, facts: ErrorFacts) -> None:
        super().__init__(facts.code or facts.type or "error")
        self.facts = facts


class NotAnAnswer(Exception):
    """What came is not of the dialect's form. The message says which part is missing, and quotes nothing."""


class BrokenEvent(NotAnAnswer):
    """One event of a stream can't be read; those after it may well be."""


class ModelIdentity(NamedTuple):
    """Who is asked: by this, opaque parts of a conversation are tagged, and known again when they come back."""

    provider: str
    account: str
    model: str

    def owns(self, vendor: VendorData | None, *, same_model: bool = False) -> bool:
        """Whether opaque data came from this provider and account (and model, where the vendor binds it to one)."""
        return (
            vendor is not None
            and vendor.provider == self.provider
            and vendor.account == self.account
            and (not same_model or vendor.model == self.model)
        )

    def signature(self) -> VendorData:
        """Its name, with nothing opaque."""
        return VendorData(self.provider, self.account, self.model, {})

    def wrote(self, vendor: VendorData | None) -> bool:
        """Whether plain thoughts can go back as its own: they came from this provider, or the caller named nobody."""
        return vendor is None or vendor.provider == self.provider


class StreamDecoder(Protocol):
    """
    Turns the framed events of one stream into neutral ones. Made anew for each stream.

    `ended`: the dialect's last event has come. Whether the answer is whole, `assembly.finish_reason` says.
    """

    assembly: ReplyAssembly
    ended: bool

    def feed(self, event: ServerSentEvent | EventStreamMessage) -> Iterable[ChatEvent]:
        """
        The neutral events of one framed event; none for keep-alives, preambles and what is unknown.

        Raises `VendorFault` where the vendor reports an error in the stream, `BrokenEvent` where the event is not even
        what every event is, `NotAnAnswer` where it makes no sense.
        """
        ...

    def finish(self) -> Iterable[ChatEvent]:
        """What is left to say at the end of the body. `assembly.finish_reason` stays `None` if no terminator came."""
        ...


class Adapter(ABC):
    """
    One dialect as one target speaks it. Immutable and shared between threads; made once per target.

    `Options` are the ways in which a vendor may depart from the dialect, as data. `baseline` is what the dialect itself
    can do, before a vendor's or a model's own record changes it. `wire` is `module:Class` of the vendor's side of the
    dialect, for the conformance suite (`llmswitch.testing`). `preamble_bytes` and `preamble_events` bound what a
    stream may hold before anything that means something. `author`: the provider whose dialect it is, where that is not
    its name.
    """

    framing: ClassVar[Framing] = "sse"
    preamble_bytes: ClassVar[int] = 64 * 1024
    preamble_events: ClassVar[int] = 64
    Options: ClassVar[type[BaseModel]]
    baseline: ClassVar[Mapping[str, Any]] = {}
    wire: ClassVar[str] = ""
    author: ClassVar[str] = ""

    def __init__(self, identity: ModelIdentity, capabilities: Capabilities, options: BaseModel) -> None:
        self.identity = identity
        self.capabilities = capabilities
        self.options: Any = options

    @abstractmethod
    def build(self, request: ChatRequest, *, stream: bool) -> HTTPRequest:
        """The HTTP request for a neutral one that `fit` has passed. Raises `CapabilityMismatch` or `InvalidRequest`."""

    def schema_gap(self, schema: Mapping[str, Any]) -> SchemaGap | None:  # noqa: ARG002
        """What of a JSON schema the target can't be held to; `None` where it can be held to all of it."""
        return None

    def asks_stream(self, *, stream: bool) -> bool:
        """Whether the answer is asked for as a stream: what the caller wants, where a model gives either."""
        return stream

    @abstractmethod
    def parse(self, body: Any, request: ChatRequest) -> ReplyAssembly:
        """A whole answer from its JSON. Raises `VendorFault` for an error in disguise, `NotAnAnswer` for no answer."""

    def build_embedding(self, request: EmbedRequest) -> HTTPRequest:  # noqa: ARG002
        """The HTTP request for vectors of texts. Raises `CapabilityMismatch` where the dialect has none."""
        raise CapabilityMismatch("this dialect has no vectors")

    def parse_embedding(self, body: Any, request: EmbedRequest) -> VectorAssembly:  # noqa: ARG002
        """Vectors from their JSON. Raises `VendorFault` for an error in disguise, `NotAnAnswer` for none."""
        raise NotAnAnswer("this dialect has no vectors")

    def build_count(self, request: ChatRequest) -> HTTPRequest:  # noqa: ARG002
        """The HTTP request for the number of its tokens. Raises `CapabilityMismatch` where the dialect has none."""
        raise CapabilityMismatch("this dialect counts no tokens")

    def parse_count(self, body: Any) -> CountAssembly:  # noqa: ARG002
        """The number of tokens from its JSON. Raises `VendorFault` for an error in disguise, `NotAnAnswer` for none."""
        raise NotAnAnswer("this dialect counts no tokens")

    @abstractmethod
    def decoder(self, request: ChatRequest) -> StreamDecoder:
        """A fresh decoder for the stream that answers `request`."""

    @abstractmethod
    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorFacts:
        """The facts of a refusal. Never raises: whatever the body is, the status is a fact."""
