"""
HTTP clients to put under a vendor's SDK: what it sends is asked of the chain, so that a program switches its provider
without an edit.

Facts: OpenAI's SDK 3.54.0 and Anthropic's 2.12.0 (what they take as `http_client`), checked 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from llmswitch._hooks import Hooks

__all__ = [
    "anthropic_async_http_client",
    "anthropic_http_client",
    "openai_async_http_client",
    "openai_http_client",
]

Library: TypeAlias = Literal["httpx", "httpx2"]
Chain: TypeAlias = "str | Sequence[str] | None"


def openai_http_client(
    model: Chain = None,
    *,
    config: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    engine: Library | None = None,
) -> Any:
    """
    For `OpenAI(api_key="any", http_client=openai_http_client())`: Chat Completions, Responses, embeddings and the list
    of models are answered by the chain.

    `model`, `config` and `hooks` as for `Client`. The `model=` of the SDK's calls names a chain, an alias of the
    configuration, or `provider:model`. `engine`: the HTTP library that the SDK is built on, where it is not the one
    that its package requires. Raises `ConfigError`.
    """
    from .transport import sync_client

    return sync_client(_library("openai", engine), model, config, hooks)


def openai_async_http_client(
    model: Chain = None,
    *,
    config: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    engine: Library | None = None,
) -> Any:
    """The same for `AsyncOpenAI`."""
    from .transport import async_client

    return async_client(_library("openai", engine), model, config, hooks)


def anthropic_http_client(
    model: Chain = None,
    *,
    config: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    engine: Library | None = None,
) -> Any:
    """
    For `Anthropic(api_key="any", http_client=anthropic_http_client())`: Messages, and counts of their tokens, are
    answered by the chain.
    """
    from .transport import sync_client

    return sync_client(_library("anthropic", engine), model, config, hooks)


def anthropic_async_http_client(
    model: Chain = None,
    *,
    config: Mapping[str, Any] | None = None,
    hooks: Hooks | None = None,
    engine: Library | None = None,
) -> Any:
    """The same for `AsyncAnthropic`."""
    from .transport import async_client

    return async_client(_library("anthropic", engine), model, config, hooks)


def _library(package: str, chosen: Library | None) -> str:
    """The HTTP library that the SDK is built on, and not one that it could be built on as well."""
    if chosen is not None:
        return chosen
    try:
        needs = requires(package) or []
    except PackageNotFoundError:
        return "httpx2" if find_spec("httpx2") is not None else "httpx"
    always = [need for need in needs if "extra ==" not in need]
    return "httpx2" if any(need.startswith("httpx2") for need in always) else "httpx"
