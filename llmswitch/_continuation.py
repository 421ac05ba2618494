"""Going on with an answer that broke off, at another target: what is asked there, and how two parts become one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._errors import LLMSwitchError, StreamInterrupted
from ._events import ChatEvent, TextDelta
from ._messages import Message, Part, Reasoning, Text
from ._reply import ChatReply, ChatWarning
from ._request import ChatRequest

__all__ = ["Continuation", "Joint", "continuation"]

_OVERLAP = 200  # characters in which words that are said again are looked for
_LEAST = 8  # of them that can't be chance, where they are one word, or in a script without spaces

# Fields in `extra` that make a part of an answer more, or less, than the beginning of the same text.
_MORE_THAN_TEXT = frozenset(
    {"logprobs", "top_logprobs", "tools", "functions", "response_format", "output_config", "modalities", "audio"}
)


@dataclass(slots=True, frozen=True)
class Continuation:
    """`said`: what the caller has of the answer. `request`: what other targets are asked for the rest of it."""

    said: ChatReply
    request: ChatRequest

    def joint(self) -> Joint:
        """Where an answer to the request is joined to what was said."""
        return Joint(self.said)


def continuation(request: ChatRequest, broken: LLMSwitchError) -> Continuation | None:
    """
    How the answer that broke off can be gone on with; `None` where it can't be.

    It has to be plain text (unsigned thinking before it is none of it), alone, of no form, and asked without tools. The
    conversation is the caller's, with that text as an unfinished answer, and nothing else is added to it.
    """
    if not isinstance(broken, StreamInterrupted) or broken.partial is None or broken.incomplete_tool_calls:
        return None
    said = broken.partial
    if not _is_text(said.message) or request.tools or request.response_format is not None:
        return None
    for extra in request.extra.values():
        if any(extra.get(name) for name in _MORE_THAN_TEXT) or extra.get("n", 1) != 1:
            return None
    before, begun = request.messages, ""
    if before[-1].role == "assistant":
        if not request.prefill:
            return None
        before, begun = before[:-1], before[-1].text
    unfinished = Message("assistant", (begun + said.text).rstrip())  # white space at its end is refused by some
    return Continuation(said, replace(request, messages=(*before, unfinished), prefill=True))


def _is_text(message: Message) -> bool:
    if not message.parts:
        return False
    *before, last = message.parts
    plain = all(isinstance(part, Reasoning) and not (part.vendor and part.vendor.data) for part in before)
    return plain and isinstance(last, Text) and last.vendor is None and bool(last.text.strip())


class Joint:
    """
    Where the second part of an answer meets the first. Its beginning is kept until it is clear how much of it the
    caller has already: spaces that were not sent, and up to 200 characters that are said again.
    """

    __slots__ = ("_cut", "_heard", "_said", "_spaces", "_tail")

    def __init__(self, said: ChatReply) -> None:
        text = said.text
        sent = text.rstrip()
        self._said = said
        self._tail = sent[-_OVERLAP:]
        self._spaces = text[len(sent) :]
        self._heard = ""
        self._cut: int | None = None

    @property
    def closed(self) -> bool:
        """Whether it is known where the new text begins; from there on events need not come through here."""
        return self._cut is not None

    def join(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """What of these events is new to the caller, and can be told by now."""
        out: list[ChatEvent] = []
        for event in events:
            if self._cut is not None:
                out.append(event)
            elif isinstance(event, TextDelta):
                self._heard += event.text
                out.extend(self._new(at_end=False))
            else:
                out.extend(self.rest())
                out.append(event)
        return out

    def rest(self) -> list[ChatEvent]:
        """What was kept, now that no more comes to tell by."""
        return self._new(at_end=True) if self._cut is None else []

    def _new(self, *, at_end: bool) -> list[ChatEvent]:
        if not self._heard or (not at_end and self._may_be_old()):
            return []
        again = self._said_again()
        self._cut = again + _common(self._spaces, self._heard[again:])
        text = self._heard[self._cut :]
        return [TextDelta(text)] if text else []

    def _may_be_old(self) -> bool:
        """Whether what comes next may show that more of it is not new."""
        if self._heard in self._tail:
            return True
        after = self._heard[self._said_again() :]
        return len(after) < len(self._spaces) and self._spaces.startswith(after)

    def _said_again(self) -> int:
        """Characters at the beginning that only repeat the end of what was said, and not by chance."""
        for length in range(min(len(self._heard), len(self._tail)), 1, -1):
            again = self._heard[:length]
            if self._tail.endswith(again):
                told = len(again.split()) > 1 or length >= _LEAST
                # what was repeated before, such as a refrain or a table's rule, may well be meant to go on
                once = self._tail.find(again) == len(self._tail) - length
                return length if told and once and self._at_word(length) else 0
        return 0

    def _at_word(self, length: int) -> bool:
        """Whether the repetition begins where a word does; scripts without spaces have no such place."""
        before, first = self._tail[-length - 1 : -length], self._heard[0]
        return not (before.isalnum() and first.isalnum()) or ord(first) > 0x2E80

    def stitch(self, reply: ChatReply) -> ChatReply:
        """Make the reply, of which the second target knows its own part, the whole answer."""
        said, cut = self._said, self._cut or 0
        parts: list[Part] = list(said.message.parts)
        for part in reply.message.parts:
            if isinstance(part, Text) and cut:
                skipped = min(cut, len(part.text))
                cut -= skipped
                part = replace(part, text=part.text[skipped:])  # noqa: PLW2901 - the same part, without it
            before = parts[-1]
            if isinstance(part, Text) and isinstance(before, Text) and part.vendor is None:
                parts[-1] = Text(before.text + part.text)
            else:
                parts.append(part)
        reply.message = Message("assistant", parts)
        reply.stitched = True
        broke = f"{said.provider}:{said.model}"
        told = ChatWarning("stitched", f"the answer of {broke} broke off, and the rest is from here")
        reply.warnings = [*said.warnings, told, *reply.warnings]
        return reply


def _common(first: str, second: str) -> int:
    """How many characters two texts have in common at their beginning."""
    same = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        same += 1
    return same
