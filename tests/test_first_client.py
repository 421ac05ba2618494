"""What the first client of a process and its first call load: counts, which nothing else on the machine moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from llmswitch import _registry
from llmswitch._config import Config, PassthroughConfig, ProviderConfig
from llmswitch._provider import ProviderSpec
from llmswitch._rate_headers import USUAL, RateHeaders
from llmswitch._registry import author_of, head_of, provider, provider_names
from llmswitch._speaking import as_its_author

ROOT = Path(__file__).parents[1]
PROGRAM = """
import dataclasses, json, os, sys
os.environ.update(ANTHROPIC_API_KEY="sk-0123456789", OWN_KEY="sk-0123456789")
from llmswitch import Client
from llmswitch._engine import engine_named


def loaded(beginning):
    return sorted(name for name in sys.modules if name.startswith(beginning))


def answer(request):
    said = {"role": "assistant", "content": "Hi"}
    return httpx.Response(200, json={"id": "1", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})


Client("anthropic:claude-sonnet-4-5")
others = loaded("llmswitch.providers.openai")
httpx = engine_named("httpx").http
own = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": {"env": "OWN_KEY"}}
vendor = httpx.Client(transport=httpx.MockTransport(answer))
client = Client.from_config({"default": "own:m", "providers": {"own": own}}, http_client=vendor)
assert client.chat([{"role": "user", "content": "Say hello"}]).text == "Hi"
ours = [name for name in loaded("llmswitch") if not name.startswith("llmswitch.providers")]
made = {each for name in ours for each in vars(sys.modules[name]).values() if isinstance(each, type)}
made = {each for each in made if each.__module__.startswith("llmswitch")}
print(json.dumps({
    "others": others,
    "ours": [name.removeprefix("llmswitch.") for name in ours],
    "foreign": loaded(("asyncio", "tenacity", "html", "subprocess", "redis", "opentelemetry", "rich")),
    "dataclasses": len([each for each in made if dataclasses.is_dataclass(each)]),
    "models": len([each for each in made if hasattr(each, "model_fields")]),
}))
"""
# What a plain call does without, by the module that brings it.
LATER = {
    "_allowances": "limits and budgets",
    "_async_connections": "the async side",
    "_async_drive": "the async side",
    "_balancing": "groups",
    "_bulk": "batches",
    "_cache": "the cache of answers",
    "_continuation": "an answer that is gone on with",
    "_counting": "counts of tokens",
    "_credential": "signatures and tokens",
    "_drill": "the drill",
    "_embedding": "vectors",
    "_equivalents": "the catalog",
    "_estimate": "what a request may come to",
    "_grants": "grants",
    "_hedging": "hedges",
    "_passthrough": "what is passed through",
    "_planning": "explain",
    "_racing": "hedges",
    "_redis_store": "the store",
    "_reference_rates": "the cheapest of a group",
    "_renewal": "signatures and tokens",
    "_sessions": "sessions",
    "_sharing": "the store",
    "_stream": "streams",
    "_structured": "answers of a form",
    "_tools": "tools",
    "_window": "limits and budgets",
}


def test_a_plain_call_loads_what_it_needs():
    """
    No dialect but its own, nothing that has to be asked for, no event loop; and a number that has grown is looked at:
    each dataclass and each model costs about a millisecond.
    """
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(run.stdout)
    assert ["llmswitch.providers.openai_errors"] == found["others"]  # the form of an error, which several share
    assert [] == found["foreign"]
    assert {} == {name: what for name, what in LATER.items() if name in found["ours"]}
    assert 48 >= found["dataclasses"]
    assert 39 >= found["models"]
    assert 90 >= len(found["ours"])


def test_defaults_are_what_a_validator_would_make():
    """Those that are made without one, since it would be built for them alone."""
    for model in (Config, PassthroughConfig, ProviderConfig, ProviderSpec):
        defaults = [field.default for field in model.model_fields.values() if isinstance(field.default, BaseModel)]
        assert [type(default)() for default in defaults] == defaults
    assert tuple(RateHeaders(**each.model_dump()) for each in USUAL) == USUAL


def test_the_head_of_a_file_says_how_its_dialect_is_spoken(monkeypatch):
    """The lists of models, prices and errors stand at the end, so what is read without them lacks nothing."""
    whole = {name: provider(name) for name in provider_names()}
    monkeypatch.setattr(_registry, "_read", {})
    for name in {author_of(spec.dialect) for spec in whole.values()} & whole.keys():
        assert not head_of(name).prices
        told = as_its_author(whole[name].dialect)
        assert {field: getattr(whole[name], field) for field in told} == told
