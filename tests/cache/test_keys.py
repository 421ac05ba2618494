"""Names of answers: requests that differ in anything have different ones, the same request has the same."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace

from hypothesis import strategies as st

from llmswitch import Client, Image, Message, Reasoning, Text, Tool, ToolCall, VendorData, __version__
from llmswitch._cache_key import cache_key, identity
from llmswitch._request import ChatRequest
from llmswitch._structured import ResponseFormat
from tests.everyday import examples

# Few letters, and those that quote and separate, so that texts run into each other.
words = st.text('a":,[]{}\\\x00\ud800é', max_size=3)
objects = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=3,
)
vendors = st.none() | st.builds(VendorData, words, words, words, st.dictionaries(words, objects, max_size=1))
parts = (
    st.builds(Text, words, vendors)
    | st.builds(Reasoning, words, vendors)
    | st.builds(ToolCall, words, words, st.dictionaries(words, objects, max_size=1), words, vendors)
    | st.builds(Image, data=st.sampled_from(["AA==", "AB=="]), media_type=st.sampled_from(["image/png", "image/gif"]))
)
messages = st.builds(Message, st.just("assistant"), words | st.lists(parts, max_size=2), st.none() | words)
tools = st.builds(
    Tool,
    st.sampled_from(["f", "g"]),
    words,
    st.builds(
        lambda more: {"type": "object", **more}, objects.filter(lambda o: isinstance(o, dict) and "type" not in o)
    ),
)
forms = st.builds(ResponseFormat, st.sampled_from(["a", "b"]), st.none() | st.dictionaries(words, objects, max_size=2))
numbers = st.none() | st.integers(1, 2)
requests = st.builds(
    ChatRequest,
    messages=st.lists(messages, max_size=2).map(tuple),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | words,
    parallel_tool_calls=st.none() | st.booleans(),
    response_format=st.none() | forms,
    max_tokens=numbers,
    temperature=st.sampled_from([None, 0.5, 1.5]),
    top_p=st.sampled_from([None, 0.5]),
    stop=st.lists(words, max_size=2).map(tuple),
    seed=numbers,
    reasoning=st.none() | words | st.just(7),
    extra=st.dictionaries(words, st.dictionaries(words, objects, max_size=1), max_size=1),
    degrade=st.booleans(),
    prefill=st.booleans(),
)


def shown(request: ChatRequest) -> str:
    """All of a request, in the order in which it stands there."""
    return repr([(each.name, _shown(getattr(request, each.name))) for each in fields(request)])


def _shown(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_shown(inner) for inner in value]
    if hasattr(value, "__dataclass_fields__"):
        return (type(value).__name__, [_shown(getattr(value, each.name)) for each in fields(value)])  # type: ignore[arg-type]
    return value


@examples(12, 60, requests, requests, st.lists(words, max_size=2), st.lists(words, max_size=2))
def test_names_are_the_same_for_the_same_alone(one, other, tags, others):
    """Two requests have one name if and only if they are equal to the letter, from the same tenant."""
    name = cache_key(one, "who", tags)
    assert name == cache_key(copy.deepcopy(one), "who", tags)
    same = shown(one) == shown(other) and sorted(tags) == sorted(others)
    assert same == (name == cache_key(other, "who", others))
    assert name != cache_key(one, "who else", tags)


@examples(8, 40, requests, st.data())
def test_one_change_anywhere_is_another_name(request, data):
    """Whichever field of a request is another, its name is another."""
    name = data.draw(st.sampled_from([each.name for each in fields(ChatRequest)]))
    other = replace(request, **{name: getattr(data.draw(requests), name)})
    assert (shown(request) == shown(other)) == (cache_key(request, "w", ()) == cache_key(other, "w", ()))


def test_what_is_no_json_has_no_name():
    """Such a request goes past the cache, and fails or not by itself."""
    request = ChatRequest((Message("user", "Hi"),), extra={"a": {"b": object()}})
    assert cache_key(request, "who", ()) is None


def test_a_name_is_a_hash_that_holds_across_processes(monkeypatch):
    """It hangs on this library's version, on no order of a set, and on no key."""
    config = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local/v1", "api_key": {"env": "K"}}}}

    def who(key: str) -> str | None:
        monkeypatch.setenv("K", key)
        return identity(Client.from_config(config, "a:m")._setup.chain(None).targets)

    assert who("sk-one-0123456789") == who("sk-two-0123456789")
    request = ChatRequest((Message("user", "Hi"),))
    name = cache_key(request, "who", ())
    monkeypatch.setattr("llmswitch._cache_key.__version__", __version__ + "x")
    assert name != cache_key(request, "who", ())
    assert 64 == len(json.loads(f'"{name}"'))
