"""boto3 as an oracle: at one time the same request leaves, signed in the same way, and streams are read alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from llmswitch import Client, Image, Message, Text, Tool, ToolCall, ToolResult
from llmswitch._adapter import HTTPRequest
from llmswitch._json import dumps
from llmswitch.providers.bedrock_sigv4 import signed_headers
from llmswitch.providers.bedrock_wire import frame
from tests.providers.foreign_sdk import Ear, Sent, listening

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLETOKEN",
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
REPLY = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi, 你好"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    "metrics": {"latencyMs": 1},
}


def event(name: str, **payload: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, dumps(payload))


FRAMES = [
    event("messageStart", role="assistant"),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hi, "}),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "你好"}),
    event("contentBlockStop", contentBlockIndex=0),
    event("messageStop", stopReason="end_turn"),
    event("metadata", usage=REPLY["usage"], metrics={"latencyMs": 1}),
]


def answer(sent: Sent) -> tuple[str, bytes]:
    if sent.path.endswith("/converse-stream"):
        return "application/vnd.amazon.eventstream", b"".join(FRAMES)
    return "application/json", json.dumps(REPLY).encode()


@pytest.fixture
def ear() -> Iterator[Ear]:
    yield from listening(answer)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def ours(ear: Ear, messages: Any, *, stream: bool = False, **options: Any) -> tuple[Sent, str]:
    """What we send, and the text that we read."""
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    parts = {**names, "session_token": "AWS_SESSION_TOKEN"}
    own = {"base_url": ear.url, "region": "eu-west-1", "credentials": {part: {"env": parts[part]} for part in parts}}
    with Client.from_config({"providers": {"bedrock": own}, "default": f"bedrock:{MODEL}"}) as client:
        if not stream:
            return (reply := client.chat(messages, **options)) and ear.heard[-1], reply.text
        with client.stream(messages, **options) as running:
            list(running)
        return ear.heard[-1], running.reply.text


def theirs(ear: Ear, *, stream: bool = False, **body: Any) -> tuple[Sent, str]:
    """What boto3 sends, and the text that it reads."""
    boto3 = pytest.importorskip("boto3")
    client = boto3.client("bedrock-runtime", region_name="eu-west-1", endpoint_url=ear.url)
    if not stream:
        said = client.converse(modelId=MODEL, **body)["output"]["message"]["content"][0]["text"]
        return ear.heard[-1], said
    deltas = [
        each["contentBlockDelta"]
        for each in client.converse_stream(modelId=MODEL, **body)["stream"]
        if "contentBlockDelta" in each
    ]
    return ear.heard[-1], "".join(delta["delta"]["text"] for delta in deltas)


CASES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": ({"messages": [{"role": "user", "content": [{"text": "Hi, 你好"}]}]}, "Hi, 你好", {}),
    "settings": (
        {
            "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "system": [{"text": "Brief."}],
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
        },
        [Message("system", "Brief."), Message("user", "Hi")],
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END"]},
    ),
    "thinking": (
        {
            "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "inferenceConfig": {"maxTokens": 4000},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        },
        "Hi",
        {"max_tokens": 4000, "reasoning": 2000},
    ),
    "image": (
        {
            "messages": [
                {"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"png"}}}, {"text": "?"}]}
            ]
        },
        [Message("user", [Image(data="cG5n", media_type="image/png"), Text("?")])],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": [{"text": "Weather?"}]},
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}}],
                },
                {
                    "role": "user",
                    "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "?"}], "status": "error"}}],
                },
            ],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "weather", "description": "W.", "inputSchema": {"json": SCHEMA}}}],
                "toolChoice": {"any": {}},
            },
        },
        [
            Message("user", "Weather?"),
            Message("assistant", [ToolCall("c1", "weather", {"city": "Oslo"})]),
            Message("tool", [ToolResult("c1", "?", is_error=True)]),
        ],
        {"tools": [Tool("weather", "W.", SCHEMA)], "tool_choice": "required"},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CASES)
def test_boto3_sends_the_same(ear: Ear, name: str, stream: bool) -> None:
    """Path and body are boto3's for the same request, and the text of the answer is read alike."""
    body, messages, options = CASES[name]
    (mine, read), (other, read_there) = (
        ours(ear, messages, stream=stream, **options),
        theirs(ear, stream=stream, **body),
    )
    assert (mine.method, mine.path, mine.json) == (other.method, other.path, other.json)
    assert (read, read_there) == ("Hi, 你好", "Hi, 你好")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_botocore_signs_the_same(ear: Ear, stream: bool) -> None:
    """A request that left signed by us has the signature that botocore makes of its bytes at its time."""
    auth = pytest.importorskip("botocore.auth")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    mine, _ = ours(ear, "Hi, 你好", stream=stream)
    headers = {"content-type": mine.headers["content-type"], "x-amz-date": mine.headers["x-amz-date"]}
    token = {"X-Amz-Security-Token": mine.headers["x-amz-security-token"]}
    request = AWSRequest("POST", ear.url + mine.path, headers={**headers, **token}, data=mine.body)
    request.context["timestamp"] = mine.headers["x-amz-date"]
    signer = auth.SigV4Auth(Credentials(*KEYS.values()), "bedrock", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert mine.headers["authorization"].rpartition("Signature=")[2] == signature


def test_what_boto3_signs_we_sign_the_same(ear: Ear) -> None:
    """boto3's own request, signed by our rules at its time, has its signature where it signs the same headers."""
    other, _ = theirs(ear, **CASES["text"][0])
    when = datetime.strptime(other.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    names = other.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == "content-type;host;x-amz-date;x-amz-security-token"
    made = signed_headers(HTTPRequest(other.path, other.body), ear.url, *KEYS.values(), "eu-west-1", when)
    assert made["authorization"] == other.headers["authorization"]
