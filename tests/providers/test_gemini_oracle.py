"""google-genai as the oracle: the same requests leave, and its types take what our tests serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmswitch import Client, Document, Image, Message, Text, Tool, ToolCall, ToolResult, VendorData
from llmswitch.providers.gemini import GeminiOptions
from llmswitch.providers.gemini_wire import GeminiWire
from llmswitch.testing import ANSWERS
from tests.providers.foreign_sdk import Ear, Sent, listening, run_with

pytestmark = pytest.mark.slow

WAYS = [False, True]
SDK = "google-genai==3.4.0"
# Both sides of the wire: what the SDK sends for each case, and what it makes of each answer of the suite's.
SCRIPT = """
import json, sys
from google import genai
from google.genai import types

url, cases, answers = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
client = genai.Client(api_key="the-key", http_options={"base_url": url, "api_version": "v1beta"})
for case in cases:
    contents = [types.Content.model_validate_json(json.dumps(each)) for each in case["contents"]]
    config = types.GenerateContentConfig.model_validate_json(json.dumps(case["config"]))
    whole = client.models.generate_content(model=case["model"], contents=contents, config=config)
    assert whole.text == sys.argv[4], whole
    parts = client.models.generate_content_stream(model=case["model"], contents=contents, config=config)
    assert "".join(each.text or "" for each in parts) == sys.argv[4]
for answer in answers:
    types.GenerateContentResponse.model_validate_json(json.dumps(answer))
for location, host in (("global", ""), ("eu", ".eu.rep"), ("europe-west4", None)):
    made = genai.Client(enterprise=True, project="p", location=location, credentials=_nobody())
    base = made._api_client._http_options.base_url
    wanted = f"https://aiplatform{host}.googleapis.com/" if host is not None else f"https://{location}-aiplatform.googleapis.com/"
    assert base == wanted, base
    assert made._api_client._http_options.api_version == "v1beta1"
""".replace("_nobody()", "__import__('google.auth.credentials', fromlist=['x']).AnonymousCredentials()")

TEXT = '{"city": "你好"}'
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DECLARED = {"name": "weather", "description": "W.", "parametersJsonSchema": SCHEMA}
WEATHER = Tool("weather", "W.", SCHEMA)
HI = [{"role": "user", "parts": [{"text": "Hi, 你好"}]}]
NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"

# (model, contents and config for the SDK, what we are called with)
CASES: dict[str, tuple[str, list[Any], dict[str, Any], Any, dict[str, Any]]] = {
    "settings": (
        NEW,
        HI,
        {
            "systemInstruction": {"parts": [{"text": "Brief."}]},
            "maxOutputTokens": 9,
            "temperature": 0.5,
            "topP": 0.25,
            "stopSequences": ["END"],
            "seed": 7,
            "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        },
        [Message("system", "Brief."), Message("user", "Hi, 你好")],
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END"], "seed": 7, "reasoning": "low"},
    ),
    "budget": (
        OLD,
        HI,
        {"thinkingConfig": {"thinkingBudget": 0}, "responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        "Hi, 你好",
        {"reasoning": "off", "response_format": SCHEMA},
    ),
    "files": (
        NEW,
        [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}},
                    {"text": "?"},
                ],
            }
        ],
        {},
        [
            Message(
                "user",
                [Image(data="cG5n", media_type="image/png"), Document(url="https://example.com/a.pdf"), Text("?")],
            )
        ],
        {},
    ),
    "tools": (
        NEW,
        [
            {"role": "user", "parts": [{"text": "Weather?"}]},
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                        "thoughtSignature": "skip_thought_signature_validator",
                    }
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "weather",
                            "response": {"output": "1 C"},
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": "cG5n"}}],
                        }
                    }
                ],
            },
        ],
        {
            "tools": [{"functionDeclarations": [DECLARED]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("c1", "weather", {"city": "Oslo"}, "", VendorData("x", "", "m", {}))]),
            Message("tool", [ToolResult("c1", [Text("1 C"), Image(data="cG5n", media_type="image/png")])]),
        ],
        {"tools": [WEATHER], "tool_choice": "weather"},
    ),
}


def answer(sent: Sent) -> tuple[str, bytes]:
    texts = [TEXT[:10], TEXT[10:]] if sent.path.endswith("?alt=sse") else [TEXT]
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]} for text in texts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    chunks[-1] |= {"usageMetadata": USAGE, "modelVersion": "m", "responseId": "r"}
    if len(chunks) == 1:
        return "application/json", json.dumps(chunks[0]).encode()
    return "text/event-stream", b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


@pytest.fixture(scope="module")
def genai(request: pytest.FixtureRequest) -> Iterator[tuple[Ear, list[Sent]]]:
    """A server, and what the vendor's SDK sent to it: each case, whole and streamed."""
    cases = [{"model": case[0], "contents": case[1], "config": case[2]} for case in CASES.values()]
    wire = GeminiWire(GeminiOptions(), None)
    served = [wire.reply(each) for each in ANSWERS.values()]
    served += [json.loads(event.partition(b":")[2]) for each in ANSWERS.values() for event in wire.stream(each)]
    for ear in listening(answer):
        run_with(request.config.cache, SDK, SCRIPT, ear.url, json.dumps(cases), json.dumps(served), TEXT)
        yield ear, list(ear.heard)


def _plain(value: Any) -> Any:
    """What the SDK sends, in one spelling: deep inside it writes names in snake case, which are taken as well."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {_camel(key): _plain(each) for key, each in value.items() if (key, each) != ("generationConfig", {})}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


@pytest.mark.parametrize("stream", WAYS, ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_google_genai_sends_the_same(
    genai: tuple[Ear, list[Sent]], monkeypatch: pytest.MonkeyPatch, name: str, stream: bool
) -> None:
    """Path, key and body are those of google-genai for the same request, and the answer is read alike."""
    ear, heard = genai
    monkeypatch.setenv("THE_KEY", "the-key")
    model, _, _, messages, options = CASES[name]
    theirs = heard[2 * list(CASES).index(name) + stream]
    own = {"base_url": f"{ear.url}/v1beta", "api_key": {"env": "THE_KEY"}}
    with Client.from_config({"providers": {"gemini": own}, "default": f"gemini:{model}"}) as client:
        if stream:
            with client.stream(messages, **options) as running:
                list(running)
            reply = running.reply
        else:
            reply = client.chat(messages, **options)
    mine = ear.heard[-1]
    assert (mine.method, mine.path, mine.json) == (theirs.method, theirs.path, _plain(theirs.json))
    assert mine.headers["x-goog-api-key"] == theirs.headers["x-goog-api-key"]
    assert (reply.text, reply.usage.output_tokens) == (TEXT, 2)
