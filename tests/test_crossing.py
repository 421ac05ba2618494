"""Conversations that move: begun at any vendor they go on at any other, and each has its own again when they return."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmswitch import Client, Message, Reasoning, Text, ToolCall, ToolResult, VendorData
from llmswitch._json import dumps
from llmswitch._registry import provider, provider_names
from llmswitch.testing import Answer, CrossingSuite, FakeVendor, Party, cross, instant_waits
from llmswitch.testing._conversations import WEATHER
from tests.everyday import THOROUGH, mostly_slow
from tests.rows import rows

ROOT = Path(__file__).parent.parent

# Models whose rules for a conversation differ from those of their provider's default one.
VARIANTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "anthropic": [("claude-haiku-4-5", {}), ("claude-sonnet-4-6", {"version": "2026-10-21"}), ("claude-opus-5", {})],
    "azure": [("gpt-5.2", {}), ("gpt-5.2", {"dialect": "openai-responses"})],
    "bedrock": [("us.anthropic.claude-haiku-4-5-20251001-v1:0", {})],
    "cohere": [("command-a-03-2025", {}), ("command-a-vision-07-2025", {})],
    "dashscope": [("qwen3.7-plus", {"site": "intl"}), ("deepseek-v4-pro", {}), ("deepseek-r1", {}), ("kimi-k3", {})],
    "deepseek": [("deepseek-reasoner", {"site": "cn"}), ("deepseek-chat", {})],
    "fireworks": [("accounts/fireworks/models/deepseek-v4-pro", {})],
    "gemini": [("gemini-2.5-flash", {})],
    "minimax": [("MiniMax-M2.7", {"site": "intl"}), ("M2-her", {})],
    "mistral": [("codestral-2508", {})],
    "modelscope": [("ZhipuAI/GLM-5", {}), ("Qwen/Qwen3-32B", {})],
    "moonshot": [("kimi-k3.1-pro", {"site": "intl"}), ("kimi-k2.7-code", {}), ("moonshot-v1-8k", {})],
    "openai": [("gpt-5", {}), ("gpt-4.1", {}), ("gpt-5", {"dialect": "openai"})],
    "qianfan": [("deepseek-v4-pro", {}), ("kimi-k2.6", {}), ("deepseek-r1", {})],
    "sensenova": [("deepseek-v4-flash", {}), ("SenseNova-V6-Turbo", {"site": "cn-compatible"})],
    "siliconflow": [("zai-org/GLM-5.2", {}), ("Qwen/Qwen3-8B", {})],
    "spark": [("lite", {}), ("spark-x", {"site": "cn-x2"})],
    "streamlake": [("deepseek-v4-pro", {}), ("kimi-k2.7-code", {}), ("glm-5", {})],
    "tencent": [("minimax-m3", {"site": "intl"}), ("kimi-k2.6", {}), ("deepseek-v4-pro", {})],
    "vertex": [("gemini-2.5-flash", {})],
    "volcengine": [("deepseek-v4-pro-ga-260813", {}), ("deepseek-r1-250528", {}), ("kimi-k2-5-260127", {})],
    "xai": [("grok-4.20-0309-non-reasoning", {})],
    "zhipu": [("glm-5.3", {"site": "intl"}), ("glm-4-flash", {})],
}

PROVIDERS = [name for name in provider_names() if not provider(name).retired]
TARGETS: list[tuple[str, str | None, str]] = [
    *((name, None, "{}") for name in PROVIDERS),
    *((name, model, json.dumps(own)) for name in PROVIDERS for model, own in VARIANTS.get(name, [])),
]
# Those whom most conversations come from, and go to.
CENTRES = ("openai", "anthropic")


@cache
def party(name: str, model: str | None = None, own: str = "{}", account: str = "one") -> Party:
    """A target with its vendor, made once: each crossing is a conversation of its own."""
    return Party(name, model, json.loads(own), account=account)


@pytest.fixture(autouse=True)
def _no_waits():
    with instant_waits():
        yield


@pytest.mark.parametrize(
    "target",
    mostly_slow(
        [each for each in TARGETS if each[1] is not None],
        [each for each in TARGETS if each[1] in ("claude-haiku-4-5", "deepseek-reasoner", "kimi-k2.7-code", "M2-her")],
    ),
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def test_variants_with_the_centres(target):
    """Models whose rules differ from their provider's default one: gone to from OpenAI, and left for Anthropic."""
    cross(party("openai"), party(*target), stream=True)
    cross(party(*target), party("anthropic"), stream=False)


RULES = (
    *("reasoning_replay", "reasoning_stand_in", "reasoning_fields", "reasoning_parts", "thoughts_in_content"),
    *("calls_content", "tool_ids", "signature_stand_in"),
)


def rules(name: str, model: str) -> str:
    """What a provider's file says of a conversation with that model."""
    spec = provider(name)
    merged: dict[str, Any] = {}
    for _, options in spec.layers(model):
        merged.update(options)
    return repr((spec.dialect_of(model), {rule: merged[rule] for rule in RULES if rule in merged}))


RESPONSES = ("replay", "result_fields", "thought_ids")
FORMS = (*RULES, *RESPONSES, "joined_text", "one_system", "tools_as_schema", "after_results", "system_role")


def kinds() -> list[tuple[str, str | None, str]]:
    """The first target of each kind: one dialect, the same options for a conversation, the same that can be in one."""
    found: dict[str, tuple[str, str | None, str]] = {}
    for name, model, own in TARGETS:
        able: dict[str, Any] = {}
        options: dict[str, Any] = {}
        spec = provider(name)
        dialect = json.loads(own).get("dialect") or spec.dialect_of(model or spec.default_model or "")
        for capabilities, departures in spec.layers(model or spec.default_model or "", dialect):
            able.update(capabilities)
            options.update(departures)
        shown = {key: value for key, value in options.items() if key in FORMS}
        can = {key: value for key, value in able.items() if key in ("tools", "images")}
        found.setdefault(repr((dialect, shown, can)), (name, model, own))
    return list(found.values())


KINDS = kinds()


AUTHORS = [name for name in PROVIDERS if provider(name).dialect == name]


@pytest.mark.parametrize("name", mostly_slow(PROVIDERS, [*AUTHORS, "deepseek", "minimax", "moonshot", "zhipu"]))
def test_with_the_centres_and_a_neighbour(name):
    """Each provider with OpenAI, Anthropic and the next of the list, both ways round; every day who wrote a dialect."""
    others = dict.fromkeys([*CENTRES, PROVIDERS[(PROVIDERS.index(name) + 1) % len(PROVIDERS)]])
    for number, other in enumerate(others):
        if other != name:
            cross(party(name), party(other), stream=number % 2 == 0)
            cross(party(other), party(name), stream=number % 2 == 1)


@pytest.mark.slow
@pytest.mark.parametrize("home", KINDS, ids=lambda each: f"{each[0]}-{each[1] or 'default'}")
def test_all_pairs(home):
    """Every pair of kinds of targets, there and back; in CI every fourth, so that each meets both ways of a call."""
    mine = KINDS.index(home)
    for number, away in enumerate(KINDS):
        if THOROUGH or (number - mine) % 4 == 1:
            cross(party(*home), party(*away), stream=number < mine)


@rows("name", PROVIDERS)
def test_the_variants_are_all_that_there_are(name):
    """Each way in which a built-in provider's models treat thoughts and calls is among the targets."""
    crossed = {rules(name, model or provider(name).default_model or "") for other, model, _ in TARGETS if other == name}
    patterns = [pattern for family in provider(name).families for pattern in family.match]
    models = [re.sub(r"\[(.)[^]]*\]", r"\1", pattern).replace("*", "x") for pattern in patterns]
    assert set() == {rules(name, model) for model in models} - crossed


# Of one vendor


@rows("name", ["anthropic", "minimax", "deepseek", "openai"])
def test_another_account(name):
    """What is opaque goes back to the account that it came from, and is left out for another one of the same vendor."""
    cross(party(name), party(name, account="two"), stream=False)
    cross(party(name, account="two"), party(name), stream=True)


@rows(
    ("first", "second"),
    [
        (("anthropic", None, "{}"), ("anthropic", "claude-haiku-4-5", "{}")),
        (("anthropic", "claude-haiku-4-5", "{}"), ("anthropic", "claude-sonnet-4-6", "{}")),
        (("minimax", None, "{}"), ("minimax", "MiniMax-M2.7", "{}")),
        (("moonshot", None, "{}"), ("moonshot", "kimi-k3", "{}")),
        (("deepseek", "deepseek-v4-pro", "{}"), ("deepseek", "deepseek-reasoner", "{}")),
        (("openai", None, "{}"), ("openai", "gpt-5", "{}")),
        (("openai", "gpt-5", "{}"), ("openai", "gpt-5", '{"dialect": "openai"}')),
    ],
)
def test_another_model(first, second):
    """A signature stays with the model that it is bound to; plain thoughts go to the vendor's other models too."""
    cross(party(*first), party(*second), stream=False)
    cross(party(*second), party(*first), stream=True)


class TestSuiteForOthers(CrossingSuite):
    """What a provider of another package runs."""

    provider = "zhipu"
    others = ("minimax",)


# What a crossing must notice

CALL = ToolCall("c1", "get_weather", {"city": "Paris"})
RESULT = Message("tool", [ToolResult("c1", "18 C")])
QUESTION = Message("user", "Weather?")


def sealed(wire: Any, text: str) -> dict[str, Any]:
    return wire._block(Reasoning(text))


@rows(
    ("name", "assistant", "said"),
    [
        ("deepseek", {"content": None}, "reasoning_content is missing"),
        ("deepseek", {"content": None, "reasoning_content": ""}, "may not be empty"),
        ("deepseek", {"content": "", "reasoning_content": " "}, "content is null"),
        ("openai", {"content": None, "reasoning_content": "Hm."}, "refused"),
        ("openai", {"content": None, "id": "x" * 41}, "an id that is refused"),
        ("moonshot", {"content": None, "reasoning_content": ""}, "content may not be null"),
        ("openai", {"content": None, "reasoning_content": ""}, "refused"),
        ("minimax", {"content": None, "reasoning_details": [{"seal": "of another", "text": "Hm."}]}, "as it was given"),
    ],
)
def test_the_vendors_side_of_chat_completions_refuses(name, assistant, said):
    """What the vendor refuses in an assistant's turn, its side of the wire refuses."""
    wire = party(name, "gpt-4.1" if name == "openai" else None).wire
    given = {**assistant}
    call_id = given.pop("id", "c1")
    call = {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [call], **given},
        {"role": "tool", "tool_call_id": call_id, "content": "18 C"},
    ]
    with pytest.raises(AssertionError, match=said):
        wire.hear({"model": "m", "messages": messages, **wire.options.body})


@rows(
    ("turns", "said"),
    [
        (["call", "user"], "every call is answered"),
        (["call"], "every call is answered"),
        (["call", "user", "result"], "every call is answered"),
        (["call", "result", "result"], "and once"),
        (["result"], "answers a call"),
        (["call", "call"], "every call is answered"),
        (["two", "result"], "already"),
        (["empty"], "an empty message"),
    ],
)
def test_the_vendors_side_refuses_calls_that_are_not_answered(turns, said):
    """Results stand right after the calls that they answer, one for each."""
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    known = {
        "call": {"role": "assistant", "content": None, "tool_calls": [call]},
        "two": {"role": "assistant", "content": None, "tool_calls": [call, call]},
        "result": {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        "user": {"role": "user", "content": "Well?"},
        "empty": {"role": "assistant", "content": ""},
    }
    messages = [known["user"], *(known[turn] for turn in turns)]
    with pytest.raises(AssertionError, match=said):
        party("openai", "gpt-4.1").wire.hear({"model": "m", "messages": messages})


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVkIGJ5IGFub3RoZXI="}
USE = {"type": "tool_use", "id": "c1", "name": "now", "input": {}}
DONE = {"type": "tool_result", "tool_use_id": "c1", "content": "noon"}


@rows(
    ("turns", "more", "said"),
    [
        ([("assistant", [USE]), ("user", [DONE])], {}, "the first turn is the user's"),
        ([("user", "Hi"), ("assistant", [SIGNED, USE]), ("user", [DONE])], {}, "as it was given"),
        ([("user", "Hi"), ("assistant", [USE]), ("user", "Well?")], {}, "each call has its result"),
        (
            [("user", "Hi"), ("assistant", [{**USE, "id": "a:0"}]), ("user", [{**DONE, "tool_use_id": "a:0"}])],
            {},
            "refused",
        ),
        ([("user", "Hi"), *[("assistant", [USE]), ("user", [DONE])] * 2], {}, "there already"),
        ([("user", "Hi"), ("assistant", [USE]), ("user", [DONE])], {"tools": []}, "calls without tools"),
        (
            [("user", "Hi"), ("assistant", [USE]), ("user", [DONE])],
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "must start with a thinking block",
        ),
    ],
)
def test_the_vendors_side_of_messages_refuses(turns, more, said):
    """What the Messages API refuses in a conversation, its side of the wire refuses."""
    messages = [{"role": role, "content": content} for role, content in turns]
    tools = [{"name": "now", "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 2048, "messages": messages, "tools": tools, **more}
    with pytest.raises(AssertionError, match=said):
        party("anthropic", "claude-haiku-4-5").wire.hear(body)


# In a chain, and in another process


def test_a_conversation_in_a_chain(monkeypatch):
    """The first target fails for one turn of a tool loop: another answers it, and the first goes on with its own."""
    first, second = party("anthropic", "claude-haiku-4-5"), party("deepseek")
    monkeypatch.setenv("ONE_KEY", "CANARY-key-5d41402abc4b2a76")
    away, heard = [False], []

    def answer(request: httpx.Request) -> httpx.Response:
        of = first if request.url.host == "api.anthropic.com" else second
        if of is first and away[0]:
            return httpx.Response(500)
        body = json.loads(request.content)
        heard.append((of.provider, of.wire.hear(body), request.content))
        calls = "18 C" not in request.content.decode()
        parts = (Reasoning(f"{of.provider} thinks."), *([CALL] if calls else [Text("Warm.")]))
        return httpx.Response(200, json=of.wire.reply(Answer(parts, finish_reason="tool_calls" if calls else "stop")))

    names = ("anthropic", "deepseek")
    config = {
        "providers": {name: {"api_key": {"env": "ONE_KEY"}} for name in names},
        "chains": {"both": {"targets": ["anthropic:claude-haiku-4-5", "deepseek:deepseek-flash"]}},
        "default": "both",
    }
    with Client.from_config(config, http_client=FakeVendor(answer)) as client:
        said = [QUESTION]
        said.append(client.chat(said, tools=[WEATHER], reasoning="low").message)
        said.append(RESULT)
        away[0] = True
        reply = client.chat(said, tools=[WEATHER], reasoning="low")
        assert "deepseek" == reply.provider
        said += [reply.message, Message("user", "And tomorrow?")]
        away[0] = False
        last = client.chat(said, tools=[WEATHER], reasoning="low")
    assert ["anthropic", "deepseek", "anthropic"] == [by for by, _, _ in heard]
    assert b"anthropic thinks." not in heard[1][2]
    assert b"deepseek thinks." not in heard[2][2]
    assert [(1, sealed(first.wire, "anthropic thinks."))] == heard[2][1].opaque
    assert "anthropic" == last.provider


CONTINUE = """
import json, sys
from llmswitch import Client, Message, Tool
from llmswitch.testing import FakeVendor
from llmswitch.testing._conversations import WEATHER
vendor = FakeVendor(lambda request: sys.exit(sys.stdout.write(request.content.decode()) and 0))
client = Client.from_config(
    {"providers": {"anthropic": {"api_key": {"env": "THE_KEY"}}}, "default": "anthropic:claude-sonnet-5-5"},
    http_client=vendor,
)
client.chat([Message.from_dict(each) for each in json.load(sys.stdin)], tools=[WEATHER])
"""


def stored() -> tuple[Party, list[dict[str, Any]]]:
    """A conversation as its caller stores it, and the target where it began and has heard it to its end."""
    home = Party("anthropic")
    answer = Answer((Reasoning("I look.\u2028"), Reasoning(""), Text("Let me see."), CALL), finish_reason="tool_calls")
    said = [QUESTION]
    said += [home.ask(said, answer, stream=True, tools=[WEATHER]).message, RESULT]
    home.ask(said, Answer((Text("Warm."),)), stream=False, tools=[WEATHER])
    return home, [message.to_dict() for message in said]


def test_a_stored_conversation_goes_on():
    """Stored as JSON and read again, it is sent to its vendor byte for byte as it would have been, by any client."""
    home, said = stored()
    there = Party("anthropic")
    again = [Message.from_dict(message) for message in json.loads(json.dumps(said))]
    there.ask(again, Answer((Text("Warm."),)), stream=False, tools=[WEATHER])
    assert home.sent == there.sent
    assert 2 == there.sent.decode().count(home.wire.seal)


@pytest.mark.slow
def test_a_stored_conversation_goes_on_in_another_process():
    """Another process that reads what was stored, with the same key, sends the same bytes."""
    home, said = stored()
    there = subprocess.run(
        [sys.executable, "-c", CONTINUE],
        input=json.dumps(said),
        env={**os.environ, "THE_KEY": home.key, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert home.sent.decode() == there.stdout


# What is left out, and what stands for it


def test_thoughts_without_a_name_are_the_callers():
    """Thoughts that say nobody's name, as in a dict of the caller's, go to every vendor who wants some back."""
    said: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hm.", "reasoning_content": "So."},
    ]
    for name, model, heard in (("deepseek", None, "So."), ("zhipu", None, "So."), ("openai", "gpt-4.1", None)):
        asked = party(name, model)
        asked.ask([*said, {"role": "user", "content": "Well?"}], Answer((Text("Ok"),)), stream=False)
        assert heard == json.loads(asked.sent)["messages"][1].get("reasoning_content")


def test_a_turn_of_which_nothing_is_left_is_left_out():
    """An answer that was only thought, and hidden blocks of another vendor's, leave no empty message behind."""
    theirs = VendorData("elsewhere", "0123456789abcdef", "their-model", {"signature": "c2ln"})
    said = [QUESTION, Message("assistant", [Reasoning("Hm.", theirs), Text("")]), Message("user", "Well?")]
    for name in ("openai", "anthropic", "deepseek", "minimax"):
        party(name).ask(said, Answer((Text("Ok"),)), stream=False)
        assert b"Hm." not in party(name).sent
        assert b'"assistant"' not in party(name).sent


def test_a_thought_that_lost_its_signature_is_left_out():
    """What a broken stream leaves of a thought bears its author's name, and is not sent as if it were signed."""
    claude = party("anthropic")
    identity = claude._target.adapter.identity
    thought = Reasoning("Hm.", identity.signature())
    said = [QUESTION, Message("assistant", [thought, Text("It is")]), Message("user", "Well?")]
    claude.ask(said, Answer((Text("Ok"),)), stream=False)
    assert "It is" == json.loads(claude.sent)["messages"][1]["content"]


def test_thinking_with_a_budget_gives_way_to_another_models_calls():
    """In the midst of foreign calls a budget is refused: the model answers without, and the reply says so."""
    haiku = party("anthropic", "claude-haiku-4-5")
    foreign = [QUESTION, Message("assistant", [Text("I look."), CALL]), RESULT]
    answer = Answer((Text("Warm."),))
    reply = haiku.ask(foreign, answer, stream=False, tools=[WEATHER], reasoning="low")
    assert ["thinking_off"] == [warning.code for warning in reply.warnings]
    assert "thinking" not in json.loads(haiku.sent)
    after = [*foreign, Message("assistant", "Warm."), Message("user", "And tomorrow?")]
    reply = haiku.ask(after, answer, stream=False, tools=[WEATHER], reasoning="low")
    assert [] == reply.warnings
    assert "enabled" == json.loads(haiku.sent)["thinking"]["type"]


def test_calls_are_never_sent_without_their_tools():
    """Messages refuses calls whose tools are not named: where none are offered they are named, and can't be called."""
    said = [QUESTION, Message("assistant", [CALL]), RESULT]
    claude = party("anthropic")
    claude.ask(said, Answer((Text("Warm."),)), stream=False)
    body = json.loads(claude.sent)
    assert ["get_weather"] == [tool["name"] for tool in body["tools"]]
    assert {"type": "none"} == body["tool_choice"]


def test_dumps_is_what_is_sent():
    """The seal of a played vendor is in what it sends, so that its absence elsewhere means something."""
    for name in ("anthropic", "minimax"):
        wire = party(name).wire
        assert wire.seal.encode() in dumps(wire.reply(Answer((Reasoning("Hm."), Text("Hi")))))
