"""Messages: what goes over the wire. The bodies are those of Anthropic's SDK 2.12.0 types, written by hand."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from llmswitch import (
    CapabilityMismatch,
    ChatReply,
    Client,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    VendorData,
    VendorPart,
)
from llmswitch._config_file import Loaded
from llmswitch._registry import provider
from llmswitch._setup import Setup
from tests.rows import rows

KEY = "sk-ant-api03-not-a-key"
OLD, NEW = "2023-06-01", "2026-10-21"
PLAIN = "claude-haiku-4-5"  # sampling, prefill, budgets
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": '{"n": 1}'}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}

WEATHER = Tool(
    "get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
WEATHER_ON_THE_WIRE = {
    "name": "get_weather",
    "description": "The weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Sent:
    """One request as the vendor got it, and the reply that the caller got."""

    def __init__(self, request: httpx.Request, reply: ChatReply) -> None:
        self.request = request
        self.reply = reply
        self.body: dict[str, Any] = json.loads(request.content)

    @property
    def warnings(self) -> list[str]:
        return [warning.code for warning in self.reply.warnings]


Ask = Callable[..., Sent]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Sends messages to a model of the vendor; gives what was sent and what came of it."""
    monkeypatch.setenv("TEST_KEY", KEY)

    def send(messages: Any, model: str = PLAIN, *, own: Mapping[str, Any] | None = None, **options: Any) -> Sent:
        requests: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return httpx.Response(200, json=ANSWER)

        config = {
            "default": f"anthropic:{model}",
            "providers": {"anthropic": {"api_key": {"env": "TEST_KEY"}, **(own or {})}},
        }
        client = Client.from_config(config, http_client=httpx.Client(transport=httpx.MockTransport(answer)))
        reply = client.chat(messages, **options)
        assert len(requests) == 1
        return Sent(requests[0], reply)

    return send


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> str:
    """The tag of the account that the requests of a test are made with."""
    monkeypatch.setenv("TEST_KEY", KEY)
    given = {"providers": {"anthropic": {"api_key": {"env": "TEST_KEY"}}}}
    return Setup(Loaded.from_mapping(given), f"anthropic:{PLAIN}").chain(None).targets[0].endpoint.account


def own(account: str, data: Mapping[str, Any], *, model: str = PLAIN, provider: str = "anthropic") -> VendorData:
    return VendorData(provider, account, model, data)


# Versions


def test_the_old_version_is_the_default_and_carries_the_key_in_x_api_key(ask: Ask) -> None:
    """Without a version the request is one of 2023-06-01, whose key stands in `x-api-key`."""
    sent = ask("Hi").request
    assert "https://api.anthropic.com/v1/messages" == str(sent.url)
    assert OLD == sent.headers["anthropic-version"]
    assert KEY == sent.headers["x-api-key"]
    assert "authorization" not in sent.headers


def test_the_new_version_carries_the_key_as_a_bearer_token(ask: Ask) -> None:
    """Version 2026-10-21 sends its own header, and the key in `Authorization`."""
    sent = ask("Hi", own={"version": NEW}).request
    assert NEW == sent.headers["anthropic-version"]
    assert f"Bearer {KEY}" == sent.headers["authorization"]
    assert "x-api-key" not in sent.headers


def test_the_old_version_takes_a_temperature_where_the_model_does(ask: Ask) -> None:
    """Sonnet 4.6 takes a temperature under 2023-06-01."""
    assert 0.5 == ask("Hi", "claude-sonnet-4-6", temperature=0.5).body["temperature"]


@rows("setting", ["temperature", "top_p"])
@rows(
    ("model", "version"),
    [
        ("claude-sonnet-4-6", NEW),
        (PLAIN, NEW),
        ("claude-opus-4-7", OLD),
        ("claude-opus-4-8", OLD),
        ("claude-sonnet-5", OLD),
        ("claude-opus-5", OLD),
        ("claude-fable-5", OLD),
        ("claude-fable-5-1", NEW),
        ("claude-opus-5-5", OLD),
        ("claude-sonnet-5-5", OLD),
        ("claude-haiku-5-5", OLD),
        ("claude-not-known-yet", OLD),
    ],
)
def test_sampling_is_refused_where_the_version_or_the_model_refuses_it(
    ask: Ask, model: str, version: str, setting: str
) -> None:
    """The new version takes no sampling value at all, models from Opus 4.7 on take none under any version."""
    with pytest.raises(CapabilityMismatch, match=setting):
        ask("Hi", model, own={"version": version}, **{setting: 1.0})


def test_a_version_never_gives_a_model_what_its_family_lacks() -> None:
    """No version of the file widens a list that a family has narrowed."""
    spec = provider("anthropic")
    for version in spec.versions.values():
        for key, value in version.capabilities.items():
            for layer in (spec.capabilities, *(family.capabilities for family in spec.families)):
                assert set(value) <= set(layer.get(key, value))


def test_temperature_and_top_p_are_not_sent_together(ask: Ask) -> None:
    """The models that take sampling values take one of them."""
    with pytest.raises(CapabilityMismatch, match="top_p: not together with temperature"):
        ask("Hi", temperature=0.2, top_p=0.9)
    sent = ask("Hi", temperature=0.2, top_p=0.9, degrade=True)
    assert 0.2 == sent.body["temperature"]
    assert "top_p" not in sent.body
    assert ["degraded"] == sent.warnings


# The envelope


def test_the_smallest_request(ask: Ask) -> None:
    """A question is a model, a limit and one message; nothing else is sent unasked."""
    assert {
        "model": PLAIN,
        "max_tokens": 16384,
        "messages": [{"role": "user", "content": "Hi"}],
    } == ask("Hi").body


def test_settings_have_their_names_of_the_dialect(ask: Ask) -> None:
    """`max_tokens`, `stop` and `extra` go where the dialect has them."""
    sent = ask("Hi", max_tokens=9, stop=["END", "STOP"], extra={"anthropic": {"metadata": {"user_id": "u1"}}})
    assert {
        "model": PLAIN,
        "max_tokens": 9,
        "stop_sequences": ["END", "STOP"],
        "metadata": {"user_id": "u1"},
        "messages": [{"role": "user", "content": "Hi"}],
    } == sent.body


def test_the_default_limit_is_an_option(ask: Ask) -> None:
    """`default_max_tokens` is sent where the caller gives no limit, and only there."""
    settings = {"options": {"default_max_tokens": 100}}
    assert 100 == ask("Hi", own=settings).body["max_tokens"]
    assert 5 == ask("Hi", own=settings, max_tokens=5).body["max_tokens"]


@pytest.mark.parametrize(("option", "value"), [("seed", 7), ("response_format", "json")])
def test_what_the_dialect_lacks_is_refused(ask: Ask, option: str, value: object) -> None:
    """There is no seed in the dialect, and no JSON mode without a schema."""
    with pytest.raises(CapabilityMismatch, match=option):
        ask("Hi", **{option: value})


# Messages


def test_leading_system_messages_are_the_system_prompt(ask: Ask) -> None:
    """One is a string, several are blocks; blank ones are left out."""
    assert "Be brief." == ask([Message("system", "Be brief."), Message("user", "Hi")]).body["system"]
    several = [Message("system", "Be brief."), Message("system", " \n"), Message("system", "Be kind.")]
    sent = ask([*several, Message("user", "Hi")])
    assert [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}] == sent.body["system"]
    assert [{"role": "user", "content": "Hi"}] == sent.body["messages"]
    assert [] == sent.warnings


LATER_SYSTEM = [
    Message("user", "One"),
    Message("assistant", "Two"),
    Message("user", "Three"),
    Message("system", "Speak French."),
]


def test_a_later_system_message_stands_where_the_model_takes_it(ask: Ask) -> None:
    """After a user's turn, at the end or before an answer, models from Opus 4.8 on take it as it is."""
    sent = ask(LATER_SYSTEM, "claude-opus-4-8")
    assert [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
        {"role": "system", "content": "Speak French."},
    ] == sent.body["messages"]
    assert "system" not in sent.body
    assert [] == sent.warnings


def test_a_later_system_message_keeps_its_place_in_a_users_turn_elsewhere(ask: Ask) -> None:
    """A model without system turns gets the text at its place, between tags, and the reply says so."""
    sent = ask(LATER_SYSTEM, PLAIN)
    assert {
        "role": "user",
        "content": [
            {"type": "text", "text": "Three"},
            {"type": "text", "text": "<system>\nSpeak French.\n</system>"},
        ],
    } == sent.body["messages"][-1]
    assert ["system_in_user_turn"] == sent.warnings


@rows(
    "messages",
    [
        [Message("user", "One"), Message("assistant", "Two"), Message("system", "French."), Message("user", "Three")],
        [Message("user", "One"), Message("system", "French."), Message("user", "Three")],
        [Message("user", "One"), Message("assistant", "Two"), Message("system", "French.")],
    ],
    ids=["after_an_answer", "before_a_user", "last_after_an_answer"],
)
def test_a_system_message_in_a_place_that_is_refused_goes_into_a_users_turn(ask: Ask, messages: list[Message]) -> None:
    """A system turn has to follow a user's, and to precede an answer or end the conversation."""
    sent = ask(messages, "claude-opus-5")
    assert "system" not in {turn["role"] for turn in sent.body["messages"]}
    assert "<system>\\nFrench.\\n</system>" in json.dumps(sent.body["messages"])
    assert ["system_in_user_turn"] == sent.warnings


def test_neighbours_of_one_role_are_one_turn(ask: Ask) -> None:
    """Consecutive messages of a role become one turn, in order."""
    sent = ask([Message("user", "One"), Message("user", [Text("Two"), Text("Three")])])
    content = [{"type": "text", "text": text} for text in ("One", "Two", "Three")]
    assert [{"role": "user", "content": content}] == sent.body["messages"]


def test_blank_text_is_left_out_and_so_is_a_message_without_anything(ask: Ask) -> None:
    """Blank text blocks are refused by the API; a turn of nothing else disappears and its neighbours meet."""
    sent = ask([Message("user", [Text(""), Text("One")]), Message("assistant", "\n"), Message("user", "Two")])
    content = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    assert [{"role": "user", "content": content}] == sent.body["messages"]


@pytest.mark.parametrize("messages", [[Message("system", "Be brief.")], [Message("user", "  ")]])
def test_nothing_to_answer_is_refused(ask: Ask, messages: list[Message]) -> None:
    """At least one message with content is needed beside the system prompt."""
    with pytest.raises(CapabilityMismatch, match="nothing to answer"):
        ask(messages)


def test_images_and_documents(ask: Ask) -> None:
    """Images by data and URL; documents by data, as text, and by URL, with their names."""
    text = base64.b64encode("naïve".encode()).decode()
    parts: list[Any] = [
        Image(data="aWNvbg==", media_type="image/jpg", detail="low"),
        Image(url="https://example.com/a.png"),
        Document(data="JVBERi0=", media_type="application/pdf", name="a.pdf"),
        Document(data=text, media_type="text/markdown; charset=utf-8"),
        Document(url="https://example.com/b.pdf"),
    ]
    assert [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aWNvbg=="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/b.pdf"}},
    ] == ask([Message("user", parts)]).body["messages"][0]["content"]


@rows(
    ("role", "part"),
    [
        ("user", Image(data="aWNvbg==", media_type="image/tiff")),
        ("user", Document(data="UEsDBA==", media_type="application/zip")),
        ("user", Document(data="/w==", media_type="text/plain")),
        ("assistant", Image(url="https://example.com/a.png")),
    ],
    ids=["tiff", "zip", "not_utf8", "assistant_image"],
)
def test_content_without_a_block_is_refused_with_its_place(ask: Ask, role: Any, part: Any) -> None:
    """What the dialect has no block for is refused before a byte is sent, and the message is named."""
    with pytest.raises(CapabilityMismatch, match=r"messages\[1\]") as refused:
        ask([Message("user", "Hi"), Message(role, [part]), Message("user", "And?")])
    assert f"anthropic:{PLAIN}" == refused.value.target


def test_a_name_is_left_out_aloud(ask: Ask) -> None:
    """The dialect has no names of participants."""
    sent = ask([Message("user", "Hi", name="Ada")])
    assert [{"role": "user", "content": "Hi"}] == sent.body["messages"]
    assert ["name_left_out"] == sent.warnings


# Answers to go on with


def test_an_unfinished_answer_is_continued_where_the_model_does_that(ask: Ask) -> None:
    """A last assistant message is sent, without white space at its very end."""
    sent = ask([Message("user", "Hi"), Message("assistant", "The answer is (  ")])
    assert {"role": "assistant", "content": "The answer is ("} == sent.body["messages"][-1]


@rows("model", ["claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-5", "claude-sonnet-5-5"])
def test_an_unfinished_answer_is_refused_elsewhere(ask: Ask, model: str) -> None:
    """Models that take no prefill are not sent one."""
    with pytest.raises(CapabilityMismatch, match="unfinished answer"):
        ask([Message("user", "Hi"), Message("assistant", "The answer is (")], model)


def test_a_paused_answer_goes_back_as_it_came(ask: Ask, account: str) -> None:
    """`pause_turn`: the reply is sent back as the last message, which is no prefill."""
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    paused = Message("assistant", [Text("Searching."), VendorPart(own(account, block, model="claude-opus-5"))])
    sent = ask([Message("user", "Hi"), paused], "claude-opus-5")
    assert [{"type": "text", "text": "Searching."}, block] == sent.body["messages"][-1]["content"]


# Tools


def test_tools_have_their_schema_under_input_schema(ask: Ask) -> None:
    """A tool is a name, a description and an input schema; without a choice none is sent."""
    body = ask("Hi", tools=[WEATHER]).body
    assert [WEATHER_ON_THE_WIRE] == body["tools"]
    assert "tool_choice" not in body


@rows(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("get_weather", None, {"type": "tool", "name": "get_weather"}),
        ("none", None, {"type": "none"}),
        ("none", False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("get_weather", False, {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}),
        ("auto", True, {"type": "auto"}),
    ],
)
def test_tool_choice(ask: Ask, choice: str | None, parallel: bool | None, expected: dict[str, Any]) -> None:
    """The four choices; one call at a time is said inside the choice."""
    sent = ask("Hi", tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel)
    assert expected == sent.body["tool_choice"]


@rows("model", ["claude-fable-5", "claude-mythos-preview", "claude-opus-5-5", "claude-sonnet-5-5"])
def test_a_forced_tool_is_refused_where_the_model_refuses_it(ask: Ask, model: str) -> None:
    """Fable, Mythos, Opus 5.5 and Sonnet 5.5 can't be forced; with `degrade` they are asked."""
    with pytest.raises(CapabilityMismatch, match="tool_choice"):
        ask("Hi", model, tools=[WEATHER], tool_choice="required")
    sent = ask("Hi", model, tools=[WEATHER], tool_choice="required", degrade=True)
    assert {"type": "auto"} == sent.body["tool_choice"]


def test_tool_results_of_a_turn_are_one_user_message_before_anything_else(ask: Ask) -> None:
    """Results come first in the user's turn, all of them, with errors marked and pictures inside."""
    calls = Message("assistant", [Text("Looking."), ToolCall("a", "f", {"x": 1}), ToolCall("b", "f", {})])
    sent = ask(
        [
            Message("user", "Go"),
            calls,
            Message("tool", [ToolResult("b", "broken", is_error=True)]),
            Message("tool", [ToolResult("a", [Text("18 C"), Image(url="https://example.com/a.png")])]),
            Message("user", "Well?"),
        ],
        tools=[WEATHER],
    )
    assert [
        {"role": "user", "content": "Go"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "broken", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [
                        {"type": "text", "text": "18 C"},
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    ],
                },
                {"type": "text", "text": "Well?"},
            ],
        },
    ] == sent.body["messages"]


def test_an_empty_result_has_no_content_and_an_empty_error_a_word(ask: Ask) -> None:
    """Empty text is refused, and so is an error without content."""
    sent = ask(
        [
            Message("user", "Go"),
            Message("assistant", [ToolCall("a", "f", {}), ToolCall("b", "f", {})]),
            Message("tool", [ToolResult("a", ""), ToolResult("b", "", is_error=True)]),
        ]
    )
    assert [
        {"type": "tool_result", "tool_use_id": "a"},
        {"type": "tool_result", "tool_use_id": "b", "content": "Error", "is_error": True},
    ] == sent.body["messages"][-1]["content"]


@rows("foreign", ["functions.get_weather:0", "", "x" * 65, "call 1", "天气", "a/b+c=", "\ud800"])
def test_a_foreign_tool_id_becomes_one_that_the_wire_takes(ask: Ask, foreign: str) -> None:
    """An id outside `[a-zA-Z0-9_-]{1,64}` is mapped, the same for call and result, in every request."""
    conversation = [
        Message("user", "Go"),
        Message("assistant", [ToolCall(foreign, "f", {})]),
        Message("tool", [ToolResult(foreign, "ok")]),
    ]
    bodies = [ask(conversation).body for _ in range(2)]
    (call,), (result,) = (turn["content"] for turn in bodies[0]["messages"][1:])
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", call["id"])
    assert call["id"] == result["tool_use_id"]
    assert bodies[0] == bodies[1]
    assert foreign == conversation[1].tool_calls[0].id


def test_an_id_that_returns_in_a_later_turn_is_told_apart(ask: Ask) -> None:
    """Some vendors number their calls anew in every turn; here each id has to be unique, its result with it."""
    sent = ask(
        [
            Message("user", "Go"),
            Message("assistant", [ToolCall("f:0", "f", {"n": 1})]),
            Message("tool", [ToolResult("f:0", "one")]),
            Message("assistant", [ToolCall("f:0", "f", {"n": 2})]),
            Message("tool", [ToolResult("f:0", "two")]),
        ]
    )
    blocks = [block for turn in sent.body["messages"][1:] for block in turn["content"]]
    first, first_result, second, second_result = blocks
    assert first["id"] != second["id"]
    assert [first["id"], second["id"]] == [first_result["tool_use_id"], second_result["tool_use_id"]]
    assert ["one", "two"] == [first_result["content"], second_result["content"]]


GREETING = [Message("assistant", "How can I help?"), Message("user", "Name a river.")]


def test_the_first_word_is_the_users(ask: Ask) -> None:
    """A conversation that the assistant begins is refused, or begins with a note where the caller allows that."""
    with pytest.raises(CapabilityMismatch, match="first one is the assistant's"):
        ask(GREETING)
    for said in (GREETING, [Message("system", "Brief."), Message("user", " "), *GREETING]):
        sent = ask(said, degrade=True)
        assert ["user", "assistant", "user"] == [turn["role"] for turn in sent.body["messages"]]
        assert ["degraded"] == sent.warnings
    sent = ask(GREETING, own={"options": {"user_first": False}})
    assert ["assistant", "user"] == [turn["role"] for turn in sent.body["messages"]]
    assert [] == sent.warnings


def test_calls_are_named_where_no_tools_are_offered(ask: Ask) -> None:
    """Calls without their tools are refused: those are named once each, and can't be called."""
    loop = [
        Message("assistant", [ToolCall("a", "now", {}), ToolCall("b", "now", {})]),
        Message("tool", [ToolResult("a", "x"), ToolResult("b", "y")]),
    ]
    sent = ask([Message("user", "Go"), *loop])
    assert [{"name": "now", "input_schema": {"type": "object"}}] == sent.body["tools"]
    assert {"type": "none"} == sent.body["tool_choice"]
    sent = ask([Message("user", "Go"), *loop], tools=[WEATHER])
    assert ["get_weather"] == [tool["name"] for tool in sent.body["tools"]]
    assert "tool_choice" not in sent.body


# What only the vendor understands

SIGNED = {"type": "thinking", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "b3BhcXVl"}


def _thought(signed: VendorData | None, hidden: VendorData | None) -> list[Message]:
    parts: list[Any] = [Reasoning("I think.", signed), Reasoning("", hidden), Text("I say.")]
    return [Message("user", "One"), Message("assistant", parts), Message("user", "Two")]


def test_own_thinking_goes_back_unchanged_and_in_order(ask: Ask, account: str) -> None:
    """A signed block and a hidden one are sent back as they came, to the account and model that gave them."""
    sent = ask(_thought(own(account, SIGNED), own(account, HIDDEN)))
    assert [
        {"type": "thinking", "thinking": "I think.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "I say."},
    ] == sent.body["messages"][1]["content"]


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "somebody-else"},
        {"account": "0123456789abcdef"},
        {"model": "claude-sonnet-4-5"},
        None,
    ],
    ids=["vendor", "account", "model", "unsigned"],
)
def test_foreign_and_unsigned_thinking_is_left_out(ask: Ask, account: str, change: dict[str, str] | None) -> None:
    """A signature holds for one vendor, account and model; thinking without one can't be sent at all."""
    vendor = None
    if change is not None:
        tags = {"provider": "anthropic", "account": account, "model": PLAIN, **change}
        vendor = VendorData(**tags, data=SIGNED)
    sent = ask(_thought(vendor, vendor))
    assert {"role": "assistant", "content": "I say."} == sent.body["messages"][1]


def test_hosted_tool_blocks_and_citations_go_back_to_their_account_alone(ask: Ask, account: str) -> None:
    """Opaque blocks and citations return verbatim to any model of the account, and to no other account."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"encrypted_content": "e"}]}
    citations = {"citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}]}

    def conversation(tag: str) -> list[Message]:
        parts: list[Any] = [
            VendorPart(own(tag, search, model="claude-opus-5")),
            VendorPart(own(tag, found, model="claude-opus-5")),
            Text("So it is.", own(tag, citations)),
        ]
        return [Message("user", "One"), Message("assistant", parts), Message("user", "Two")]

    assert [search, found, {"type": "text", "text": "So it is.", **citations}] == ask(conversation(account)).body[
        "messages"
    ][1]["content"]
    assert "So it is." == ask(conversation("another")).body["messages"][1]["content"]


def test_citations_never_stand_on_a_users_text(ask: Ask, account: str) -> None:
    """A quoted answer in a user's message loses its citations: version 2026-10-21 refuses them there."""
    quoted = Text("So it is.", own(account, {"citations": [{"type": "char_location"}]}))
    assert "So it is." == ask([Message("user", [quoted])]).body["messages"][0]["content"]


def test_what_a_call_came_with_goes_back_with_it(ask: Ask, account: str) -> None:
    """Fields of a tool call beside its name and input, such as `caller`, return to their account."""
    extra = {"caller": {"type": "direct"}}
    call = ToolCall("a", "f", {}, vendor=own(account, extra))
    sent = ask([Message("user", "Go"), Message("assistant", [call]), Message("tool", [ToolResult("a", "ok")])])
    assert [{"type": "tool_use", "id": "a", "name": "f", "input": {}, **extra}] == sent.body["messages"][1]["content"]


# Structured answers


def test_a_form_is_the_output_format_and_shares_its_object_with_effort(ask: Ask) -> None:
    """`output_config` holds the closed schema, and beside it the effort."""
    form = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    sent = ask("Hi", "claude-opus-5", response_format=form, reasoning="low")
    assert {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
                "required": ["n"],
                "additionalProperties": False,
            },
        },
    } == sent.body["output_config"]
    assert {"n": 1} == sent.reply.parsed
