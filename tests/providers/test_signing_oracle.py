"""The vendors' own SDKs as oracles of signed requests: at one time the same request leaves, but for named things."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmswitch import Client, Image, Message, Text, Tool, ToolCall, ToolResult
from llmswitch._adapter import HTTPRequest
from llmswitch.providers import bce_auth, tencent_native_tc3
from tests.providers.foreign_sdk import Ear, Sent, listening, run_with

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NOW = 1_700_000_000.25
SECRET_ID, SECRET_KEY = "AKIDEXAMPLEID0000000000000000000000", "ExampleSecretKey0000000000000000"
ACCESS_KEY, BCE_KEY = "ALTAKEXAMPLE0000000000", "0123456789abcdef0123456789abcdef"
ZHIPU = "exampleid0000000000000000000000.ExampleSecret0000000000000000000000"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALLED = [
    Message("system", "Brief."),
    Message("user", "Weather?"),
    Message("assistant", [Text("Looking."), ToolCall("c1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}')]),
    Message("tool", [ToolResult("c1", "18 C")]),
]
TOOLS = {"tools": [Tool("get_weather", "Weather.", WEATHER)]}


@pytest.fixture(autouse=True)
def _then(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the fourteenth of November 2023, for their code and for ours."""
    monkeypatch.setattr("llmswitch._http_message.time", lambda: NOW)  # first, or it might be loaded with the false time
    monkeypatch.setattr("time.time", lambda: NOW)
    for name, value in {
        "CLOUD_ID": SECRET_ID,
        "CLOUD_KEY": SECRET_KEY,
        "BCE_ID": ACCESS_KEY,
        "BCE_KEY": BCE_KEY,
        "ZHIPU_KEY": ZHIPU,
        "DASH_KEY": "sk-0123456789abcdef",
    }.items():
        monkeypatch.setenv(name, value)


def ask(ear: Ear, provider: str, own: dict[str, Any], messages: Any, model: str, **options: Any) -> Sent:
    """What we send."""
    stream = options.pop("stream", False)
    config = {"providers": {provider: {"base_url": ear.url, **own}}, "default": f"{provider}:{model}"}
    with Client.from_config(config) as client:
        list(client.stream(messages, **options)) if stream else client.chat(messages, **options)
    return ear.heard[-1]


# Tencent


def tencent_answer(sent: Sent) -> tuple[str, bytes]:
    if sent.json.get("Stream"):
        frame = {"Id": "1", "Choices": [{"Delta": {"Content": "hi"}, "FinishReason": "stop"}]}
        return "text/event-stream", b"data: " + json.dumps(frame).encode() + b"\n\n"
    choice = {"Message": {"Role": "assistant", "Content": "hi"}, "FinishReason": "stop"}
    return "application/json", json.dumps({"Response": {"RequestId": "r", "Choices": [choice]}}).encode()


@pytest.fixture
def tencent() -> Iterator[Ear]:
    yield from listening(tencent_answer)


TENCENT: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": ({"Messages": [{"Role": "user", "Content": "Hi, 你好"}]}, "Hi, 你好", {}),
    "settings": (
        {
            "Messages": [{"Role": "user", "Content": "Hi"}],
            "Temperature": 0.5,
            "TopP": 0.25,
            "Seed": 7,
            "Stop": ["a", "b"],
        },
        "Hi",
        {"temperature": 0.5, "top_p": 0.25, "seed": 7, "stop": ["a", "b"]},
    ),
    "image": (
        {
            "Messages": [
                {
                    "Role": "user",
                    "Contents": [
                        {"Type": "text", "Text": "What?"},
                        {"Type": "image_url", "ImageUrl": {"Url": "https://example.com/a.png"}},
                    ],
                }
            ]
        },
        [Message("user", [Text("What?"), Image(url="https://example.com/a.png")])],
        {},
    ),
    "tools": (
        {
            "Messages": [
                {"Role": "system", "Content": "Brief."},
                {"Role": "user", "Content": "Weather?"},
                {
                    "Role": "assistant",
                    "Content": "Looking.",
                    "ToolCalls": [
                        {
                            "Id": "c1",
                            "Type": "function",
                            "Function": {"Name": "get_weather", "Arguments": '{"city": "Paris"}'},
                        }
                    ],
                },
                {"Role": "tool", "ToolCallId": "c1", "Content": "18 C"},
            ],
            "Tools": [
                {
                    "Type": "function",
                    "Function": {
                        "Name": "get_weather",
                        "Description": "Weather.",
                        "Parameters": json.dumps(WEATHER, separators=(",", ":")),
                    },
                }
            ],
            "ToolChoice": "auto",
        },
        CALLED,
        {**TOOLS, "tool_choice": "auto"},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", TENCENT)
def test_tencent(tencent: Ear, name: str, stream: bool) -> None:
    """Path, headers and body are those of Tencent's SDK; our signature of its bytes is its own."""
    from tencentcloud.common.credential import Credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.hunyuan.v20230901 import hunyuan_client, models

    theirs, messages, options = TENCENT[name]
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=tencent.host), language="en-US")
    sdk = hunyuan_client.HunyuanClient(Credential(SECRET_ID, SECRET_KEY, "a-token"), "ap-guangzhou", profile)
    request = models.ChatCompletionsRequest()
    request.from_json_string(json.dumps({"Model": "m", "Stream": stream, **theirs}))
    answer = sdk.ChatCompletions(request)
    if stream:
        list(answer)
    sent = tencent.heard[-1]

    signer = "llmswitch.providers.tencent_native_tc3:TC3"
    own = {
        "dialect": "tencent-native",
        "auth": {"signer": signer, "options": {"service": "hunyuan"}},
        "credentials": {
            "secret_id": {"env": "CLOUD_ID"},
            "secret_key": {"env": "CLOUD_KEY"},
            "token": {"env": "CLOUD_TOKEN"},
        },
        "options": {"region": "ap-guangzhou"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_TOKEN", "a-token")
        mine = ask(tencent, "cloud", own, messages, "m", stream=stream, **options)
    assert ("POST", "/") == (sent.method, sent.path) == (mine.method, mine.path)
    assert sent.json == mine.json
    # What the SDK sends beside it: its own name, and an id of its own for each request.
    said = {name for name in sent.headers if name.startswith("x-tc-")} - {"x-tc-requestclient", "x-tc-traceid"}
    assert said == {name for name in mine.headers if name.startswith("x-tc-")}
    for header in (*said, "host", "content-type"):
        assert sent.headers[header] == mine.headers[header]
    for each in (sent, mine):  # it writes its JSON with spaces, so the signatures are of different bytes
        signed = tencent_native_tc3.authorization(
            HTTPRequest("/", each.body), tencent.url, SECRET_ID, SECRET_KEY, NOW, "hunyuan"
        )
        assert signed == each.headers["authorization"]


# Baidu

_NAMES = st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)
_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
_PATH = st.from_regex(r"(/[A-Za-z0-9_.~-]{1,8}){1,4}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["GET", "POST"]), _PATH, st.dictionaries(_NAMES, _VALUES), st.dictionaries(_NAMES, _VALUES))
def test_bce_auth(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
    """Any request is signed as Baidu's SDK signs it."""
    from urllib.parse import urlencode

    from baidubce.auth.bce_credentials import BceCredentials
    from baidubce.auth.bce_v1_signer import sign

    headers = {**headers, "host": "aip.baidubce.com"}
    query = {name: value for name, value in query.items() if name != "authorization"}
    theirs = sign(
        BceCredentials(ACCESS_KEY, BCE_KEY),
        method.encode(),
        path.encode(),
        {name.encode(): value.encode() for name, value in headers.items()},
        {name.encode(): value.encode() for name, value in query.items()},
        timestamp=NOW,
        headers_to_sign={name.encode() for name in headers},
    ).decode()
    url = f"https://aip.baidubce.com{path}" + (f"?{urlencode(query)}" if query else "")
    assert _sorted(theirs) == _sorted(bce_auth.authorization(method, url, headers, ACCESS_KEY, BCE_KEY, NOW))


def _sorted(header: str) -> list[str]:
    """The parts of the header; the SDK names the signed headers in any order."""
    *before, names, signature = header.split("/")
    return [*before, *sorted(names.split(";")), signature]


def baidu_answer(sent: Sent) -> tuple[str, bytes]:
    path = sent.path.partition("?")[0]
    if path == "/oauth/2.0/token":
        return "application/json", b'{"access_token":"24.0123456789abcdef","expires_in":2592000}'
    if path == "/v1/BCE-BEARER/token":
        times = b'"createTime":"2023-11-14T22:13:20Z","expireTime":"2023-11-15T10:13:20Z"'
        return "application/json", b'{"token":"bce-v3/0123456789abcdef",%b}' % times
    if path.endswith("/v2/chat/completions"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        return "application/json", json.dumps({"id": "as-1", "choices": [choice]}).encode()
    frame = {"id": "as-1", "result": "{}", "is_end": True, "finish_reason": "normal", "usage": {}}
    if sent.json.get("stream"):
        return "text/event-stream", b"data: " + json.dumps(frame).encode() + b"\n\n"
    return "application/json", json.dumps(frame).encode()


@pytest.fixture
def baidu() -> Iterator[Ear]:
    yield from listening(baidu_answer)


QIANFAN = """
import json, os, sys, time
time.time = lambda: 1700000000.25
url, way, cases = sys.argv[1:4]
os.environ.update(QIANFAN_BASE_URL=url, QIANFAN_CONSOLE_API_BASE_URL=url, QIANFAN_IAM_BASE_URL=url)
os.environ.update(QIANFAN_IAM_SIGN_EXPIRATION_SEC="1800")  # its own is 300; IAM's documentation has 1800
access, secret = "ALTAKEXAMPLE0000000000", "0123456789abcdef0123456789abcdef"
if way == "application":
    os.environ.update(QIANFAN_AK=access, QIANFAN_SK=secret)
else:
    os.environ.update(QIANFAN_ACCESS_KEY=access, QIANFAN_SECRET_KEY=secret)
import qianfan
chat = qianfan.ChatCompletion(version="2") if way == "minted" else qianfan.ChatCompletion()
for given in json.loads(cases):
    answer = chat.do(retry_count=1, **given)
    if given["stream"]:
        list(answer)
"""

ERNIE: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "text": (
        {"messages": [{"role": "user", "content": "Hi"}], "system": "Brief."},
        [Message("system", "Brief."), Message("user", "Hi")],
        {},
    ),
    "settings": (
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "top_p": 0.25,
            "max_output_tokens": 9,
            "stop": ["a", "b"],
            "response_format": "json_object",
        },
        "Hi",
        {"temperature": 0.5, "top_p": 0.25, "max_tokens": 9, "stop": ["a", "b"], "response_format": "json"},
    ),
    "functions": (
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "Looking.",
                    "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                },
                {"role": "function", "name": "get_weather", "content": "18 C"},
            ],
            "system": "Brief.",
            "functions": [{"name": "get_weather", "description": "Weather.", "parameters": WEATHER}],
        },
        CALLED,
        TOOLS,
    ),
}
BCE = {"access_key": {"env": "BCE_ID"}, "secret_key": {"env": "BCE_KEY"}}
APPLICATION = {"client_id": {"env": "BCE_ID"}, "client_secret": {"env": "BCE_KEY"}}


WAYS = [False, True]  # whole, streamed


@pytest.fixture(scope="module", params=["application", "access_key"])
def qianfan(request: pytest.FixtureRequest) -> Iterator[tuple[str, Ear, list[Sent]]]:
    """Who asks how, a server, and what the vendor's SDK sent to it: each case, whole and streamed."""
    cases = [
        {"model": "ERNIE-3.5-8K", "stream": stream, **theirs} for theirs, _, _ in ERNIE.values() for stream in WAYS
    ]
    for ear in listening(baidu_answer):
        run_with(request.config.cache, "qianfan==0.4.12.3", QIANFAN, ear.url, request.param, json.dumps(cases))
        yield request.param, ear, list(ear.heard)


@pytest.mark.parametrize("stream", WAYS, ids=["whole", "stream"])
@pytest.mark.parametrize("name", ERNIE)
def test_wenxin(qianfan: tuple[str, Ear, list[Sent]], name: str, stream: bool) -> None:
    """Path, query, signature and body are those of Qianfan's SDK, with both ways to prove who asks."""
    way, ear, heard = qianfan
    # it also fetches lists of models
    sent = [each for each in heard if "/wenxinworkshop/chat/" in each.path][2 * list(ERNIE).index(name) + stream]
    own = {"credentials": BCE if way == "access_key" else APPLICATION}
    mine = ask(ear, "wenxin", own, ERNIE[name][1], "ernie-3.5-8k", stream=stream, **ERNIE[name][2])
    assert (sent.method, sent.path) == (mine.method, mine.path)
    # The SDK names itself, and says `stream: false`.
    body = {key: value for key, value in sent.json.items() if key != "extra_parameters" and value is not False}
    assert body == mine.json
    if way == "access_key":
        assert "2023-11-14T22:13:20Z" == sent.headers["x-bce-date"] == mine.headers["x-bce-date"]
        _signed_as_named(ear, sent)
        _signed_as_named(ear, mine)
        return
    # It writes id and secret into the address, and an empty object as the body; we send the same fields as a form.
    theirs, ours = (next(each for each in hearing if "/oauth/" in each.path) for hearing in (heard, ear.heard[::-1]))
    path, _, query = theirs.path.partition("?")
    assert ("POST", "/oauth/2.0/token") == (theirs.method, path) == (ours.method, ours.path)
    assert sorted(query.split("&")) == sorted(ours.body.decode().split("&"))


def test_qianfan_minted_key(baidu: Ear, pytestconfig: pytest.Config) -> None:
    """The request for the short-lived key is that of Qianfan's SDK, and so is what is then sent with it."""
    case = {"model": "ernie-3.5-8k", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}
    run_with(pytestconfig.cache, "qianfan==0.4.12.3", QIANFAN, baidu.url, "minted", json.dumps([case]))
    theirs = next(each for each in baidu.heard if each.path.startswith("/v1/BCE-BEARER"))
    chat = next(each for each in baidu.heard if each.path.startswith("/v2/chat"))
    own = {
        "base_url": f"{baidu.url}/v2",
        "auth": {"signer": "llmswitch.providers.qianfan_token:MintedKey", "options": {"host": baidu.url}},
        "credentials": BCE,
        "dialect": "openai",
    }
    mine = ask(baidu, "minted", own, "Hi", "ernie-3.5-8k")
    ours = baidu.heard[-2]
    assert (theirs.method, theirs.path) == (ours.method, ours.path)
    assert (chat.path, chat.headers["authorization"]) == (mine.path, mine.headers["authorization"])
    _signed_as_named(baidu, theirs)
    _signed_as_named(baidu, ours)


def _signed_as_named(ear: Ear, sent: Sent) -> None:
    """The signature is right by the headers that it names; the SDK's include its own id of the request."""
    names = sent.headers["authorization"].split("/")[-2].split(";")
    assert {"host", "x-bce-date"} <= set(names)
    signed = {name: sent.headers[name] for name in names}
    then = datetime.fromisoformat(sent.headers["x-bce-date"]).timestamp()
    wanted = bce_auth.authorization(sent.method, f"{ear.url}{sent.path}", signed, ACCESS_KEY, BCE_KEY, then)
    assert _sorted(wanted) == _sorted(sent.headers["authorization"])


# Zhipu


def test_zhipu_jwt() -> None:
    """The token of Zhipu's SDK for a key, and the header that it sends."""
    from zai import ZhipuAiClient
    from zai.core import _jwt_token

    def answer(_: Sent) -> tuple[str, bytes]:
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        return "application/json", json.dumps({"choices": [choice]}).encode()

    _jwt_token.generate_token.cache_clear()
    for ear in listening(answer):
        sdk = ZhipuAiClient(api_key=ZHIPU, base_url=ear.url, disable_token_cache=False)
        sdk.chat.completions.create(model="glm-4.6", messages=[{"role": "user", "content": "Hi"}])
        theirs = ear.heard[-1].headers["authorization"]
        own = {"scheme": "jwt", "api_key": {"env": "ZHIPU_KEY"}}
        assert theirs == ask(ear, "zhipu", own, "Hi", "glm-4.6").headers["authorization"]
        assert theirs.startswith("Bearer ey")


# DashScope


def dashscope_answer(sent: Sent) -> tuple[str, bytes]:
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": "{}"}}
    body = json.dumps({"request_id": "r", "output": {"choices": [choice]}, "usage": {}}).encode()
    if sent.headers.get("x-dashscope-sse") == "enable":
        return "text/event-stream", b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:" + body + b"\n\n"
    return "application/json", body


DASHSCOPE = """
import json, os, sys
os.environ["DASHSCOPE_DISABLE_SDK_HEADERS"] = "1"
import dashscope
dashscope.base_http_api_url = sys.argv[1]
for kind, given in json.loads(sys.argv[2]):
    call = dashscope.MultiModalConversation if kind == "parts" else dashscope.Generation
    answer = call.call(api_key="sk-0123456789abcdef", **given)
    answer = list(answer)[-1] if given.get("stream") else answer
    assert answer.status_code == 200, answer
"""
FUNCTION = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}}
QWEN: dict[str, tuple[str, str, dict[str, Any], Any, dict[str, Any]]] = {
    "text": ("text", "qwen-plus", {"messages": [{"role": "user", "content": "Hi"}]}, "Hi", {}),
    "settings": (
        "text",
        "qwen-plus",
        {
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "top_p": 0.25,
            "max_tokens": 9,
            "seed": 7,
            "stop": ["a", "b"],
            "enable_thinking": True,
            "thinking_budget": 500,
        },
        "Hi",
        {"temperature": 0.5, "top_p": 0.25, "max_tokens": 9, "seed": 7, "stop": ["a", "b"], "reasoning": 500},
    ),
    "json": (
        "text",
        "qwen-plus",
        {
            "messages": [{"role": "user", "content": "In JSON"}],
            "response_format": {"type": "json_object"},
            "enable_thinking": False,
        },
        "In JSON",
        {"response_format": "json", "reasoning": "off"},
    ),
    "tools": (
        "text",
        "qwen-plus",
        {
            "messages": [
                {"role": "system", "content": "Brief."},
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "Looking.",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "18 C"},
            ],
            "tools": [FUNCTION],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "parallel_tool_calls": True,
            "enable_thinking": False,
        },
        CALLED,
        {**TOOLS, "tool_choice": "get_weather", "parallel_tool_calls": True, "reasoning": "off"},
    ),
    "parts": (
        "parts",
        "qwen3-vl-plus",
        {"messages": [{"role": "user", "content": [{"image": "https://example.com/a.png"}, {"text": "What?"}]}]},
        [Message("user", [Image(url="https://example.com/a.png"), Text("What?")])],
        {},
    ),
}


@pytest.fixture(scope="module")
def dashscope(request: pytest.FixtureRequest) -> Iterator[tuple[Ear, list[Sent]]]:
    """A server, and what the vendor's SDK sent to it: each case, whole and streamed."""
    told: dict[bool, dict[str, Any]] = {False: {}, True: {"stream": True, "incremental_output": True}}
    cases = [
        (kind, {"model": model, "result_format": "message", **theirs, **told[stream]})
        for kind, model, theirs, _, _ in QWEN.values()
        for stream in WAYS
    ]
    for ear in listening(dashscope_answer):
        run_with(request.config.cache, "dashscope==2.0.2", DASHSCOPE, f"{ear.url}/api/v1", json.dumps(cases))
        yield ear, list(ear.heard)


@pytest.mark.parametrize("stream", WAYS, ids=["whole", "stream"])
@pytest.mark.parametrize("name", QWEN)
def test_dashscope_native(dashscope: tuple[Ear, list[Sent]], name: str, stream: bool) -> None:
    """Path, headers and body are those of DashScope's SDK, told to give messages and increments."""
    ear, heard = dashscope
    sent = heard[2 * list(QWEN).index(name) + stream]
    _, model, _, messages, options = QWEN[name]
    own = {"base_url": f"{ear.url}/api/v1", "api_key": {"env": "DASH_KEY"}}
    mine = ask(ear, "dashscope-native", own, messages, model, stream=stream, **options)
    assert (sent.method, sent.path) == (mine.method, mine.path)
    assert sent.json == mine.json
    for header in ("authorization", "x-dashscope-sse"):
        assert sent.headers.get(header) == mine.headers.get(header)
    for header in ("accept", "content-type"):  # it names a charset, which JSON has not
        assert sent.headers[header].partition(";")[0] == mine.headers[header]
