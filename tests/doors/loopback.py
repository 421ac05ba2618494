"""A door behind a loopback HTTP server, with what lies behind it scripted: for the SDKs that come in by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmswitch._assembly import ReplyAssembly
from llmswitch._errors import LLMSwitchError
from llmswitch._messages import Part, Reasoning, Text, ToolCall, VendorData, VendorPart
from llmswitch._reply import ChatReply, FinishReason, Usage
from llmswitch._request import ChatRequest
from llmswitch.doors import Asked, Door

__all__ = ["BREAKS", "USAGE", "Answered", "answered", "said_by", "standing"]

USAGE = Usage(input_tokens=100, output_tokens=7, cached_tokens=30, cache_write_tokens=20, reasoning_tokens=3)
BREAKS = "breaks"  # a text after which a scripted stream fails

Answered = tuple[ChatReply, list[Any]]


def answered(parts: list[Part], reason: FinishReason = "stop", usage: Usage = USAGE) -> Answered:
    """An answer and the events of its stream, as an adapter's assembly says them."""
    made = ReplyAssembly()
    for index, part in enumerate(parts):
        made.new_block()
        match part:
            case Text() | Reasoning():
                for piece in (part.text[:3], part.text[3:]):
                    if piece:
                        made.text(piece) if isinstance(part, Text) else made.reasoning(piece)
                if part.vendor is not None:
                    made.sign(type(part), part.vendor)
            case ToolCall():
                made.tool_call(index, part.id, part.name, json.dumps(part.arguments), part.vendor)
                made.tool_done(index)
            case VendorPart():
                made.opaque(part.vendor)
    made.usage = usage
    made.finish(reason)
    return made.reply(), [*made.events(), made.finish_event()]


def said_by(door: Door, asked: Asked, given: Answered) -> bytes:
    """The whole stream of an answer."""
    writer = door.writer(asked)
    reply, events = given
    return writer.begin() + b"".join(map(writer.event, events)) + writer.end(reply)


Script = Callable[[Asked], Answered | LLMSwitchError]


@contextmanager
def standing(door: Door, script: Script) -> Iterator[tuple[str, list[Asked]]]:
    """The server's address and what it was asked. A stream fails after its events where the script's text breaks."""
    heard: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, kind, headers, said = 200, "application/json", {}, b""
            try:
                assert self.path.split("?")[0].endswith(door.path)
                asked = door.read(body)
                options = {name: value for name, value in asked.options.items() if name != "timeout"}
                ChatRequest.read(asked.messages, **options)
                heard.append(asked)
                given = script(asked)
                if isinstance(given, LLMSwitchError):
                    raise given
                if asked.stream:
                    kind, said = "text/event-stream", _stream(door, asked, given)
                else:
                    said = json.dumps(door.reply(asked, given[0])).encode()
            except LLMSwitchError as error:
                refusal = door.refusal(error)
                status, headers, said = refusal.status, dict(refusal.headers), json.dumps(refusal.body).encode()
            self.send_response(status)
            for name, value in {**headers, "content-type": kind, "content-length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()


def _stream(door: Door, asked: Asked, given: Answered) -> bytes:
    if given[0].text != BREAKS:
        return said_by(door, asked, given)
    writer = door.writer(asked)
    said = writer.begin() + b"".join(map(writer.event, given[1]))
    return said + writer.failed(LLMSwitchError("the answer broke off"))


GEMINI = VendorData("gemini", "f1", "g", {"thoughtSignature": "abc"})
CLAUDE = VendorData("anthropic", "f2", "c", {"type": "thinking", "signature": "sig"})
OPAQUE: list[Part] = [
    Reasoning("Let me think", CLAUDE),
    Reasoning("", VendorData("anthropic", "f2", "c", {"type": "redacted_thinking", "data": "x"})),
    VendorPart(VendorData("anthropic", "f2", "c", {"type": "server_tool_use"})),
    Text("Here: ", VendorData("openai", "f3", "o", {"phase": "commentary"})),
    Text("now."),
    ToolCall("call_1", "add", {"a": 1}, vendor=GEMINI),
    ToolCall("call_2", "add", {"b": 2}),
]
