"""The errors of llmswitch. Each class says what to do next, not where it happened.

    LLMSwitchError
    ├── ConfigError               the configuration is wrong; nothing was sent
    │   └── KeyMissing            a provider's key is not there
    ├── BadRequest                the request is wrong, every target would refuse it
    │   └── InvalidRequest        the same, found here before a byte was sent
    ├── CapabilityMismatch        this target can't do what is asked; another may
    ├── ContextTooLong            a target with a larger window may answer
    ├── ContentFiltered           the vendor refused the input or cut the output
    ├── ConnectFailed             no connection (DNS, refused, connect timeout)
    ├── StaleConnection           a kept connection had died; nothing was read
    ├── TLSInvalid                the certificate or the handshake is not to be trusted
    ├── NoResponse                connected and sent, but no answer came back
    ├── FirstTokenTimeout         connected and sent, but the answer did not begin in time
    ├── Overloaded                the vendor says it is overloaded
    ├── ServerError               the vendor failed
    ├── RateLimited               too many requests or tokens: a short wait helps
    ├── QuotaExhausted            an allowance is used up until it resets
    ├── Arrears                   the account is out of money: a person must act
    ├── AuthInvalid               the key is refused
    ├── PermissionDenied          the key may not do this
    │   └── ModelGone             the model does not exist, or no longer
    ├── RegionBlocked             the vendor does not serve this place
    ├── MalformedResponse         an answer came that is not one
    ├── RedirectRefused           the vendor's host sent us elsewhere; not followed
    ├── StreamInterrupted         the answer broke off after it had begun; see .partial
    │   └── StreamStalled         it did not break, it went silent
    ├── OutputInvalid             a whole answer came, but not in the form that was asked for
    │   ├── IncompleteToolCall    a tool call was cut off by the token limit
    │   └── ToolArgumentsInvalid  a tool call's arguments are not a JSON object
    ├── LocalOverload             this process is out of connections or descriptors
    ├── BudgetExceeded            a budget of your own is used up
    ├── ClientClosed              your program closed the client while the call was in flight
    ├── DeadlineExceeded          your time limit ran out
    └── AllTargetsFailed          every target of the chain failed; see .exceptions
        └── AllTargetsUnavailable none could even be tried

Cancellation is the event loop's own ``CancelledError`` and passes through untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._reply import Attempt, ChatReply, Usage

__all__ = [
    "AllTargetsFailed",
    "AllTargetsUnavailable",
    "Arrears",
    "AuthInvalid",
    "BadRequest",
    "BudgetExceeded",
    "CapabilityMismatch",
    "ClientClosed",
    "ConfigError",
    "ConnectFailed",
    "ContentFiltered",
    "ContextTooLong",
    "DeadlineExceeded",
    "FirstTokenTimeout",
    "IncompleteToolCall",
    "InvalidRequest",
    "KeyMissing",
    "LLMSwitchError",
    "LocalOverload",
    "MalformedResponse",
    "ModelGone",
    "NoResponse",
    "OutputInvalid",
    "Overloaded",
    "PermissionDenied",
    "QuotaExhausted",
    "RateLimited",
    "RedirectRefused",
    "RegionBlocked",
    "ServerError",
    "StaleConnection",
    "StreamInterrupted",
    "StreamStalled",
    "TLSInvalid",
    "ToolArgumentsInvalid",
]


class LLMSwitchError(Exception):
    """
    Base of everything llmswitch raises. Picklable; holds no key, no prompt and no HTTP object.

    `provider`, `model`: the target it happened at, `None` where there was none.
    `status`: the HTTP status. `code`: the vendor's own code, as text. `request_id`: the vendor's id of the request.
    `retry_after`: seconds the vendor asked to wait. `possibly_billed`: the vendor may have charged for the attempt.
    `attempts`: what the call tried, in order, this one included.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        possibly_billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.possibly_billed = possibly_billed
        self.attempts: Sequence[Attempt] = ()

    @property
    def message(self) -> str:
        """What happened and what to do next, without the target's name."""
        return str(self.args[0])

    @property
    def target(self) -> str | None:
        """`provider:model`, or `None` where the error belongs to no target."""
        return f"{self.provider}:{self.model}" if self.provider else None

    def __str__(self) -> str:
        return f"{self.target}: {self.message}" if self.provider else self.message


class ConfigError(LLMSwitchError):
    """The configuration is wrong. Raised when it is loaded, before anything is sent."""


class KeyMissing(ConfigError):
    """The key of a provider is not where it is looked for; the message names the place."""


class BadRequest(LLMSwitchError):
    """The vendor refused the request as malformed (400, 422); another target would refuse it too."""


class InvalidRequest(BadRequest):
    """The request is malformed. Found here, before any byte was sent; `field` names the place."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CapabilityMismatch(LLMSwitchError):
    """The target can't do what is asked (a parameter, a kind of content, a schema); another may."""


class ContextTooLong(LLMSwitchError):
    """The conversation does not fit this model's window."""


class ContentFiltered(LLMSwitchError):
    """The vendor's content policy refused the input (or, where it says so, cut the output)."""


class ConnectFailed(LLMSwitchError):
    """No connection: the name did not resolve, the port was closed, or it took too long."""


class StaleConnection(LLMSwitchError):
    """A kept-alive connection was closed by the other side before it answered anything."""


class TLSInvalid(LLMSwitchError):
    """The certificate or the TLS handshake is not to be trusted. Never retried unverified."""


class NoResponse(LLMSwitchError):
    """The request was sent and the connection ended before an answer began."""


class FirstTokenTimeout(LLMSwitchError):
    """The answer did not begin within its time limit."""


class Overloaded(LLMSwitchError):
    """The vendor, or this model of it, is overloaded."""


class ServerError(LLMSwitchError):
    """The vendor failed (500, 502, 504, and what amounts to it)."""


class RateLimited(LLMSwitchError):
    """Too many requests, tokens or concurrent calls; `.retry_after` says how long, where the vendor does."""


class QuotaExhausted(LLMSwitchError):
    """An allowance (daily, free tier, plan window) is used up until it resets."""


class Arrears(LLMSwitchError):
    """The account is out of money or blocked for payment: a person must act."""


class AuthInvalid(LLMSwitchError):
    """The vendor refuses the key."""


class PermissionDenied(LLMSwitchError):
    """The key is good, but may not do this."""


class ModelGone(PermissionDenied):
    """The model does not exist at this vendor, or no longer."""


class RegionBlocked(LLMSwitchError):
    """The vendor does not serve the place this process calls from."""


class MalformedResponse(LLMSwitchError):
    """What came back is not an answer in the vendor's protocol."""


class RedirectRefused(LLMSwitchError):
    """The vendor's host answered with a redirect that was not followed: a key belongs to one origin."""


class StreamInterrupted(LLMSwitchError):
    """
    The answer broke off after it had begun.

    `partial`: a `ChatReply` of what arrived, byte for byte. `incomplete_tool_calls`: names of calls that were cut and
    are not in `partial`. `usage_estimate`: what the vendor had reported by then, or `None`.
    """

    partial: ChatReply | None = None
    incomplete_tool_calls: tuple[str, ...] = ()
    usage_estimate: Usage | None = None


class StreamStalled(StreamInterrupted):
    """The stream stayed open but nothing meaningful came within the idle limit."""


class OutputInvalid(LLMSwitchError):
    """A whole answer came, but not in the form that was asked for. `reply` holds it."""

    reply: ChatReply | None = None


class IncompleteToolCall(OutputInvalid):
    """The token limit cut a tool call in its arguments. Raise `max_tokens` and ask again."""


class ToolArgumentsInvalid(OutputInvalid):
    """A tool call's arguments are not a JSON object; `raw_arguments` is the vendor's text."""

    raw_arguments: str = ""


class LocalOverload(LLMSwitchError):
    """The process is out of connections, descriptors or slots; no vendor is to blame."""


class BudgetExceeded(LLMSwitchError):
    """A budget of your own is used up; nothing was sent."""


class ClientClosed(LLMSwitchError):
    """Your program closed the client while the call was in flight, in another thread or task."""


class DeadlineExceeded(LLMSwitchError):
    """The time limit of the call ran out. `partial` is what had arrived, where an answer had begun."""

    partial: ChatReply | None = None


class AllTargetsFailed(LLMSwitchError):
    """Every target of the chain failed. `exceptions` holds the last error of each, in the chain's order."""

    exceptions: tuple[LLMSwitchError, ...] = ()


class AllTargetsUnavailable(AllTargetsFailed):
    """No target of the chain could be tried: each was skipped, for the reason in its exception."""
