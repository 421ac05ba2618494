"""What a call gives back: the reply, its usage and cost, and the trail of attempts that led to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ._errors import OutputInvalid
from ._messages import Message, Reasoning, ToolCall

if TYPE_CHECKING:
    from ._structured import ResponseFormat

__all__ = ["Attempt", "AttemptKind", "ChatReply", "ChatWarning", "Cost", "FinishReason", "Usage"]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"]
AttemptKind: TypeAlias = Literal["first", "retry", "fallback", "hedge", "continue"]


@dataclass(slots=True)
class Usage:
    """
    Tokens as the vendor counted them; `None` where it did not say.

    `input_tokens` is everything that went in, cached tokens included. `cached_tokens` and `cache_write_tokens` are
    parts of it. `output_tokens` is everything that came out, `reasoning_tokens` a part of it. `estimated` marks
    numbers that are not the vendor's final ones.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False

    @property
    def total_tokens(self) -> int | None:
        """Input and output together; `None` where either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@dataclass(slots=True, frozen=True)
class Cost:
    """What the call cost by the catalog's price, in the vendor's own currency (never converted)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


@dataclass(slots=True, frozen=True)
class ChatWarning:
    """Something was changed or is doubtful. `code` is for programs, `message` for people."""

    code: str
    message: str


@dataclass(slots=True)
class Attempt:
    """
    One entry of the trail. Times are milliseconds since the attempt began; no content, no key, no URL.

    `kind`: `first`, `retry` (same target again), `fallback` (next target), `hedge` (another target beside one that is
    slow) or `continue` (asked for the rest of an answer that broke off). `skipped_because` is set where the target was
    passed over without a request. `error` names the class of the failure, `message` says it to a person. `scopes`:
    hashes of the endpoint, the account and the target, by which attempts of several calls can be told apart. `probe`:
    it tried a breaker whose time was over; `breaker_before` and `breaker_after` are the breaker's states. `cooldown`:
    seconds for which what came of it keeps calls away.
    `queued_ms`: how long it waited for room in this process before it began. `whole`: it gave the whole answer.
    `grant`: the free tokens that it was made from. `cancelled_by`: who ended it before it came to anything.
    `chosen_by`: of a member of a group, the rule that put the group in order, or `session` where the session keeps to
    it.
    """

    index: int
    target: str
    kind: AttemptKind
    started: float
    scopes: Mapping[str, str] = field(default_factory=dict)
    probe: bool = False
    queued_ms: float | None = None
    skipped_because: str | None = None
    connect_ms: float | None = None
    ttft_ms: float | None = None
    last_event_ms: float | None = None
    end_ms: float | None = None
    status: int | None = None
    code: str | None = None
    error: str | None = None
    message: str | None = None
    retry_after: float | None = None
    request_id: str | None = None
    characters: int = 0
    usage: Usage | None = None
    cost: Cost | None = None
    possibly_billed: bool = False
    breaker_before: str | None = None
    breaker_after: str | None = None
    cooldown: float | None = None
    grant: str | None = None
    cancelled_by: Literal["caller", "hedge"] | None = None
    whole: bool = False
    chosen_by: str | None = None

    @property
    def ok(self) -> bool:
        """Whether this attempt gave the answer."""
        return self.whole


@dataclass(slots=True)
class ChatReply:
    """
    One whole answer, whoever gave it.

    `message` can be appended to the conversation as it is. `raw` is the vendor's own JSON (for a stream: its last
    event). `served_model` is the name the vendor says it used. `stitched`: it broke off at one target and went on at
    another, which is the one that is named; usage and cost are its part's, and the trail has both. `from_cache`: it was
    given before, to the same request; nobody was asked, so `cost` and `attempts` are of nothing, `raw` is empty, and
    `usage` is what the vendor counted then.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage
    provider: str = ""
    model: str = ""
    served_model: str | None = None
    stitched: bool = False
    id: str | None = None
    cost: Cost | None = None
    raw_finish_reason: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[ChatWarning] = field(default_factory=list)
    attempts: Sequence[Attempt] = ()
    response_format: ResponseFormat | None = None
    from_cache: bool = False
    _parsed: Any = None

    @property
    def text(self) -> str:
        """The answer's text; empty where the model only called tools."""
        return self.message.text

    @property
    def reasoning(self) -> str:
        """What the model said of its thinking; empty where it said nothing."""
        return "".join(part.text for part in self.message.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls, in order, each with parsed arguments."""
        return self.message.tool_calls

    @property
    def empty(self) -> bool:
        """Whether the vendor finished properly without text, reasoning or a tool call."""
        return not self.message.parts or not (self.text or self.reasoning or self.tool_calls)

    @property
    def parsed(self) -> Any:
        """
        The answer in the form `response_format` asked for: an instance of the pydantic model, or JSON.

        `None` where no form was asked for, or where the model called a tool or refused instead of answering.
        Raises `OutputInvalid`, with this reply in `.reply`, where the text is not of that form.
        """
        if self._parsed is None and self.response_format is not None and self.text:
            if self.finish_reason == "refusal" or self.tool_calls:
                return None
            try:
                self._parsed = self.response_format.parse(self.text)
            except ValueError as problem:
                cut = " (it was cut by max_tokens: raise it)" if self.finish_reason == "length" else ""
                error = OutputInvalid(
                    f"the answer is not of the form that response_format asks for: {problem}{cut}",
                    provider=self.provider,
                    model=self.model,
                )
                error.reply = self
                error.attempts = self.attempts
                raise error from None
        return self._parsed

    def __repr__(self) -> str:
        return (
            f"ChatReply({self.provider}:{self.model}, {self.finish_reason}, {len(self.text)} characters, "
            f"{len(self.tool_calls)} tool calls, {len(self.attempts)} attempts)"
        )
