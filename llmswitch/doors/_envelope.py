"""Opaque data in an envelope: what only a vendor understands, as one text that a client carries to us and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import VendorData

__all__ = ["seal", "unseal"]

_MARK = "llmswitch."
_WORDS = ("provider", "account", "model")


def seal(vendor: VendorData) -> str:
    """The data as text of letters, digits, `.`, `-` and `_`. An account in it is a fingerprint, and no secret."""
    said = {**{word: getattr(vendor, word) for word in _WORDS}, "data": dict(vendor.data)}
    return _MARK + base64.urlsafe_b64encode(dumps(said)).decode("ascii").rstrip("=")


def unseal(text: str) -> VendorData | None:
    """What `seal` made; `None` for any other text, which is somebody else's, or was damaged on its way."""
    if not text.startswith(_MARK):
        return None
    letters = text.removeprefix(_MARK)
    try:
        said = loads(base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, JSONInvalid):
        return None
    if not isinstance(said, Mapping) or said.keys() != {*_WORDS, "data"} or not isinstance(said["data"], Mapping):
        return None
    if not all(isinstance(said[word], str) for word in _WORDS):
        return None
    return VendorData(said["provider"], said["account"], said["model"], said["data"])
