"""
What of an answer no client understands, gathered in one envelope: for protocols in which a client holds the answer.

A stream says what belongs to a thought or a call when their text is long out, so it can't stand beside each part. The
envelope lists the parts in their order, and what belongs to each; their own words come back in the protocol's places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmswitch._messages import Part, Reasoning, Text, ToolCall, VendorData, VendorPart

from ._envelope import Envelopes

__all__ = ["restore", "write_ledger"]

_OURS = "llmswitch"
_WORDS = ("provider", "account", "model")
_GROWING: Mapping[str, type[Text | Reasoning]] = {"Text": Text, "Reasoning": Reasoning}


def write_ledger(parts: Sequence[Part], envelopes: Envelopes) -> str | None:
    """The envelope for an answer's parts; `None` where nothing of them is opaque."""
    if all(getattr(part, "vendor", None) is None for part in parts):
        return None
    return envelopes.seal(VendorData(_OURS, "", "", {"parts": [_entry(part) for part in parts]}))


def _entry(part: Part) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    match part:
        case Text() | Reasoning():
            entry = {"kind": type(part).__name__, "length": len(part.text)}
        case ToolCall():
            entry = {"kind": "ToolCall", "id": part.id}
        case VendorPart():
            entry = {"kind": "VendorPart"}
    if part.vendor is not None:
        entry["vendor"] = {**{word: getattr(part.vendor, word) for word in _WORDS}, "data": dict(part.vendor.data)}
    return entry


def restore(parts: Sequence[Part], carried: Sequence[str], envelopes: Envelopes) -> list[Part]:
    """
    An answer as it was given, from what a client held of it and the envelopes that it carried beside it.

    An envelope that is not ours is another's signature, or forged, and says nothing here. Where there is any, and the
    thoughts are not those that ours was written for, whose they are can't be told: they are left out. Where the text or
    the calls are others, all that is opaque is left out.
    """
    found = [vendor for vendor in map(envelopes.unseal, carried) if vendor is not None and vendor.provider == _OURS]
    if not carried:
        return list(parts)
    try:
        restored = _rebuilt(parts, [entry for vendor in found for entry in vendor.data["parts"]]) if found else None
    except (KeyError, TypeError, AttributeError):  # an envelope of another make
        restored = None
    return restored if restored is not None else [part for part in parts if not isinstance(part, Reasoning)]


def _rebuilt(parts: Sequence[Part], entries: Sequence[Mapping[str, Any]]) -> list[Part] | None:
    """The parts of the entries; `None` where the text or the calls are others."""
    left = {kind: "".join(part.text for part in parts if isinstance(part, kind)) for kind in _GROWING.values()}
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    if not all(isinstance(entry.get("length", 0), int) and entry.get("length", 0) >= 0 for entry in entries):
        return None
    lengths = {name: sum(entry["length"] for entry in entries if entry["kind"] == name) for name in _GROWING}
    if lengths["Text"] != len(left[Text]) or sorted(entry["id"] for entry in entries if "id" in entry) != sorted(calls):
        return None
    thoughts = lengths["Reasoning"] == len(left[Reasoning])  # a client may have left them out
    made: list[Part] = []
    for entry in entries:
        vendor = _vendor(entry["vendor"]) if "vendor" in entry else None
        kind = _GROWING.get(entry["kind"])
        if kind is Reasoning and entry["length"] and not thoughts:
            continue
        if kind is not None:
            length = entry["length"]
            made.append(kind(left[kind][:length], vendor))
            left[kind] = left[kind][length:]
        elif entry["kind"] == "ToolCall":
            call = calls[entry["id"]]
            made.append(ToolCall(call.id, call.name, call.arguments, call.raw_arguments, vendor))
        elif vendor is not None:
            made.append(VendorPart(vendor))
    return made


def _vendor(value: Mapping[str, Any]) -> VendorData:
    """Raises `TypeError` or `KeyError` for what `_entry` did not write: it came from outside."""
    if not all(isinstance(value[word], str) for word in _WORDS) or not isinstance(value["data"], Mapping):
        raise TypeError
    return VendorData(value["provider"], value["account"], value["model"], value["data"])
