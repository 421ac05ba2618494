"""
The same conversations through Anthropic's own SDK (`pip install anthropic==2.12.0`), against a server on this machine:
what we send has to be what it sends. Each difference that is meant stands here, with its reason.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmswitch import Client, Document, Image, Message, Text, Tool, ToolResult

anthropic = pytest.importorskip("anthropic", minversion="2.12.0")

pytestmark = pytest.mark.slow

KEY = "sk-ant-api03-not-a-key"
MODEL = "claude-opus-5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
OUR_WEATHER = Tool("get_weather", "The weather in a city.", WEATHER["input_schema"])
ENVELOPE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
SAID: dict[str, Any] = {
    **ENVELOPE,
    "content": [{"type": "text", "text": '{"shapes": [], "first": {"kind": "line", "length": 1}}'}],
    "stop_reason": "end_turn",
}
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
FOUND = {
    "type": "web_search_result",
    "url": "https://example.com",
    "title": "T",
    "encrypted_content": "e",
    "page_age": "1",
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "I think.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "b3BhcXVl"},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [FOUND]},
    {"type": "text", "text": "Let me look.", "citations": [CITATION]},
    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
    {
        "type": "tool_use",
        "id": "toolu_2",
        "name": "get_weather",
        "input": {"city": "Rome"},
        "caller": {"type": "direct"},
    },
]
CALLED: dict[str, Any] = {**ENVELOPE, "content": BLOCKS, "stop_reason": "tool_use"}


def as_stream(message: dict[str, Any]) -> bytes:
    """The message as the events of a stream."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(message["content"]):
        begin, deltas = dict(block), []
        match block["type"]:
            case "thinking":
                begin.update(thinking="", signature="")
                deltas = [
                    {"type": "thinking_delta", "thinking": block["thinking"]},
                    {"type": "signature_delta", "signature": block["signature"]},
                ]
            case "text":
                begin.update(text="", citations=None)
                deltas = [{"type": "citations_delta", "citation": each} for each in block.get("citations", ())]
                deltas.append({"type": "text_delta", "text": block["text"]})
            case "tool_use" | "server_tool_use":
                begin.update(input={})
                written = json.dumps(block["input"])
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in (written[:5], written[5:])]
        events.append({"type": "content_block_start", "index": index, "content_block": begin})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 2}})
    events.append({"type": "message_stop"})
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


class Vendor(http.server.ThreadingHTTPServer):
    """Writes down what comes in, and answers with what it was told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def taken(self) -> list[dict[str, Any]]:
        """The bodies since the last look, in one form for both."""
        bodies = [_canonical(body) for _, _, body in self.heard]
        self.heard.clear()
        return bodies


class Handler(http.server.BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.append((self.path, headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else SAID
        kind = "text/event-stream" if body.get("stream") else "application/json"
        data = as_stream(answer) if body.get("stream") else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    server = Vendor()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def theirs(vendor: Vendor) -> Iterator[Any]:
    with anthropic.Anthropic(api_key=KEY, base_url=vendor.url, max_retries=0) as client:
        yield client


@pytest.fixture
def ours(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("TEST_KEY", KEY)
    own = {"base_url": f"{vendor.url}/v1", "api_key": {"env": "TEST_KEY"}, "version": "2026-10-21"}
    with Client.from_config({"default": f"anthropic:{MODEL}", "providers": {"anthropic": own}}) as client:
        yield client


def _canonical(body: dict[str, Any]) -> dict[str, Any]:
    """A string is short for one text block, an absent `stream` for false, and a null field for none."""
    out = {name: value for name, value in body.items() if name != "stream" or value}
    if isinstance(out.get("system"), str):
        out["system"] = _blocks(out["system"])
    out["messages"] = [{**turn, "content": _blocks(turn["content"])} for turn in body["messages"]]
    return out


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = [{name: value for name, value in block.items() if value is not None} for block in content]
    return [{**block, "content": _blocks(block["content"])} if _is_result(block) else block for block in blocks]


def _is_result(block: dict[str, Any]) -> bool:
    return block["type"] == "tool_result" and "content" in block


def test_path_and_headers(vendor: Vendor, theirs: Any, ours: Client) -> None:
    """The path, the version, the key and the type of the body are the SDK's."""
    theirs.messages.create(model=MODEL, max_tokens=5, messages=[{"role": "user", "content": "Hi"}])
    ours.chat("Hi", max_tokens=5)
    (path, sdk, _), (our_path, own, _) = vendor.heard
    assert path == our_path
    for name in ("anthropic-version", "authorization", "content-type", "x-api-key"):
        assert sdk.get(name) == own.get(name)


def test_text_and_settings(vendor: Vendor, theirs: Any, ours: Client) -> None:
    """A system prompt, several turns, stops and a limit."""
    theirs.messages.create(
        model=MODEL,
        max_tokens=5,
        system="Be brief.",
        stop_sequences=["END"],
        messages=[
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": [{"type": "text", "text": "Three"}, {"type": "text", "text": "Four"}]},
        ],
    )
    ours.chat(
        [
            Message("system", "Be brief."),
            Message("user", "One"),
            Message("assistant", "Two"),
            Message("user", [Text("Three"), Text("Four")]),
        ],
        max_tokens=5,
        stop="END",
    )
    sdk, own = vendor.taken()
    assert sdk == own


def test_images_and_documents(vendor: Vendor, theirs: Any, ours: Client) -> None:
    """Pictures and documents by data and by URL."""
    theirs.messages.create(
        model=MODEL,
        max_tokens=5,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                        "title": "a.pdf",
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
    )
    parts: list[Any] = [
        Image(data=PIXEL, media_type="image/png"),
        Image(url="https://example.com/a.png"),
        Document(data="JVBERi0=", media_type="application/pdf", name="a.pdf"),
        Text("What is it?"),
    ]
    ours.chat([Message("user", parts)], max_tokens=5)
    sdk, own = vendor.taken()
    assert sdk == own


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_goes_back_as_the_sdk_sends_it_back(vendor: Vendor, theirs: Any, ours: Client, stream: bool) -> None:
    """Thinking, hidden thinking, hosted tools, citations and calls, and the results with them, in the next request."""
    vendor.answers = [CALLED, SAID, CALLED, SAID]
    common: dict[str, Any] = {"model": MODEL, "max_tokens": 5000, "tools": [WEATHER]}
    common["thinking"] = {"type": "adaptive", "display": "summarized"}
    common["output_config"] = {"effort": "low"}
    messages: list[Any] = [{"role": "user", "content": "Weather in Paris and Rome?"}]
    if stream:
        with theirs.messages.stream(messages=messages, **common) as events:
            answer = events.get_final_message()
    else:
        answer = theirs.messages.create(messages=messages, **common)
    messages += [
        {"role": "assistant", "content": answer.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 C"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no such city", "is_error": True},
            ],
        },
    ]
    theirs.messages.create(messages=messages, **common)

    options: dict[str, Any] = {"max_tokens": 5000, "tools": [OUR_WEATHER], "reasoning": "low"}
    conversation = [Message("user", "Weather in Paris and Rome?")]
    if stream:
        with ours.stream(conversation, **options) as running:
            list(running)
        reply = running.reply
    else:
        reply = ours.chat(conversation, **options)
    results: list[Any] = [ToolResult("toolu_1", "18 C"), ToolResult("toolu_2", "no such city", is_error=True)]
    ours.chat([*conversation, reply.message, Message("tool", results)], **options)

    first, second, our_first, our_second = vendor.taken()
    assert first == our_first
    assert BLOCKS == our_second["messages"][1]["content"]
    assert second == our_second


@pytest.mark.parametrize(
    ("theirs_say", "we_say"),
    [
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "tool", "name": "get_weather"}, {"tool_choice": "get_weather"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"parallel_tool_calls": False}),
    ],
)
def test_tool_choice(
    vendor: Vendor, theirs: Any, ours: Client, theirs_say: dict[str, Any], we_say: dict[str, Any]
) -> None:
    """Each choice as the SDK's types have it."""
    messages = [{"role": "user", "content": "Hi"}]
    theirs.messages.create(model=MODEL, max_tokens=5, messages=messages, tools=[WEATHER], tool_choice=theirs_say)
    ours.chat("Hi", max_tokens=5, tools=[OUR_WEATHER], **we_say)
    sdk, own = vendor.taken()
    assert sdk == own


class Line(BaseModel):
    """A straight one."""

    kind: Literal["line"]
    length: Annotated[float, Field(gt=0, description="In metres.")]


class Dot(BaseModel):
    kind: Literal["dot"]
    label: Annotated[str | None, Field(max_length=3)] = None
    tags: Annotated[list[str], Field(min_length=1, max_length=4)] = []


class Drawing(BaseModel):
    shapes: list[Annotated[Line | Dot, Field(discriminator="kind")]]
    first: Line


def test_structured_output(vendor: Vendor, theirs: Any, ours: Client) -> None:
    """A pydantic model gives the same schema on the wire, and the same object from the answer."""
    messages = [{"role": "user", "content": "Draw"}]
    answer = theirs.messages.parse(model=MODEL, max_tokens=5, messages=messages, output_format=Drawing)
    reply = ours.chat("Draw", max_tokens=5, response_format=Drawing)
    sdk, own = vendor.taken()
    assert sdk == own
    assert answer.parsed_output == reply.parsed
