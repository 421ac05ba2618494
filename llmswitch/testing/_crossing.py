"""Conversations that move: begun at one vendor, gone on with at another, and back at the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import httpx
import pytest

from llmswitch._errors import BadRequest, CapabilityMismatch
from llmswitch._json import dumps, loads
from llmswitch._messages import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._registry import provider as find_provider
from llmswitch._registry import provider_names
from llmswitch._reply import ChatReply
from llmswitch._vendor_wire import Answer, Heard

from ._conversations import NOW, PIXEL, WEATHER
from ._lines import heard_as, said
from ._suite import ProviderSuite, hear
from ._vendor import respond
from ._waits import instant_waits

__all__ = ["CrossingSuite", "Party", "cross"]

# Ids of tool calls as vendors give them: each dialect takes some of these, and refuses others.
_IDS = ("functions.get_weather:{}", "call_{:048d}", "toolu_01A-b_{}", "abcDEF{:03d}")


class Party:
    """
    One end of a crossing: a target whose vendor is played in this process.

    `account` tells one key of the vendor's from another. `sent` is the last request's body, `heard` what the vendor
    understood of it.
    """

    def __init__(
        self, provider: str, model: str | None = None, config: Mapping[str, Any] | None = None, *, account: str = "one"
    ) -> None:
        members = {"provider": provider, "model": model, "config": dict(config or {})}
        self._suite: ProviderSuite = type("Party", (ProviderSuite,), members)()
        with pytest.MonkeyPatch.context() as patch:
            self.key = f"CANARY-key-of-{account}-5d41402abc4b2a76"
            patch.setenv("LLMSWITCH_SUITE_KEY", self.key)
            self._client, _ = self._suite.client(self._answered)
            self._target = self._client._setup.chain(None).targets[0]  # noqa: SLF001 - the key is read with the target
        self.provider, self.name, self.account = provider, self._suite.target_name, account
        self.wire = self._suite.wire
        whose = self._target.adapter.identity
        self.wire.seal = _seal(provider, whose.account, whose.model if self.wire.sealed_by_model else "")
        self.heard = Heard("", [])
        self.sent = b""
        self._answer = Answer(())
        self._refused: AssertionError | None = None

    def able(self, need: str) -> bool:
        """Whether this target says that it can do this."""
        return self._suite.able(need)

    def ask(self, messages: Sequence[Message], answer: Answer, *, stream: bool, **options: Any) -> ChatReply:
        """
        The reply to the messages, which is this answer.

        Raises `AssertionError` where the vendor would refuse the request, and whatever the client raises.
        """
        self._answer, self._refused, self.sent = answer, None, b""
        try:
            if stream:
                with self._client.stream(list(messages), **options) as running:
                    for _event in running:
                        pass
                reply: ChatReply = running.reply
            else:
                reply = self._client.chat(list(messages), **options)
            return reply
        except BadRequest as problem:
            if self._refused is None:
                raise
            raise AssertionError(f"{self.name} refuses it: {self._refused}") from problem

    def _answered(self, request: httpx.Request) -> httpx.Response:
        self.sent = request.content
        wire = self.wire
        try:
            self.heard = hear(wire, request)
        except AssertionError as problem:
            self._refused = problem
            return respond(400, "application/json", [wire.error(400, None, None, "refused")])
        if self.heard.stream:
            return respond(200, wire.content_type, wire.stream(self._answer))
        return respond(200, "application/json", [dumps(wire.reply(self._answer))])

    def call_id(self, number: int) -> str:
        """An id as this vendor may give one to a call."""
        rule = getattr(self.wire.options, "tool_ids", None)
        fitting = [form for form in _IDS if rule is None or rule.fits(form.format(number))]
        return fitting[0].format(number) if fitting else str(rule.stand_in("", number))  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return f"Party({self.name}, {self.account})"


@cache
def _seal(*of: str) -> str:
    """What is in everything that is opaque of an account: letters that are in nothing else."""
    return "Seal" + "".join(character for character in "x".join(of).title() if character.isalnum()) + "laeS"


def cross(home: Party, away: Party, *, stream: bool) -> None:
    """
    A conversation begins at one target, goes on at another, and comes back, twice.

    Raises `AssertionError` where one of the two would refuse what it is sent, hears something else than was said, does
    not get its own back as it was, or hears what only the other understands.
    """
    _Crossing(home, away, stream=stream).run()


@dataclass
class _Crossing:
    home: Party
    away: Party
    stream: bool
    messages: list[Message] = field(default_factory=list)
    given: list[tuple[Party, Answer]] = field(default_factory=list)
    calls: int = 0

    def run(self) -> None:
        home, away = self.home, self.away
        self.messages.append(Message("user", self._question()))
        if not self._say(home, "Let me look.", calls=2):
            return
        self._say(home, "It is warm.", keep=False)
        direct = home.heard
        if not self._say(away, "I look too.", calls=1):
            return
        self._say(home, "It is warm there.")
        self._same_as(direct)
        self._say(away, "Warm.")
        self.messages = [Message.from_dict(loads(dumps(message.to_dict()))) for message in self.messages]
        self._say(home, "My pleasure.")
        self._same_as(direct)

    def _question(self) -> list[Part]:
        seen = self.home.able("images") and self.away.able("images")
        return [Text("The weather in these?"), *([Image(data=PIXEL, media_type="image/png")] if seen else [])]

    def _say(self, party: Party, text: str, *, calls: int = 0, keep: bool = True) -> bool:
        """One more turn; `keep` adds it to the conversation. Whether there is one: some can't go on after calls."""
        answer = self._answer(party, text, calls if party.able("tools") else 0)
        options: dict[str, Any] = {"tools": [WEATHER, NOW]} if party.able("tools") else {}
        if self.stream and party.able("reasoning:low"):
            options["reasoning"] = "low"
        if self.calls and not party.able("tools"):
            with pytest.raises(CapabilityMismatch, match="calls no tools"):
                party.ask(self.messages, answer, stream=self.stream, **options)
            assert party.sent == b"", "bytes were sent before the refusal"
            return False
        reply = party.ask(self.messages, answer, stream=self.stream, **options)
        assert party.sent, party
        self._hears_what_was_said(party)
        self._has_its_own(party)
        if keep:
            self._keep(party, answer, reply)
        return True

    def _answer(self, party: Party, text: str, calls: int) -> Answer:
        parts: list[Text | Reasoning | ToolCall] = []
        if party.wire.shows_reasoning:
            parts += [
                Reasoning(f"Thought {len(self.messages)} of {_seal(party.provider, 'thoughts')}.\n你好"),
                Reasoning(""),
            ]
        if not party.wire.several_calls:
            calls = min(calls, 1)
        if party.wire.several_calls or not calls:
            parts.append(Text(text))
        numbers = range(self.calls, self.calls + calls)
        parts += [ToolCall(party.call_id(number), "get_weather", {"city": f"City {number}"}) for number in numbers]
        return Answer(tuple(parts), finish_reason="tool_calls" if calls else "stop")

    def _keep(self, party: Party, answer: Answer, reply: ChatReply) -> None:
        """What the caller does with an answer: it is kept, and its calls are answered."""
        self.given.append((party, answer))
        self.messages.append(reply.message)
        self.calls += len(reply.tool_calls)
        if reply.tool_calls:
            results: list[Part] = [ToolResult(call.id, f"{call.arguments['city']}: 18 C") for call in reply.tool_calls]
            results[-1] = ToolResult(reply.tool_calls[-1].id, "no such city", is_error=True)
            self.messages.append(Message("tool", results))
        elif answer.finish_reason == "tool_calls":
            raise AssertionError(f"{party} lost the calls of an answer")
        else:
            self.messages.append(Message("user", "And tomorrow?"))

    def _hears_what_was_said(self, party: Party) -> None:
        wire = party.wire
        meant = said(self.messages, joined=wire.joins_text, one_call=wire.parts_calls)
        assert meant == heard_as(party.heard.messages, meant)
        other = self.away if party is self.home else self.home
        if other.wire.seal != party.wire.seal:
            assert other.wire.seal.encode() not in party.sent, f"{party} hears what only {other} understands"
        if other.provider != party.provider:
            assert _seal(other.provider, "thoughts").encode() not in party.sent, f"{party} hears what {other} thought"

    def _has_its_own(self, party: Party) -> None:
        """All that a vendor sealed has come back to it, and so have its thoughts, with the turns that it wants."""
        wire = party.wire
        own = [answer for by, answer in self.given if by.wire.seal == wire.seal]
        sealed = sum(dumps(wire.reply(answer)).count(wire.seal.encode()) for answer in own)
        assert sealed == len(party.heard.opaque), f"{party} does not have what it sealed"
        thoughts = [
            _thought(answer.parts)
            for by, answer in self.given
            if (by.wire.seal == wire.seal if wire.seals_thoughts else by.provider == party.provider)
            and (wire.keeps_thoughts == "always" or (wire.keeps_thoughts == "with_calls" and _calls(answer)))
        ]
        mark = _seal(party.provider, "thoughts")
        heard = [thought for _, parts in party.heard.messages if mark in (thought := _thought(parts))]
        assert [thought for thought in thoughts if thought] == heard, f"{party} does not have its own thoughts"

    def _same_as(self, direct: Heard) -> None:
        """Where the conversation was before it went away, nothing has changed for its vendor."""
        heard = self.home.heard
        assert direct.messages == heard.messages[: len(direct.messages)]
        assert direct.opaque == heard.opaque[: len(direct.opaque)]


def _thought(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Reasoning))


def _calls(answer: Answer) -> bool:
    return any(isinstance(part, ToolCall) for part in answer.parts)


class CrossingSuite:
    """
    Subclass it with `provider = "NAME"`: its conversations go on elsewhere and come back, and others' go on with it.

    `others` are the providers that it is crossed with, by default those who wrote a dialect and still serve.
    """

    provider: ClassVar[str]
    model: ClassVar[str | None] = None
    config: ClassVar[dict[str, Any]] = {}
    others: ClassVar[tuple[str, ...]] = ()

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_a_conversation_goes_away_and_comes_back(self, stream: bool) -> None:
        """Begun here it goes on there, begun there it goes on here; and back, each has its own again."""
        mine = Party(self.provider, self.model, self.config)
        specs = map(find_provider, provider_names())
        others = self.others or [spec.name for spec in specs if spec.dialect == spec.name and not spec.retired]
        with instant_waits():
            for name in others:
                if name != self.provider:
                    cross(mine, Party(name), stream=stream)
                    cross(Party(name), mine, stream=stream)

    def test_another_account_has_nothing_of_the_first(self) -> None:
        """What is opaque goes back to the account that it came from, and to no other of the same vendor."""
        with instant_waits():
            cross(
                Party(self.provider, self.model, self.config),
                Party(self.provider, self.model, self.config, account="two"),
                stream=False,
            )
