"""
One chat interface in front of many model vendors: switch by configuration, fall back when one goes away.

    from llmswitch import Client

    client = Client(["PROVIDER:MODEL", "OTHER:MODEL"])
    reply = client.chat("Say hello")
    print(reply.text, reply.provider, reply.attempts)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._client import AsyncClient, Client
from ._deadline import deadline
from ._errors import (
    AllTargetsFailed,
    AllTargetsUnavailable,
    Arrears,
    AuthInvalid,
    BadRequest,
    BudgetExceeded,
    CapabilityMismatch,
    ClientClosed,
    ConfigError,
    ConnectFailed,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    FirstTokenTimeout,
    IncompleteToolCall,
    InvalidRequest,
    KeyMissing,
    LLMSwitchError,
    LocalOverload,
    MalformedResponse,
    ModelGone,
    NoResponse,
    OutputInvalid,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    RedirectRefused,
    RegionBlocked,
    ServerError,
    StaleConnection,
    StreamInterrupted,
    StreamStalled,
    TLSInvalid,
    ToolArgumentsInvalid,
)
from ._version import __version__

if TYPE_CHECKING:
    from ._allowance_state import AllowanceState
    from ._async_batch import AsyncBatch
    from ._batch import Batch
    from ._bulk import BatchRequest, BatchResult
    from ._counting import TokenCount
    from ._embedding import EmbedOptions, EmbedReply
    from ._equivalents import Equivalent, equivalents
    from ._events import (
        ChatEvent,
        Finish,
        ReasoningDelta,
        StreamReset,
        TextDelta,
        ToolCallDelta,
        ToolCallDone,
    )
    from ._explain_error import ErrorExplanation, explain_error
    from ._health import TargetHealth
    from ._hooks import Hooks
    from ._losses import Loss
    from ._messages import (
        Audio,
        Document,
        Image,
        Message,
        Part,
        Reasoning,
        Text,
        ToolCall,
        ToolResult,
        VendorData,
        VendorPart,
    )
    from ._plan import Plan, PlannedSpend, PlannedTarget
    from ._prices import Price
    from ._reply import Attempt, ChatReply, ChatWarning, Cost, FinishReason, Usage
    from ._request import ChatOptions
    from ._stream import AsyncChatStream, ChatStream
    from ._tools import Tool
    from .doors.sdk_clients import (
        anthropic_async_http_client,
        anthropic_http_client,
        openai_async_http_client,
        openai_http_client,
    )

__all__ = [
    "AllTargetsFailed",
    "AllTargetsUnavailable",
    "AllowanceState",
    "Arrears",
    "AsyncBatch",
    "AsyncChatStream",
    "AsyncClient",
    "Attempt",
    "Audio",
    "AuthInvalid",
    "BadRequest",
    "Batch",
    "BatchRequest",
    "BatchResult",
    "BudgetExceeded",
    "CapabilityMismatch",
    "ChatEvent",
    "ChatOptions",
    "ChatReply",
    "ChatStream",
    "ChatWarning",
    "Client",
    "ClientClosed",
    "ConfigError",
    "ConnectFailed",
    "ContentFiltered",
    "ContextTooLong",
    "Cost",
    "DeadlineExceeded",
    "Document",
    "EmbedOptions",
    "EmbedReply",
    "Equivalent",
    "ErrorExplanation",
    "Finish",
    "FinishReason",
    "FirstTokenTimeout",
    "Hooks",
    "Image",
    "IncompleteToolCall",
    "InvalidRequest",
    "KeyMissing",
    "LLMSwitchError",
    "LocalOverload",
    "Loss",
    "MalformedResponse",
    "Message",
    "ModelGone",
    "NoResponse",
    "OutputInvalid",
    "Overloaded",
    "Part",
    "PermissionDenied",
    "Plan",
    "PlannedSpend",
    "PlannedTarget",
    "Price",
    "QuotaExhausted",
    "RateLimited",
    "Reasoning",
    "ReasoningDelta",
    "RedirectRefused",
    "RegionBlocked",
    "ServerError",
    "StaleConnection",
    "StreamInterrupted",
    "StreamReset",
    "StreamStalled",
    "TLSInvalid",
    "TargetHealth",
    "Text",
    "TextDelta",
    "TokenCount",
    "Tool",
    "ToolArgumentsInvalid",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallDone",
    "ToolResult",
    "Usage",
    "VendorData",
    "VendorPart",
    "__version__",
    "anthropic_async_http_client",
    "anthropic_http_client",
    "deadline",
    "equivalents",
    "explain_error",
    "openai_async_http_client",
    "openai_http_client",
]

# Loaded when somebody asks for it: to import a client takes none of it.
_LATER = {
    "_allowance_state": ("AllowanceState",),
    "_async_batch": ("AsyncBatch",),
    "_batch": ("Batch",),
    "_bulk": ("BatchRequest", "BatchResult"),
    "_counting": ("TokenCount",),
    "_embedding": ("EmbedOptions", "EmbedReply"),
    "_equivalents": ("Equivalent", "equivalents"),
    "_events": ("ChatEvent", "Finish", "ReasoningDelta", "StreamReset", "TextDelta", "ToolCallDelta", "ToolCallDone"),
    "_explain_error": ("ErrorExplanation", "explain_error"),
    "_health": ("TargetHealth",),
    "_hooks": ("Hooks",),
    "_losses": ("Loss",),
    "_messages": (
        "Audio",
        "Document",
        "Image",
        "Message",
        "Part",
        "Reasoning",
        "Text",
        "ToolCall",
        "ToolResult",
        "VendorData",
        "VendorPart",
    ),
    "_plan": ("Plan", "PlannedSpend", "PlannedTarget"),
    "_prices": ("Price",),
    "_reply": ("Attempt", "ChatReply", "ChatWarning", "Cost", "FinishReason", "Usage"),
    "_request": ("ChatOptions",),
    "_stream": ("AsyncChatStream", "ChatStream"),
    "_tools": ("Tool",),
    "doors.sdk_clients": (
        "anthropic_async_http_client",
        "anthropic_http_client",
        "openai_async_http_client",
        "openai_http_client",
    ),
}
_PLACES = {name: module for module, names in _LATER.items() for name in names}


if not TYPE_CHECKING:  # a type checker knows the names from above, and would take any other for one

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
