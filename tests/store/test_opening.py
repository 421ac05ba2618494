"""Naming a store in the configuration: what may stand there, what is said of what may not, and that nothing leaks."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest

from llmswitch import Client, ConfigError
from llmswitch._config_file import Loaded
from llmswitch._redis_store import RedisStore, redis_opener
from llmswitch._secrets import Secret
from llmswitch._store import Record
from tests.rows import rows

PASSWORD = "CANARY-pa55word"
URL = f"redis://user:{PASSWORD}@127.0.0.1:1/0"
MODEL = {"providers": {"my": {"dialect": "openai", "base_url": "http://10.0.0.5/v1"}}, "default": "my:m"}


def client(**store):
    return Client.from_config({**MODEL, "store": store})


def test_without_a_store_nothing_is_shared():
    """The default is this process's memory."""
    assert None is client()._health._sharing
    assert None is Client.from_config(MODEL)._health._sharing


@pytest.mark.slow
def test_without_a_store_nothing_of_it_is_loaded():
    """A client without a store loads neither redis-py nor what shares."""
    code = (
        f"import sys, llmswitch; llmswitch.Client.from_config({MODEL!r}); "
        "print([name for name in sys.modules if name.startswith('redis') or name.endswith(('_sharing', '_fleet'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "[]" == shown.strip()


def test_the_address_may_be_written_or_referred_to(monkeypatch, tmp_path):
    """In the file, in the environment, in a file of its own, or from a program."""
    pytest.importorskip("redis")
    monkeypatch.setenv("SHARED", URL)
    secret = tmp_path / "url"
    secret.write_text(URL)
    secret.chmod(0o600)
    for url in (URL, {"env": "SHARED"}, {"file": str(secret)}, {"command": ["echo", URL]}):
        made = client(url=url, prefix="mine", egress="east")
        assert "east" == made._health._sharing.fleet.egress
        assert PASSWORD not in repr(made)


def test_the_address_is_in_no_repr():
    """A configuration can be printed without the password."""
    loaded = Loaded.from_mapping({**MODEL, "store": {"url": URL}})
    assert PASSWORD not in repr(loaded) + str(loaded.config) + repr(loaded.config.store)


@rows(
    ("store", "said"),
    [
        ({"ulr": URL}, "store.ulr: unknown key (did you mean 'url'?)"),
        ({"url": 7}, "store.url"),
        ({"url": {"env": "A", "file": "b"}}, "store.url: give exactly one of env, file and command"),
        ({"url": {"evn": URL}}, "store.url.evn: unknown key (did you mean 'env'?)"),
        ({"url": {"env": "NOT_THERE"}}, "store.url: the environment variable NOT_THERE is not set"),
        ({"url": ""}, "store.url is empty"),
        ({"url": URL.replace("redis", "http")}, "store.url: begins with redis://, rediss:// or unix://"),
        ({"url": URL.replace(":1/", ":one/")}, "store.url: is no address of a Redis"),
        ({"url": URL, "prefix": "a b"}, "store.prefix"),
        ({"url": URL, "egress": ""}, "store.egress"),
    ],
)
def test_what_is_wrong_is_said_without_the_address(store, said):
    """The place and what is wrong, never what stood there."""
    pytest.importorskip("redis")
    with pytest.raises(ConfigError) as problem:
        client(**store)
    assert said in str(problem.value)
    assert PASSWORD not in str(problem.value)
    assert None is problem.value.__cause__


def test_a_file_that_was_found_runs_no_program_for_it():
    """The address may not come from a program that somebody else's repository names."""
    given = {**MODEL, "store": {"url": {"command": ["echo", URL]}}}
    with pytest.raises(ConfigError, match=r"store\.url\.command: this file was found"):
        Loaded.from_mapping(given, trusted=False)


def test_a_missing_library_is_said(monkeypatch):
    """Without redis-py the client says what to install."""
    monkeypatch.delitem(sys.modules, "redis", raising=False)
    real = builtins.__import__

    def without(name, *given):
        if name.split(".")[0] == "redis":
            raise ImportError(name)
        return real(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'llmswitch\[redis\]'"):
        client(url=URL)


def test_a_store_shows_no_address():
    """What is opened has no address in its repr."""
    pytest.importorskip("redis")
    store = redis_opener(Secret(URL, "test"), "llmswitch", "test")()
    assert "RedisStore()" == repr(store)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1") as problem:
        store.read(["a"])
    assert PASSWORD not in str(problem.value)


class FakeRedis:
    """A client of redis-py as far as the store uses it; it answers nothing of its own."""

    def __init__(self):
        self.sent = []

    def register_script(self, text):
        return lambda keys, args: self.sent.append((text.strip().split("\n")[0], keys, args)) or 1

    def pipeline(self, *, transaction):
        assert not transaction
        return self

    def time(self):
        self.sent.append("time")

    def mget(self, keys):
        self.sent.append(keys)

    def execute(self):
        return [(1_800_000_000, 123_456), *([None] * len(keys) for keys in self.sent if isinstance(keys, list))]


def test_reading_is_one_round_trip():
    """The clock and all that is asked for come in one go, in commands of bounded length."""
    redis = FakeRedis()
    clock, raws = RedisStore(redis, "mine").read([f"breaker:{number}" for number in range(2500)])
    assert (1_800_000_000_123, 2500) == (clock, len(raws))
    assert [1000, 1000, 500] == [len(keys) for keys in redis.sent[1:]]
    assert "mine:1:breaker:0" == redis.sent[1][0]
    assert (1_800_000_000_123, []) == RedisStore(FakeRedis(), "mine").read([])


def test_a_step_is_one_script():
    """Keys are named with the prefix, and the end of a record is given as a moment, so that a late one is no longer."""
    redis = FakeRedis()
    store = RedisStore(redis, "mine")
    record = Record(2, 1000, 6000, "ServerError")
    store.write([("breaker:a", record)])
    assert store.hold("breaker:a", "token", 5.0)
    store.free("breaker:a", "token")
    write, hold, free = ((keys, args) for _, keys, args in redis.sent)
    assert (["mine:1:breaker:a"], [record.dump(), 2, 6000, record.kept]) == write
    assert (["mine:1:lease:breaker:a", "mine:1:breaker:a"], ["token", 5000]) == hold
    assert (["mine:1:lease:breaker:a"], ["token"]) == free
