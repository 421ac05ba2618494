"""
How many tokens a request comes to where nobody has counted them.

An estimate goes by the script of the text, and by what the vendor counted for earlier requests to the same model.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ._json import dumps
from ._messages import Message, Text, ToolCall, ToolResult
from ._reply import Usage
from ._request import ChatRequest

if TYPE_CHECKING:
    from ._counting import TokenCount

__all__ = ["TokenRatios"]

# Tokens of one character: ASCII, and the rest, which is Chinese for the most part; vendors' tokenizers lie about these.
_ASCII, _WIDE = 0.25, 0.75
_EACH = 5  # a message, a tool or a call beside its words
_PART = 1_000  # an image, a page or some seconds of sound: little more than that it is there
_UNSEEN = 0.35  # how far an estimate may be off, either way, before anything is known of a model
_LEAST = 0.02
_LEARNT, _OFTEN = 50, 8  # answers after which a model is known well, and how many of those that follow are looked at
_NAMES = 4_096  # targets that something is remembered of


class _Ratio(NamedTuple):
    """What was counted for what was expected, on average, and how far from it it was, on average."""

    ratio: float = 1.0
    spread: float = 0.0
    seen: int = 0

    def after(self, ratio: float) -> _Ratio:
        weight = max(1 / (self.seen + 1), 0.1)
        middle = self.ratio + weight * (ratio - self.ratio)
        off = abs(ratio - middle) if self.seen else 0.0
        return _Ratio(middle, self.spread + weight * (off - self.spread), self.seen + 1)

    @property
    def error(self) -> float:
        """How far an estimate may be off, as a part of it."""
        if not self.seen:
            return _UNSEEN
        return max(_LEAST, min(_UNSEEN, 2.5 * self.spread / self.ratio + _UNSEEN / (self.seen + 1)))


class TokenRatios:
    """What is known of how models count, by target. Threads may share it: a lesson that is lost does no harm."""

    def __init__(self) -> None:
        self._known: dict[str, _Ratio] = {}
        self._turns = count()

    def learn(self, target: str, request: ChatRequest, usage: Usage) -> None:
        """What the vendor counted for a request; one with more than words in it teaches nothing."""
        if not usage.input_tokens or usage.estimated:
            return
        known = self._known.get(target)
        if known is None:
            if len(self._known) >= _NAMES:
                return
            known = _Ratio()
        elif known.seen >= _LEARNT and next(self._turns) % _OFTEN:
            return  # what is known well is followed with every eighth answer: to reckon with a prompt takes its time
        words, others = _expected(request)
        if not others:
            self._known[target] = known.after(usage.input_tokens / words)

    def estimate(self, provider: str, model: str, request: ChatRequest) -> TokenCount:
        """The tokens of a request, as far as they can be told without the vendor."""
        from ._counting import TokenCount  # for whoever asks how many they are

        known = self._known.get(f"{provider}:{model}", _Ratio())
        words, others = _expected(request)
        words *= known.ratio
        off = words * known.error + others
        tokens = round(words + others)
        return TokenCount(tokens, max(1, int(tokens - off)), -int(-(tokens + off)), "estimate", provider, model)


def _expected(request: ChatRequest) -> tuple[float, float]:
    """Tokens of the words, and of what is no words."""
    words, others = 0.0, 0.0
    for message in request.messages:
        words += _EACH
        if isinstance(message.content, str):
            words += _of_text(message.content)
            continue
        for text in _texts(message):
            words += _of_text(text)
        others += _PART * sum(1 for part in _flat(message) if hasattr(part, "media_type"))
    for tool in request.tools:
        words += _EACH + _of_text(tool.name) + _of_text(tool.description)
        words += _of_text(dumps(dict(tool.parameters)).decode())
    form = request.response_format
    if form is not None and form.schema is not None:
        words += _of_text(dumps(dict(form.schema)).decode())
    return words, float(others)


def _flat(message: Message) -> Iterable[object]:
    for part in message.content:
        yield from part.parts if isinstance(part, ToolResult) else (part,)


def _texts(message: Message) -> Iterable[str]:
    for part in _flat(message):
        if isinstance(part, ToolCall):
            yield part.name
            yield part.raw_arguments or dumps(part.arguments).decode()
        elif isinstance(part, Text):
            yield part.text


def _of_text(text: str) -> float:
    if text.isascii():
        return len(text) * _ASCII
    plain = len(text.encode("ascii", "ignore"))
    return plain * _ASCII + (len(text) - plain) * _WIDE
