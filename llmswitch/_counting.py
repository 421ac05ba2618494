"""How many tokens a request comes to, as the vendor counts them, where he does that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ._adapter import Adapter, HTTPRequest, NotAnAnswer
from ._assembly import ReplyAssembly
from ._capabilities import Capabilities
from ._estimate import Spend
from ._operation import Chat, Operation, Reply
from ._reply import Attempt, ChatWarning, Cost, Usage
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._reading import Reading

__all__ = ["COUNT", "CountAssembly", "CountReply", "TokenCount", "in_vain", "read_count"]


@dataclass(slots=True, frozen=True)
class TokenCount:
    """
    The tokens of a request to one model.

    `source`: who counted: `vendor`, whose number is exact, or `estimate`; nine of ten requests come to between `low`
    and `high`. `warnings` say why the vendor was asked in vain.
    """

    input_tokens: int
    low: int
    high: int
    source: Literal["vendor", "estimate"]
    provider: str
    model: str
    warnings: tuple[ChatWarning, ...] = ()


@dataclass(slots=True)
class CountReply:
    """What a vendor counted, as the exchange hands it out."""

    input_tokens: int
    provider: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost: Cost | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[ChatWarning] = field(default_factory=list)
    attempts: Sequence[Attempt] = ()

    def count(self) -> TokenCount:
        """The vendor's number."""
        tokens = self.input_tokens
        return TokenCount(tokens, tokens, tokens, "vendor", self.provider, self.model, tuple(self.warnings))


class CountAssembly(ReplyAssembly):
    """A number of tokens, in the place of an answer."""

    __slots__ = ("counted",)

    def __init__(self, counted: int, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.counted = counted
        self.raw = body
        self.finish("stop")

    def count(self) -> CountReply:
        """The reply, without its target."""
        return CountReply(self.counted, raw=self.raw, warnings=list(self.warnings))


def read_count(body: Any, field: str) -> CountAssembly:
    """The number in that field of a vendor's answer. Raises `NotAnAnswer` where there is none."""
    counted = body.get(field) if isinstance(body, Mapping) else None
    if not isinstance(counted, int) or isinstance(counted, bool) or counted < 0:
        raise NotAnAnswer(f"it has no {field}")
    return CountAssembly(counted, body)


def in_vain(count: TokenCount, why: str) -> TokenCount:
    """An estimate that stands in for a count that could not be had."""
    return replace(count, warnings=(*count.warnings, ChatWarning("count_failed", why)))


class _Count(Chat):
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


COUNT: Operation = _Count()
