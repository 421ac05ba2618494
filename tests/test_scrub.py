"""Keys are taken out of what others wrote, however they wrote them; and other words are left alone."""

from __future__ import annotations

import base64
import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import strategies as st

from llmswitch import _scrub
from llmswitch._scrub import MASK, remember, scrub
from tests.everyday import examples
from tests.rows import rows

KEY = "sk-proj-CANARY+a/b<c>&\"d'e\\f=Zq79"
TAIL = "Zq79"
_BEFORE = {known: set(getattr(_scrub, known)) for known in ("_keys", "_cores")}
remember(KEY)
_MINE = {known: set(getattr(_scrub, known)) - before for known, before in _BEFORE.items()}


@pytest.fixture(autouse=True)
def _no_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests had loaded, which may be a part of a key here, is not known."""
    for known in ("_keys", "_cores"):
        mine = {each: value for each, value in getattr(_scrub, known).items() if each in _MINE[known]}
        monkeypatch.setattr(_scrub, known, mine)


SPELLED = {
    "plain": KEY,
    "url": quote(KEY, safe=""),
    "url, slashes left": quote(KEY),
    "url, small digits": quote(KEY, safe="").replace("%2B", "%2b").replace("%3C", "%3c"),
    "form": quote_plus(KEY),
    "json": json.dumps(KEY)[1:-1],
    "json, slashes escaped": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "json, as .NET writes it": json.dumps(KEY)[1:-1].translate(
        {43: "\\u002B", 39: "\\u0027", 60: "\\u003C", 38: "\\u0026"}
    ),
    "twice in a url": quote(quote(KEY, safe=""), safe=""),
    "page, by numbers": KEY.replace("<", "&#60;").replace("&", "&#38;").replace("&#38;#60;", "&#x3C;"),
    "json, as Go writes it": json.dumps(KEY)[1:-1].translate({60: "\\u003c", 62: "\\u003e", 38: "\\u0026"}),
    "html": html.escape(KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, url": base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    "basic": base64.b64encode(f"api:{KEY}".encode()).decode(),
    "basic, longer user": base64.b64encode(f"user7:{KEY}".encode()).decode(),
    "basic, longest user": base64.b64encode(f"user78:{KEY}".encode()).decode(),
    "cut": KEY[:20],
    "masked": f"sk-proj-********{TAIL}",
    "masked, no head": f"****{TAIL}",
    "masked with dots": f"sk-…{TAIL}",
    "masked with three dots": f"sk-proj...{TAIL}",
    "masked with bullets": f"•••••{TAIL}",
    "masked with letters": f"xxxxxxxx{TAIL}",
    "head and dots": "sk-proj-CA...",
}


@rows("spelled", SPELLED.values(), ids=SPELLED)
@rows("around", ["{}", "key {} is wrong", '"{}".', "({})", "?key={}&x=1", "Bearer {}", "api_key={}"])
def test_every_spelling(spelled, around):
    """The key, encoded, cut, or with its middle masked, is out of the text; what stands around it is not."""
    left = scrub(around.format(spelled))
    assert MASK in left
    for part in ("CANARY", TAIL, spelled[-12:], spelled[4:16]):
        assert part not in left or part in around
    for word in around.replace("{}", " ").split(" "):
        assert word.strip('."()?&') in left or "=" in word


@rows(
    "text",
    [
        f"The key ends with {TAIL}.",
        f"key ending in `{TAIL}`",
        f"the last four characters are {TAIL}",
        "a key starting with sk-proj-CAN",
    ],
)
def test_ends_that_are_told(text):
    """An end of the key that is told in words is out of the text."""
    left = scrub(text)
    assert TAIL not in left
    assert "CAN" not in left
    assert left.startswith(text[:8])


@rows(
    "text",
    [
        "wait... then try again",
        "**bold** and *italic*",
        "it ends with a dot.",
        "a request_id req_011CSHoEeqs5C35K2UUqR7Fy of org-2f9a3b",
        "model gpt-5.4-mini-2026-03-17 does not exist",
        "use Bearer authentication",
        "xxx and xxxx",
        "/v1/chat/completions?beta=true",
        "last 5 minutes",
        "",
    ],
)
def test_other_words_are_left_alone(text):
    """What is no key, and looks like none, stays as it is."""
    assert text == scrub(text)


@rows(
    "key",
    [
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "pk_live_0123456789abcdefgh",
    ],
)
def test_keys_of_others(key):
    """What looks like a key is taken for one although this process has not loaded it."""
    assert f"upstream said: {MASK} is wrong" == scrub(f"upstream said: {key} is wrong")
    assert f"Bearer {MASK}" == scrub("Bearer 0123456789abcdef-xyz")
    assert f"?key={MASK}&alt=sse" == scrub("?key=0123456789&alt=sse")


def test_a_key_that_is_anothers_beginning():
    """The longer key is taken out as a whole, whichever was loaded first."""
    remember("CANARY-short-key")
    remember("CANARY-short-key-and-more")
    assert f"{MASK}, {MASK}" == scrub("CANARY-short-key-and-more, CANARY-short-key")


def test_a_placeholder_is_no_key():
    """What is shorter than eight characters would punch holes into ordinary words."""
    remember("test")
    assert "a test of the contest" == scrub("a test of the contest")


KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=80)
ENCODED = st.sampled_from(
    [
        lambda key: key,
        lambda key: quote(key, safe=""),
        lambda key: json.dumps(key)[1:-1],
        html.escape,
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.b64encode(f"{len(key)}:{key}".encode()).decode(),
    ]
)


@examples(20, 100, KEYS, ENCODED, st.text(max_size=30), st.text(max_size=30))
def test_any_key_in_any_words(key, encode, before, after):
    """Whatever the key, its encoding and the words around it: what comes out holds neither."""
    remember(key)
    try:
        left = scrub(f"{before} {encode(key)} {after}")
    finally:
        _scrub._keys.pop(key)  # a hundred of them would slow the tests that follow
        for core in _scrub._in_base64(key):
            _scrub._cores.pop(core, None)
    assert key not in left
    assert encode(key) not in left


def test_it_takes_linear_time():
    """Texts that are made to be slow are not: 64 KiB take a fraction of a second."""
    started = time.perf_counter()
    for text in ("a" * 65_536, "x." * 32_768, "*a" * 32_768, "/" * 65_536, "eyJ" * 21_000, "ends with " * 6_500):
        scrub(text)
        scrub(text + "****")
    assert time.perf_counter() - started < 5
