"""Baidu's older API: the conversation, answers, failures with the status 200, and the two ways to prove who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmswitch import Client, Message, Text, Tool, ToolCall, ToolResult, _errors
from llmswitch._errors import CapabilityMismatch, LLMSwitchError, StreamInterrupted
from llmswitch._json import dumps, loads
from llmswitch._policy import rule_for
from llmswitch.testing import instant_waits
from llmswitch.testing._vendor import FakeVendor, respond
from tests.rows import rows

AK, SK = "CANARY-ak-8f14e45fceea167a", "CANARY-sk-c9f0f895fb98ab91"
IAM = {"access_key": {"env": "WENXIN_AK"}, "secret_key": {"env": "WENXIN_SK"}}
OAUTH = {"client_id": {"env": "WENXIN_AK"}, "client_secret": {"env": "WENXIN_SK"}}
FRAME = {"id": "as-1", "object": "chat.completion", "is_truncated": False, "need_clear_history": False}
USAGE = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WENXIN_AK", AK)
    monkeypatch.setenv("WENXIN_SK", SK)
    with instant_waits():
        yield


def answering(body: Any, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: respond(status, "application/json", [dumps(body)])


def framed(*frames: Any) -> Callable[[httpx.Request], httpx.Response]:
    chunks = [frame if isinstance(frame, bytes) else b"data: " + dumps(frame) + b"\n\n" for frame in frames]
    return lambda _request: respond(200, "text/event-stream", chunks)


def client(
    answer: Callable[[httpx.Request], httpx.Response], model: str = "ernie-3.5-8k", **own: Any
) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    config = {"providers": {"wenxin": {"credentials": IAM, **own}}, "default": f"wenxin:{model}"}
    return Client.from_config(config, http_client=vendor), vendor


def ask(answer: Callable[[httpx.Request], httpx.Response], messages: Any = "Hi", **options: Any) -> Any:
    return client(answer)[0].chat(messages, **options)


HELLO = {**FRAME, "result": "Hello", "finish_reason": "normal", "usage": USAGE}

# Requests


def test_the_model_is_in_the_path() -> None:
    """The vendor's own name of an endpoint where there is one, else the model's in lower case."""
    for model, endpoint in [
        ("ernie-3.5-8k", "completions"),
        ("ernie-4.0-8k", "completions_pro"),
        ("ernie-speed-8k", "ernie_speed"),
        ("ERNIE-3.5-128K", "ernie-3.5-128k"),
        ("my_own_service", "my_own_service"),
    ]:
        asked, vendor = client(answering(HELLO), model)
        asked.chat("Hi")
        assert f"/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/{endpoint}" == vendor.requests[0].url.path
        assert "model" not in loads(vendor.requests[0].content)


def test_turns_alternate_whatever_the_caller_sends() -> None:
    """System text stands apart, calls follow one another with their results, and a filler is said to be one."""
    asked, vendor = client(answering(HELLO))
    calls = [ToolCall("1", "get_weather", {"city": "Paris"}, '{"city": "Paris"}'), ToolCall("2", "now", {})]
    reply = asked.chat(
        [
            Message("system", "Brief."),
            Message("user", "One"),
            Message("user", [Text("Two"), Text("!")]),
            Message("assistant", [Text("Looking."), *calls]),
            Message("tool", [ToolResult("1", "18 C"), ToolResult("2", "late", is_error=True)]),
            Message("user", "And?"),
        ]
    )
    body = loads(vendor.requests[0].content)
    assert "Brief." == body["system"]
    assert [
        {"role": "user", "content": "One\n\nTwo!"},
        {
            "role": "assistant",
            "content": "Looking.",
            "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        },
        {"role": "function", "name": "get_weather", "content": "18 C"},
        {"role": "assistant", "content": "", "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "Error: late"},
        {"role": "assistant", "content": "…"},
        {"role": "user", "content": "And?"},
    ] == body["messages"]
    assert ["turn_filled"] == [warning.code for warning in reply.warnings]


def test_what_was_changed_is_said() -> None:
    """A system message that moved, and a name that is left out, are warnings on the reply."""
    messages = [Message("user", "Hi", name="Ada"), Message("assistant", "Yes?"), Message("system", "Be brief.")]
    codes = [warning.code for warning in ask(answering(HELLO), [*messages, Message("user", "Go")]).warnings]
    assert ["system_moved", "name_left_out"] == codes


def test_settings_are_legal_ones() -> None:
    """Zero is refused for temperature and top_p; more than four stops, or a temperature over 1, are not sent."""
    asked, vendor = client(answering(HELLO))
    asked.chat("Hi", temperature=0.0, top_p=0.0, max_tokens=5, stop=["a"])
    body = loads(vendor.requests[0].content)
    assert (0.01, 0.01, 5, ["a"]) == tuple(body[name] for name in ("temperature", "top_p", "max_output_tokens", "stop"))
    for options in ({"temperature": 1.5}, {"stop": ["a", "b", "c", "d", "e"]}, {"seed": 1}, {"stop": "x" * 21}):
        with pytest.raises(CapabilityMismatch):
            asked.chat("Hi", **options)
    assert 1 == len(vendor.requests)


def test_functions() -> None:
    """Tools are bare functions; a named choice is an object, and `none` leaves them out."""
    asked, vendor = client(answering(HELLO))
    tool = Tool("now", "The time.")
    for choice in (None, "auto", "none", "now"):
        asked.chat("Hi", tools=[tool], tool_choice=choice)
    bodies = [loads(request.content) for request in vendor.requests]
    function = {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}
    assert [[function], [function], None, [function]] == [body.get("functions") for body in bodies]
    assert [None, None, None, {"type": "function", "function": {"name": "now"}}] == [
        body.get("tool_choice") for body in bodies
    ]


def test_a_schema_goes_into_the_instructions() -> None:
    """Where the caller allows it, a schema is written out for a model that only knows JSON mode."""
    asked, vendor = client(answering({**HELLO, "result": '{"n": 1}'}))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    with pytest.raises(CapabilityMismatch):
        asked.chat("Hi", response_format=schema)
    assert {"n": 1} == asked.chat([Message("user", "Hi")], response_format=schema, degrade=True).parsed
    body = loads(vendor.requests[0].content)
    assert "json_object" == body["response_format"]
    assert '"integer"' in body["system"]


# Answers


@rows(
    ("fields", "reason"),
    [
        ({"finish_reason": "normal"}, "stop"),
        ({"finish_reason": "stop"}, "stop"),
        ({}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"is_truncated": True}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"need_clear_history": True, "ban_round": -1}, "content_filter"),
        ({"finish_reason": "something new"}, "other"),
    ],
    ids=repr,
)
def test_why_an_answer_ended(fields: dict[str, Any], reason: str) -> None:
    """The vendor's word, which old endpoints leave out, and its flags, which weigh more."""
    whole = ask(answering({**FRAME, "result": "Hel", "usage": USAGE, **fields}))
    assert (reason, "Hel", 2, 1) == (
        whole.finish_reason,
        whole.text,
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )
    asked, _ = client(framed({**FRAME, "result": "Hel", "is_end": True, "usage": USAGE, **fields}))
    with asked.stream("Hi") as stream:
        list(stream)
    assert (reason, "Hel") == (stream.reply.finish_reason, stream.reply.text)


def test_a_call_in_pieces_and_its_thoughts() -> None:
    """A call has an id of ours; what the model thought before it is reasoning; pieces of it are one."""
    pieces = [{"name": "now", "arguments": '{"a"', "thoughts": "The time."}, {"name": "now", "arguments": ": 1}"}]
    frames = [{**FRAME, "result": "", "function_call": piece, "is_end": False} for piece in pieces]
    asked, _ = client(framed(*frames, {**FRAME, "result": "", "finish_reason": "function_call", "is_end": True}))
    with asked.stream("Hi", tools=[Tool("now")]) as stream:
        list(stream)
    (call,) = stream.reply.tool_calls
    assert ("now", {"a": 1}, "tool_calls", "The time.") == (
        call.name,
        call.arguments,
        stream.reply.finish_reason,
        stream.reply.reasoning,
    )
    assert call.id.startswith("call_")


# Failures

# body -> class, and the scopes that it takes out (chapter 1.2 of the facts; the status is 200 in all of them)
FAILURES: list[tuple[int, str, tuple[str, ...]]] = [
    (1, "ServerError", ()),
    (2, "Overloaded", ("target",)),
    (3, "ModelGone", ("target",)),
    (4, "RateLimited", ("account", "target")),
    (6, "PermissionDenied", ("target",)),
    (13, "AuthInvalid", ("account",)),
    (14, "AuthInvalid", ("account",)),
    (15, "AuthInvalid", ("account",)),
    (17, "QuotaExhausted", ("account", "target")),
    (18, "RateLimited", ("account", "target")),
    (19, "QuotaExhausted", ("account", "target")),
    (100, "AuthInvalid", ("account",)),
    (110, "AuthInvalid", ("account",)),
    (111, "AuthInvalid", ("account",)),
    (336000, "ServerError", ()),
    (336001, "BadRequest", ()),
    (336002, "BadRequest", ()),
    (336003, "BadRequest", ()),
    (336004, "PermissionDenied", ("target",)),
    (336005, "ModelGone", ("target",)),
    (336006, "BadRequest", ()),
    (336007, "BadRequest", ()),
    (336100, "Overloaded", ("target",)),
    (336101, "BadRequest", ()),
    (336103, "ContextTooLong", ()),
    (336104, "BadRequest", ()),
    (336117, "RateLimited", ("account", "target")),
    (336501, "RateLimited", ("account", "target")),
    (336507, "RateLimited", ("account", "target")),
]


@rows(("code", "becomes", "scopes"), FAILURES)
def test_a_failure_with_the_status_200(code: int, becomes: str, scopes: tuple[str, ...]) -> None:
    """Its number decides, in one piece, in place of a stream, and as a bare line after an answer had begun."""
    body = {"error_code": code, "error_msg": "it went wrong", "id": "as-2"}
    with pytest.raises(LLMSwitchError) as caught:
        ask(answering(body), timeout=1)
    found = rule_for(caught.value).cool
    assert (becomes, scopes, str(code), "as-2") == (
        type(caught.value).__name__,
        found.scopes if found is not None else (),
        caught.value.code,
        caught.value.request_id,
    )
    asked, _ = client(answering(body))
    with pytest.raises(getattr(_errors, becomes)), asked.stream("Hi", timeout=1) as stream:
        list(stream)
    asked, _ = client(framed({**FRAME, "result": "Hel", "is_end": False}, dumps(body) + b"\n"))
    with pytest.raises(StreamInterrupted) as broken, asked.stream("Hi", timeout=1) as stream:
        list(stream)
    assert (becomes, "Hel") == (type(broken.value.__cause__).__name__, broken.value.partial.text)


def test_a_prompt_that_is_too_long_by_its_words() -> None:
    """336007 is a wrong request, but for words that say that it was too long."""
    with pytest.raises(_errors.ContextTooLong):
        ask(answering({"error_code": 336007, "error_msg": "the max input characters is 20000: too long"}))


def test_a_stream_without_its_last_frame_is_no_answer() -> None:
    """No `is_end`, no answer; there is no [DONE] to wait for either."""
    asked, _ = client(framed({**FRAME, "result": "Hel", "is_end": False}))
    with pytest.raises(StreamInterrupted), asked.stream("Hi") as stream:
        list(stream)


# Proving who asks


class Token:
    """The vendor: gives tokens, and takes the last one alone."""

    def __init__(self, *, refuses: dict[str, Any] | None = None, status: int = 401) -> None:
        self.given, self.codes, self.refuses, self.status = 0, [], refuses, status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/2.0/token":
            if self.refuses is not None:
                return respond(self.status, "application/json", [dumps(self.refuses)])
            self.given += 1
            body = {"access_token": f"24.CANARY-token-{self.given}", "expires_in": 2592000}
            return respond(200, "application/json", [dumps(body)])
        code = self.codes.pop(0) if self.codes else None
        if code is not None:
            body = {"error_code": code, "error_msg": f"refused {request.url.query.decode()}"}
            return respond(200, "application/json", [dumps(body)])
        assert f"access_token=24.CANARY-token-{self.given}" == request.url.query.decode()
        return respond(200, "application/json", [dumps(HELLO)])


def paths(vendor: FakeVendor) -> list[str]:
    return ["token" if request.url.path.startswith("/oauth") else "chat" for request in vendor.requests]


def test_a_token_is_fetched_once() -> None:
    """Id and secret go in a form, the token in the query; nothing that is written down holds any of them."""
    asked, vendor = client(Token(), credentials=OAUTH)
    replies = [asked.chat("Hi"), asked.chat("Hi")]
    assert ["token", "chat", "chat"] == paths(vendor)
    fetched = vendor.requests[0]
    assert f"grant_type=client_credentials&client_id={AK}&client_secret={SK}" == fetched.content.decode()
    assert "application/x-www-form-urlencoded" == fetched.headers["content-type"]
    assert "" == fetched.url.query.decode()
    said = [str(request.url) + repr(request.url) + repr(request) for request in vendor.requests]
    said += [repr(reply.attempts) for reply in replies]
    assert "CANARY" not in "".join(said)


def test_id_and_secret_in_the_query() -> None:
    """As the vendor's Python SDK has it, where that is wanted: in the address, and in no text of it."""
    auth = {"signer": "llmswitch.providers.wenxin_token:AccessToken", "options": {"secrets_in": "query"}}
    asked, vendor = client(Token(), auth=auth, credentials=OAUTH)
    asked.chat("Hi")
    fetched = vendor.requests[0]
    assert b"" == fetched.content
    assert f"grant_type=client_credentials&client_id={AK}&client_secret={SK}" == fetched.url.query.decode()
    assert SK not in str(fetched.url)


@rows("code", [100, 110, 111])
def test_a_token_that_is_refused_is_fetched_anew_once(code: int) -> None:
    """One new token, one repetition; what that is told is the last word."""
    token = Token()
    asked, vendor = client(token, credentials=OAUTH)
    asked.chat("Hi")
    token.codes = [code]
    assert "Hello" == asked.chat("Hi").text
    assert ["token", "chat", "chat", "token", "chat"] == paths(vendor)
    token.codes = [code, code]
    with pytest.raises(_errors.AuthInvalid) as caught:
        asked.chat("Hi")
    assert ["chat", "token", "chat"] == paths(vendor)[5:]
    assert "CANARY" not in f"{caught.value}{caught.value.attempts!r}"


@rows("code", [13, 14, 15])
def test_another_refusal_is_no_reason_for_a_new_token(code: int) -> None:
    """What another token does not mend is not repeated."""
    token = Token()
    token.codes = [code]
    asked, vendor = client(token, credentials=OAUTH)
    with pytest.raises(_errors.AuthInvalid):
        asked.chat("Hi")
    assert ["token", "chat"] == paths(vendor)


INVALID = {"error": "invalid_client"}


@rows(
    ("refusal", "status", "becomes", "said"),
    [
        (
            {"error": "invalid_client", "error_description": "unknown client id"},
            401,
            "AuthInvalid",
            "unknown client id",
        ),
        (
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            401,
            "AuthInvalid",
            "Client authentication failed",
        ),
        ({**INVALID, "error_description": f"no {SK}"}, 401, "AuthInvalid", r"no \[secret\]"),
        ({"error": "server_error"}, 500, "ServerError", "server_error"),
        ({"error": "busy"}, 503, "Overloaded", "busy"),
        ({"error": "slow_down"}, 429, "RateLimited", "slow_down"),
        ({}, 200, "AuthInvalid", "no token in the answer"),
        ({"access_token": "with a space"}, 200, "AuthInvalid", "can't stand in a request"),
    ],
)
def test_no_token(refusal: dict[str, Any], status: int, becomes: str, said: str) -> None:
    """A refusal of the id or the secret is the key's; that the vendor is busy or broken is not. Neither is shown."""
    asked, vendor = client(Token(refuses=refusal, status=status), credentials=OAUTH)
    with pytest.raises(LLMSwitchError, match=said) as caught:
        asked.chat("Hi", timeout=1)
    assert becomes == type(caught.value).__name__
    assert AK not in str(caught.value)
    assert SK not in str(caught.value)
    assert "chat" not in paths(vendor)
    if becomes == "AuthInvalid":
        assert ["token"] == paths(vendor), "a refusal was asked for twice"


def test_a_token_is_replaced_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute before its end a token is no longer used; what says nothing of its end lasts for thirty days."""
    from llmswitch._secrets import Secret
    from llmswitch.providers.wenxin_token import AccessToken

    parts = {name: Secret(f"a-secret-{name}", "test") for name in AccessToken.parts}
    credential = AccessToken(parts, "https://aip.baidubce.com", {})
    assert credential.stale(0)
    credential.renewed(200, b'{"access_token": "24.abcdefgh", "expires_in": 100}', 1000.0)
    assert [False, True] == [credential.stale(1039.0), credential.stale(1040.0)]
    credential.renewed(200, b'{"access_token": "24.abcdefgh"}', 0.0)
    assert [False, True] == [credential.stale(2_591_939.0), credential.stale(2_591_940.0)]


def test_an_access_key_of_iam_signs_each_request() -> None:
    """With the scheme `bce` there is no token; the signature covers host, type and date."""
    asked, vendor = client(answering(HELLO), scheme="bce")
    asked.chat("Hi")
    (request,) = vendor.requests
    assert request.headers["authorization"].startswith(f"bce-auth-v1/{AK}/")
    assert "/1800/content-type;host;x-bce-date/" in request.headers["authorization"]
    assert "" == request.url.query.decode()
    assert SK not in " ".join(request.headers.values())
