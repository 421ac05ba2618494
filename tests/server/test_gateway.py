"""The gateway in one process: who may ask, for what, how much; what comes back; and what never shows."""

from __future__ import annotations

import asyncio
import gzip
import logging
import tomllib
from base64 import b64encode

import httpx
import pytest

from llmswitch import ConfigError
from llmswitch._config_file import Loaded
from llmswitch._sessions import binding
from llmswitch.doors.passage import DOORS
from llmswitch.server import limits
from llmswitch.server.admin import admin_routes
from llmswitch.server.app import public_app, public_routes
from llmswitch.server.keys import hashed
from llmswitch.server.run import check_binds
from tests.cli.conftest import run
from tests.server.conftest import ADMIN, CONFIG, KEY, OTHER, PROMPT
from tests.server.small_door import SmallDoor, said

__all__ = ["run"]


def test_every_route_but_health_wants_a_key(serve):
    """The route table is walked: without a key each answers as one that does not exist, and health says nothing."""
    served = serve()
    tables = [(False, public_routes(served.gateway, [SmallDoor()])), (True, admin_routes(served.gateway))]
    for admin, routes in tables:
        unknown = served.ask("GET", "/no/such/route", admin=admin)
        assert 401 == unknown.status_code
        for route in routes:
            if route.path == "/health":
                assert {"status": "ok"} == said(served.ask("GET", route.path, admin=admin))
                continue
            for method in sorted(route.methods):
                for key in (None, "wrong", KEY if admin else ADMIN):
                    shown = served.ask(method, route.path, admin=admin, key=key)
                    assert (401, unknown.headers["content-type"]) == (shown.status_code, shown.headers["content-type"])
                    assert shown.content == (b"" if method == "HEAD" else unknown.content) or method == "HEAD"
    assert [] == served.vendor.requests
    assert 404 == served.ask("GET", "/no/such/route", key=KEY).status_code


def test_a_key_comes_in_either_header(serve):
    """`Authorization: Bearer` and `x-api-key` are alike; the vendor never sees a key of the gateway."""
    served = serve()
    for headers in (
        {"authorization": f"bearer {KEY}"},
        {"x-api-key": KEY},
        {"x-api-key": KEY, "authorization": "Bearer x"},
    ):
        assert 200 == served.say(key=None, headers=headers).status_code
    assert not any(KEY in str(request.headers.raw) for request in served.vendor.requests)


def test_a_browser_asks_a_person_for_the_key(serve):
    """At the administration alone, as the password of any name; what can't be read is no key."""
    served = serve()
    refused = served.ask("GET", "/status", admin=True)
    assert (401, "Basic") == (refused.status_code, refused.headers["www-authenticate"].partition(" ")[0])
    shown = [
        served.ask("GET", "/status", admin=True, headers={"authorization": f"Basic {text}"}).status_code
        for text in (b64encode(f"me:{ADMIN}".encode()).decode(), b64encode(b"me:" + KEY.encode()).decode(), "a", "%")
    ]
    assert [200, 401, 401, 401] == shown
    basic = {"authorization": f"Basic {b64encode(f'me:{KEY}'.encode()).decode()}"}
    assert 401 == served.say(key=None, headers=basic).status_code


def test_the_chain_answers_whole_and_as_a_stream(serve):
    """The next target answers where the first fails; a stream has the door's own events."""
    served = serve()
    assert {"text": "Hello", "by": "b:m"} == said(served.say())
    streamed = served.say({"stream": True})
    assert (200, b"begin\ntext Hello\nend stop\n") == (streamed.status_code, streamed.content)
    assert "text/event-stream; charset=utf-8" == streamed.headers["content-type"]


def test_a_session_is_its_clients_own(serve):
    """The header names it; the same name from another client is another session."""
    chains = {"main": {"targets": [{"group": ["a:m", "b:m"], "by": "order"}], "sticky": True}}
    served = serve({"chains": chains})
    assert {"text": "Hello", "by": "b:m"} == said(served.say(headers={"x-llmswitch-session": "s"}))
    client = served.gateway.client
    members = client._setup.chain("main").targets
    sessions = [client._sessions.bound(binding("main|0", name, 1), members) for name in ("alice|s", "bob|s", "s")]
    assert [members[1], None, None] == sessions


@pytest.mark.parametrize(
    ("key", "model", "status"),
    [
        (KEY, "default", 200),
        (KEY, "b:m", 200),
        (KEY, "b:other", 404),  # no target of a chain
        (KEY, "b:m,a:m", 404),  # chains are made by the configuration
        (KEY, "", 404),
        (OTHER, "b:m", 200),
        (OTHER, "small", 200),  # each of its targets is allowed
        (OTHER, "main", 404),  # a target that it would fall back from or to is not
    ],
)
def test_a_key_asks_what_it_may(serve, key, model, status):
    """What a key may not ask looks like what there is not; the targets behind a chain count as well."""
    served = serve()
    assert status == served.say({"model": model}, key=key).status_code
    assert bool(served.vendor.requests) == (status == 200)


def test_an_alias_is_open_where_what_it_leads_to_is(serve):
    """It is listed and asked by the same rule; a star stands for all other names, and opens nothing more."""
    served = serve({"aliases": {"gpt-4o": "main", "gpt-4o-mini": "b:m"}})
    assert [200, 404] == [served.say({"model": "gpt-4o"}, key=key).status_code for key in (KEY, OTHER)]
    assert 200 == served.say({"model": "gpt-4o-mini"}, key=OTHER).status_code
    assert ["small", "b:m", "gpt-4o-mini"] == [
        m["id"] for m in said(served.ask("GET", "/v1/models", key=OTHER))["data"]
    ]
    assert 404 == served.say({"model": "gpt-9"}).status_code
    starred = serve({"aliases": {"*": "main"}})
    assert [200, 404] == [starred.say({"model": "gpt-9"}, key=key).status_code for key in (KEY, OTHER)]


def test_models_are_those_of_the_key(serve):
    """The list holds what this key may ask, in the form of both SDKs."""
    served = serve()
    shown = [said(served.ask("GET", "/v1/models", key=key)) for key in (KEY, OTHER)]
    assert [["main", "small", "default"], ["small", "b:m"]] == [[each["id"] for each in one["data"]] for one in shown]
    assert "small" == shown[1]["first_id"]
    one = [served.ask("GET", f"/v1/models/{name}", key=OTHER) for name in ("b:m", "main", "none")]
    assert [200, 404, 404] == [each.status_code for each in one]
    assert shown[1]["data"][1] == said(one[0])


def test_a_client_sets_no_internals(serve):
    """Headers, addresses, tags, extra fields and time limits of the library are not the client's to set."""
    served = serve()
    inner = {"extra": {"b": {"api_base": "http://evil"}}, "tags": ["x"], "timeout": 9, "model": "a:m", "max_tokens": 7}
    assert 200 == served.say({"model": "b:m", "options": inner}).status_code
    (request,) = served.vendor.requests
    assert b"evil" not in request.content
    assert b"7" in request.content


def test_requests_a_minute(serve):
    """The fourth request in a minute is told when to come back."""
    served = serve()
    assert [200, 200, 200, 429] == [served.say({"model": "b:m"}, key=OTHER).status_code for _ in range(4)]
    assert 200 == served.say({"model": "b:m"}).status_code


def test_bodies_are_bounded(serve):
    """By their length, and by what they are undone to: a bomb is not undone. Another kind of body is not read."""
    served = serve({"server": {**CONFIG["server"], "max_body_bytes": 2048}})
    bomb = gzip.compress(b'{"say": "' + b"a" * 1_000_000 + b'"}')
    assert len(bomb) < 2048
    ways = {
        413: {"content": bomb, "headers": {"content-type": "application/json", "content-encoding": "gzip"}},
        415: {"content": b"{}", "headers": {"content-type": "text/plain"}},
        400: {"content": b"[" * 2000, "headers": {"content-type": "application/json"}},
    }
    for status, given in ways.items():
        assert status == served.ask("POST", "/v1/chat/completions", key=KEY, **given).status_code
    assert 413 == served.say({"say": "a" * 3000}).status_code
    packed = gzip.compress(b'{"model": "b:m", "say": "hi"}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert 200 == served.ask("POST", "/v1/chat/completions", key=KEY, content=packed, headers=headers).status_code


def test_without_keys_only_this_machine_asks(serve):
    """Without a key the gateway is asked under the name of this machine: not by a page that was led here."""
    served = serve({"server": {}})
    assert 200 == served.say(key=None).status_code
    for unknown in ("gpt", "gpt:4", "b:"):
        assert 404 == served.say({"model": unknown}, key=None).status_code
    assert 403 == served.say(key=None, base_url="http://evil.example").status_code


@pytest.mark.parametrize("place", ["host", "admin_host"])
def test_no_start_beyond_this_machine_without_a_key(place):
    """A listener that others reach needs a key of its own kind, and a configuration that was named."""
    kinds = {
        "host": {"name": "a", "sha256": hashed("a")},
        "admin_host": {"name": "b", "sha256": hashed("b"), "admin": True},
    }
    wrong = next(kinds[each] for each in kinds if each != place)
    for keys in ([], [wrong]):
        with pytest.raises(ConfigError, match="llmswitch serve key"):
            check_binds(Loaded.from_mapping({"server": {place: "0.0.0.0", "keys": keys}}))
    named = {"server": {place: "0.0.0.0", "keys": [kinds[place]]}}
    check_binds(Loaded.from_mapping(named))
    with pytest.raises(ConfigError, match="found, not named"):
        check_binds(Loaded.from_mapping(named, trusted=False))


def test_a_key_in_clear_is_refused_unseen():
    """Where the hash is expected and the key stands, the complaint does not repeat it."""
    with pytest.raises(ConfigError, match="not the key") as caught:
        Loaded.from_mapping({"server": {"keys": [{"name": "a", "sha256": KEY}]}})
    assert KEY not in str(caught.value)


def test_the_drill_switch(serve):
    """A drill begins and ends while the gateway runs; one that can't be meant is refused."""
    served = serve()
    assert 400 == served.ask("PUT", "/drill", admin=True, key=ADMIN, json={"b": "no such fault"}).status_code
    assert 200 == served.ask("PUT", "/drill", admin=True, key=ADMIN, json={"b": "region_blocked"}).status_code
    refused = said(served.say({"model": "b:m"}))
    assert "RegionBlocked" == refused["error"]
    assert "b=region_blocked" in said(served.ask("GET", "/drill", admin=True, key=ADMIN))["drill"]
    assert {"drill": None} == said(served.ask("DELETE", "/drill", admin=True, key=ADMIN))
    asks = {"origin": "http://evil.example", "access-control-request-method": "PUT"}
    for key in (None, ADMIN):  # a page of another site is not agreed with, whoever looks at it
        across = served.ask("OPTIONS", "/drill", admin=True, key=key, headers=asks)
        assert (True, None) == (across.is_error, across.headers.get("access-control-allow-origin"))
    served.gateway.client.reset("b:m")
    assert 200 == served.say({"model": "b:m"}).status_code


def test_a_budget_of_a_key(serve):
    """What a key may spend is counted under its name, and another key has its own."""
    alice, bob, admin = CONFIG["server"]["keys"]
    served = serve({"server": {"keys": [{**alice, "budget": {"tokens": 10, "per": "day"}}, bob, admin]}})
    assert "BudgetExceeded" == said(served.say({"model": "b:m"}))["error"]
    assert 200 == served.say({"model": "b:m"}, key=OTHER).status_code


def test_a_client_that_leaves_ends_the_call(serve):
    """The call at the vendor is cancelled when the client has gone, and its place is free again."""
    served = serve()
    cancelled = []

    async def never(request):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(request.url.host)
            raise

    served.vendor.handle_async_request = never
    body = b'{"model": "b:m", "say": "hi"}'
    messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

    async def leave() -> None:
        async def receive():
            if len(messages) == 1:
                await asyncio.sleep(0.05)
            return messages.pop(0)

        async def send(_message):
            raise AssertionError("nobody is there")

        headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        await served.public(scope, receive, send)

    asyncio.run(leave())
    assert (["b.local"], 0) == (cancelled, served.gateway.room.taken)


def test_no_key_and_no_prompt_is_seen(serve, caplog):
    """Whatever happens, no log, metric or status holds a key or a prompt, and no answer holds a key."""
    caplog.set_level(logging.DEBUG)
    served = serve()
    bodies = [
        {},
        {"stream": True},
        {"model": "a:m"},
        {"model": "a:m", "stream": True},
        {"say": "crash"},
        {"model": "no"},
    ]
    answers = [served.say(body) for body in bodies]
    assert [200, 200, 502, 502, 502, 404] == [each.status_code for each in answers]
    shown = [served.ask("GET", path, admin=True, key=ADMIN) for path in ("/metrics", "/status.json", "/status")]
    assert [200, 200, 200] == [each.status_code for each in shown]
    for text in (caplog.text, *(each.text for each in shown)):
        assert "CANARY" not in text
    assert not any("CANARY-key" in each.text for each in answers)
    assert PROMPT not in answers[4].text
    status = said(shown[1])
    assert {"b:m", None} == {each["target"] for each in status["answers"]}
    assert ("a:m", "b:m", "Overloaded") in {(each["from"], each["to"], each["error"]) for each in status["switches"]}
    assert 'llmswitch_attempts_total{outcome="Overloaded",target="a:m"} ' in shown[0].text
    assert 'llmswitch_tokens_total{target="b:m",way="output"} ' in shown[0].text
    assert "ZeroDivisionError" in caplog.text


def test_no_made_up_name_takes_the_label_of_a_configured_one(serve):
    """The names of a metric are bounded; those of the configuration are among them, whoever asks for what before."""
    watch = serve().gateway.watch
    for number in range(300):
        watch._label("target", f"a:{number}"), watch._label("model", f"a:{number}")
    assert ["b:m", "other"] == [watch._label("target", name) for name in ("b:m", "b:new")]
    assert ["small", "other"] == [watch._label("model", name) for name in ("small", "b:new")]


def test_the_real_doors_are_served(serve):
    """Each protocol that there is answers, with its own words for an error; vectors come beside."""
    served = serve()
    doors = DOORS
    assert {"messages", "responses"} <= {door.path.strip("/") for door in doors}
    served.public = public_app(served.gateway, doors)
    asked = {"model": "main", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
    whole = served.ask("POST", "/v1/messages", key=KEY, json=asked)
    assert "Hello" == said(whole)["content"][0]["text"]
    streamed = served.ask("POST", "/v1/messages", key=KEY, json={**asked, "stream": True}).text
    assert "event: message_start" in streamed
    assert "event: message_stop" in streamed
    refused = served.ask("POST", "/v1/messages", key=KEY, json={**asked, "model": "no"})
    assert (404, "error") == (refused.status_code, said(refused)["type"])
    whole = served.ask("POST", "/v1/responses", key=KEY, json={"model": "main", "input": PROMPT})
    assert "Hello" == said(whole)["output"][-1]["content"][0]["text"]
    vectors = served.ask("POST", "/v1/embeddings", key=KEY, json={"model": "small", "input": ["a"]})
    assert 400 == vectors.status_code  # this target makes none


def test_vectors_come_back(serve):
    """As numbers, in the order of the texts, with who made them."""
    able = {**CONFIG["providers"]["b"], "capabilities": {"embeddings": True}}
    served = serve({"providers": {**CONFIG["providers"], "b": able}})
    served.public = public_app(served.gateway, DOORS)
    made = [{"index": index, "embedding": [index, 0.5]} for index in (1, 0)]
    served.vendor.answer = lambda _: httpx.Response(200, json={"data": made, "usage": {"prompt_tokens": 2}})
    answered = served.ask("POST", "/v1/embeddings", key=KEY, json={"model": "b:m", "input": ["x", "y"]})
    assert (200, "b:m") == (answered.status_code, answered.headers["x-llmswitch-target"])
    assert [[0, 0.5], [1, 0.5]] == [each["embedding"] for each in said(answered)["data"]]
    asked = {"model": "b:m", "input": "x", "input_type": "query"}
    refused = served.ask("POST", "/v1/embeddings", key=KEY, json=asked)
    assert (400, True) == (refused.status_code, "input_type: it can't" in said(refused)["error"]["message"])


def test_tokens_are_counted(serve):
    """By the vendor where it counts, else as an estimate that says so; under the key's rights, beside its budget."""
    alice, bob, admin = CONFIG["server"]["keys"]
    able = {"dialect": "anthropic", "base_url": "http://c.local", "capabilities": {"token_counting": True}}
    served = serve(
        {
            "providers": {**CONFIG["providers"], "c": able},
            "chains": {**CONFIG["chains"], "exact": {"targets": ["c:m", "b:m"]}},
            "server": {"keys": [{**alice, "budget": {"tokens": 1, "per": "day"}}, bob, admin]},
        }
    )
    served.public = public_app(served.gateway, DOORS)
    served.vendor.answer = lambda _: httpx.Response(200, json={"input_tokens": 31})

    def count(key: str = KEY, **more):
        asked = {"model": "exact", "messages": [{"role": "user", "content": PROMPT}], **more}
        return served.ask("POST", "/v1/messages/count_tokens?beta=true", key=key, json=asked)

    exact = count()
    assert ({"input_tokens": 31}, "c:m") == (said(exact), exact.headers["x-llmswitch-target"])
    assert "x-llmswitch-count" not in exact.headers
    guessed = count(model="b:m")
    assert ("estimate", "b:m") == (guessed.headers["x-llmswitch-count"], guessed.headers["x-llmswitch-target"])
    assert 1 <= said(guessed)["input_tokens"] < 20
    assert ["/messages/count_tokens"] == [request.url.path for request in served.vendor.requests]
    for refused, status in ((count(OTHER), 404), (count(messages=[]), 400)):
        assert (status, "error") == (refused.status_code, said(refused)["type"])


def test_one_more_than_there_is_room_for_is_told_when_to_come_back(serve):
    """In the words of the protocol, with Retry-After; nothing is sent to a vendor for it."""
    served = serve({"server": {**CONFIG["server"], "max_concurrent": 1}})
    served.public = public_app(served.gateway, DOORS)
    asked = {"model": "b:m", "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
    for path in ("chat/completions", "messages"):
        with served.gateway.room:
            full = served.ask("POST", f"/v1/{path}", key=KEY, json=asked)
        assert (503, "1", []) == (full.status_code, full.headers["retry-after"], served.vendor.requests)
        assert "1 requests are under way" in said(full)["error"]["message"]
    assert 200 == served.ask("POST", "/v1/chat/completions", key=KEY, json=asked).status_code


def test_a_body_that_does_not_arrive_gives_its_place_back(serve, monkeypatch):
    """After a minute, here less, whatever came so far."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    served = serve()

    async def drip():
        yield b'{"model": '
        await asyncio.sleep(5)

    headers = {"content-type": "application/json"}
    late = served.ask("POST", "/v1/chat/completions", key=KEY, content=drip(), headers=headers)
    assert (408, 0) == (late.status_code, served.gateway.room.taken)
    assert "did not arrive" in said(late)["message"]


def test_a_client_may_be_less_patient(serve):
    """`x-request-timeout` ends the call then; what is no time is refused before anybody is asked."""
    served = serve()
    for wrong in ("soon", "-1", "0", "nan", "inf"):
        assert 400 == served.say({"model": "b:m"}, headers={"x-request-timeout": wrong}).status_code
    assert [] == served.vendor.requests

    async def silent(request):
        await asyncio.sleep(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("")

    served.vendor.handle_async_request = silent
    late = served.say({"model": "b:m"}, headers={"x-request-timeout": "0.05"})
    assert ("DeadlineExceeded", 0) == (said(late)["error"], served.gateway.room.taken)


def test_a_key_is_made(run):
    """The key alone is on stdout; what is on stderr can be put into the configuration as it stands, and opens to it."""
    made = run("serve", "key", "alice.2")
    assert 0 == made.exit_code
    explained, _, lines = made.stderr.partition("\n")
    assert "can't be shown again" in explained
    (entry,) = Loaded.from_mapping(tomllib.loads(lines)).config.server.keys
    assert ("alice.2", hashed(made.stdout.strip())) == (entry.name, entry.sha256)
    assert made.stdout.strip() not in made.stderr
    assert 2 == run("serve", "key", "no spaces").exit_code


def test_kept_answers_are_those_of_a_key(serve):
    """The cache of a chain works here, and says so; nobody is given what somebody else was answered."""
    chains = {"main": {"targets": ["a:m"]}, "small": {"targets": ["b:m"], "cache": True}}
    served = serve({"chains": chains, "cache": {"kind": "memory"}})
    answers = [served.say({"model": "small"}, key=key) for key in (KEY, KEY, OTHER)]
    assert [None, "hit", None] == [each.headers.get("x-llmswitch-cache") for each in answers]
    assert 1 == len({each.text for each in answers})
    assert 2 == len(served.vendor.requests)
