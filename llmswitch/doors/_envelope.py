"""Opaque data in an envelope: what only a vendor understands, as one text that a client carries to us and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._messages import VendorData

__all__ = ["Envelopes"]

_MARK = "llmswitch."
_WORDS = ("provider", "account", "model")


class Envelopes:
    """
    Seals and opens envelopes. `keys`: the first of them signs, and what any of them has signed is opened, so that a
    key can be followed by another. Without any nothing is signed, and whatever is whole is opened.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = tuple(keys)

    @property
    def signed(self) -> bool:
        """Whether what nobody has signed is nobody's."""
        return bool(self._keys)

    def seal(self, vendor: VendorData) -> str:
        """The data as text of letters, digits, `.`, `-` and `_`. An account in it is a fingerprint, and no secret."""
        said = {**{word: getattr(vendor, word) for word in _WORDS}, "data": dict(vendor.data)}
        text = _MARK + _letters(dumps(said))
        return f"{text}.{_signature(self._keys[0], text)}" if self._keys else text

    def unseal(self, text: str) -> VendorData | None:
        """What was sealed; `None` for any other text, which is somebody else's, forged, or was damaged on its way."""
        if not text.startswith(_MARK) or not text.isascii():
            return None
        letters, _, signature = text.removeprefix(_MARK).partition(".")
        if self._keys and not self._is_signed(_MARK + letters, signature):
            return None
        try:
            said = loads(base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, JSONInvalid):
            return None
        if not isinstance(said, Mapping) or said.keys() != {*_WORDS, "data"} or not isinstance(said["data"], Mapping):
            return None
        if not all(isinstance(said[word], str) for word in _WORDS):
            return None
        return VendorData(said["provider"], said["account"], said["model"], said["data"])

    def _is_signed(self, text: str, signature: str) -> bool:
        good = [hmac.compare_digest(_signature(key, text), signature) for key in self._keys]
        return any(good)


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _signature(key: bytes, text: str) -> str:
    return _letters(hmac.new(key, text.encode(), hashlib.sha256).digest())
