"""
Takes keys out of texts that others wrote: they quote them, whole, encoded, cut, or masked in the middle.

First every key that this process has loaded, by its value; then whatever else looks like a key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

__all__ = ["MASK", "remember", "scrub"]

MASK = "[secret]"
_SHORTEST = 8  # shorter ones are placeholders, and would punch holes into ordinary words
_HEAD = 16  # so much of a key's beginning is known for that key's

# What this process knows, for as long as it runs. Only ever added to and copied as a whole, so it needs no lock.
_keys: dict[str, re.Pattern[str] | None] = {}  # the pattern is made for the first text that is looked at
_cores: dict[str, None] = {}  # what all base64 of texts with a key in them have in common

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}

# `re` compiles these for the first text that is looked at, and keeps them.
_WORD = r"[\w.~+/=-]"
# sk-…abcd, sk-proj-****abcd, ****abcd, xxxxabcd: the middle is masked, its ends are the key's all the same
_MASKED = rf"(?<!{_WORD})({_WORD}*?)([*•●]{{3,}}|…+|\.{{3,}}|[xX]{{4,}})({_WORD}*)"
_ENDS = (
    rf"(\b(?:end(?:s|ing)?|start(?:s|ing)?|begin(?:s|ning)?) (?:in|with)|\blast (?:\d|four)(?: \w+)?(?: (?:are|is))?:?)"
    rf"(\s*[\"'`(]*)({_WORD}{{2,16}})"
)
# Keys that are not ours: an aggregator quotes the one that it uses itself.
_LIKE_KEYS = (
    r"\b(?:sk|pk|rk)[-_][\w-]{16,}"
    r"|\bAIza[\w-]{30,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=\bBearer )(?=\S*\d)[\w.~+/=-]{16,}"
    r"|(?<=[?&]key=)[^\s&\"']{8,}"
)


def remember(key: str) -> None:
    """From now on this is taken out of every text, in each of its spellings."""
    if len(key) >= _SHORTEST and key not in _keys:
        _cores.update(dict.fromkeys(_in_base64(key)))
        _keys[key] = None


def _spelt(key: str) -> re.Pattern[str]:
    """The key in any of its spellings."""
    found = _keys[key]
    if found is None:
        found = _keys[key] = re.compile("".join(map(_written, key)))
    return found


def _written(letter: str) -> str:
    """A letter of a key as texts, URLs, JSON and pages write it."""
    plain = re.escape(letter)
    if letter.isalnum() or letter in "-._~":
        return plain
    code = f"{ord(letter):02x}"
    entity = re.escape(_ENTITIES.get(letter, letter))
    return rf"(?:\\?{plain}|{entity}|(?i:%(?:25)?{code}|\\u00{code}|&#x{code};)|&#{ord(letter)};)"


def _in_base64(key: str) -> Iterator[str]:
    """What is the same in base64 whatever stands before and after the key, as in that of `user:key`."""
    data = key.encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        core = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield core
        yield core.translate({ord("+"): "-", ord("/"): "_"})


def scrub(text: str) -> str:
    """
    The text without any key that this process has loaded, in any of its spellings, nor its ends where its middle is
    masked or cut away; and without what else looks like a key.
    """
    keys = sorted(_keys.copy(), key=len, reverse=True)  # the longest first: one key may be another's beginning
    for key in keys:
        text = _spelt(key).sub(MASK, text)
    for core in _cores.copy():
        if core in text:
            text = re.sub(rf"(?<![\w+/-])[\w+/-]*{re.escape(core)}[\w+/-]*={{0,2}}", MASK, text)
    for key in keys:
        if len(key) > _HEAD and key[:_HEAD] in text:
            text = re.sub(rf"{re.escape(key[:_HEAD])}{_WORD}*", MASK, text)
    text = re.sub(_LIKE_KEYS, MASK, text)
    return re.sub(_ENDS, _without_end, re.sub(_MASKED, _without_ends, text), flags=re.IGNORECASE)


def _without_ends(found: re.Match[str]) -> str:
    head, middle, tail = found[1], found[2], found[3].rstrip(".")
    rest = found[3][len(tail) :]
    if middle[0] in "*•●":
        return MASK + rest if head or tail else found[0]
    # three dots are prose as well: they hide a key where the ends are one's
    return MASK + rest if _is_end(head.rpartition("=")[2], tail) else found[0]


def _without_end(found: re.Match[str]) -> str:
    word = found[3].rstrip(".")
    return f"{found[1]}{found[2]}{MASK}{found[3][len(word) :]}" if _is_end(word, word) else found[0]


def _is_end(head: str, tail: str) -> bool:
    return any(
        (len(tail) >= 2 and key.endswith(tail)) or (len(head) >= 4 and key.startswith(head)) for key in _keys.copy()
    )
