"""Under which name an answer is kept: a hash of everything that shapes it, and of who may be asked and who asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ._messages import Message
from ._request import ChatRequest
from ._structured import ResponseFormat
from ._target import Target
from ._tools import Tool
from ._version import __version__

__all__ = ["SCHEMA", "cache_key", "identity"]

SCHEMA = 1  # of the key, and of what is kept under it

_FIELDS = tuple(field.name for field in fields(ChatRequest))


def identity(targets: Sequence[Target]) -> str | None:
    """
    A hash of who may answer, in their order: provider, model, address, headers, dialect, and every setting. No key is
    part of it. `None` where something of it is no data.
    """
    return _hash([_who(target) for target in targets])


def cache_key(request: ChatRequest, who: str, tenant: Sequence[str]) -> str | None:
    """
    The name of the request's answer, from those whom `who` identifies, for that tenant; `None` where something of the
    request is no JSON. Requests that differ in anything have different names.
    """
    said = {name: _plain(getattr(request, name)) for name in _FIELDS}
    return _hash([SCHEMA, __version__, who, sorted(tenant), said])


def _who(target: Target) -> list[Any]:
    adapter, endpoint = target.adapter, target.endpoint
    kind = type(adapter)
    return [
        target.provider,
        target.model,
        endpoint.site,
        endpoint.base_url,
        dict(endpoint.headers),
        f"{kind.__module__}.{kind.__qualname__}",
        adapter.options.model_dump(),
        adapter.capabilities.model_dump(),
        dict(target.settings),
    ]


def _plain(value: Any) -> Any:
    """The value of one field of a request, as JSON can hold it."""
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Message):
        return value.to_dict()
    if isinstance(value, Tool):
        return [value.name, value.description, value.parameters]
    if isinstance(value, ResponseFormat):
        return [value.name, value.schema]
    return value


def _hash(value: Any) -> str | None:
    """
    Of the value as JSON, which says where each text begins and ends. Objects keep their order: that of a schema's
    properties is the order in which a model writes them.
    """
    try:
        text = json.dumps(value, default=_sorted, separators=(",", ":"))  # ASCII alone: any text can be encoded
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def _sorted(value: object) -> list[Any]:
    """A set has no order of its own. Raises `TypeError` for anything else that JSON has no word for."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    raise TypeError
