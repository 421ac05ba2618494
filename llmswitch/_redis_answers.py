"""Answers in Redis, which processes of many machines may share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ._cache_key import SCHEMA
from ._config_file import Loaded
from ._errors import ConfigError
from ._redis_store import redis_clients
from ._store import address
from ._stored_answers import AnswerStore

__all__ = ["RedisAnswers", "redis_answers_opener"]

_AT_ONCE = 500


class RedisAnswers:
    """
    Answers as strings that expire by themselves; the room for them is the server's `maxmemory`.

    Raises what redis-py raises.
    """

    def __init__(self, client: Any, prefix: str, ttl: float) -> None:
        self._client = client
        self._prefix = f"{prefix}:cache:{SCHEMA}:"
        self._ttl = max(1, round(ttl * 1000))

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """`AnswerStore.read`. What is not a string reads as nothing."""
        return [raw.encode() if isinstance(raw, str) else raw for raw in self._client.mget(self._named(keys))]

    def write(self, answers: Sequence[tuple[str, bytes]]) -> None:
        """`AnswerStore.write`."""
        pipe = self._client.pipeline(transaction=False)
        for key, answer in answers:
            pipe.set(self._prefix + key, answer, px=self._ttl)
        pipe.execute()

    def clear(self) -> None:
        """`AnswerStore.clear`: of all who have this prefix."""
        pattern = re.sub(r"([\\*?\[\]^-])", r"\\\1", self._prefix) + "*"
        found: list[Any] = []
        for name in self._client.scan_iter(match=pattern, count=_AT_ONCE):
            found.append(name)
            if len(found) == _AT_ONCE:
                self._client.unlink(*found)
                found.clear()
        if found:
            self._client.unlink(*found)

    def close(self) -> None:
        """`AnswerStore.close`."""
        self._client.close()

    def _named(self, keys: Sequence[str]) -> list[str]:
        return [self._prefix + key for key in keys]

    def __repr__(self) -> str:
        return "RedisAnswers()"  # an address may hold a password


def redis_answers_opener(loaded: Loaded) -> Callable[[], AnswerStore]:
    """
    What opens the Redis of `[cache]`, or that of `[store]`; nothing is connected before it is used.

    Raises `ConfigError`, never with the address, where it is wrong or its library is not installed.
    """
    config, store = loaded.config.cache, loaded.config.store
    table = "cache" if config.url is not None else "store"
    reference = config.url if config.url is not None else store.url
    if reference is None:
        raise ConfigError(f'{loaded.source}: cache: kind = "redis" needs url, here or in [store]')
    client = redis_clients(
        address(reference, f"{loaded.source}: {table}.url", strict=loaded.config.strict), f"{loaded.source}: {table}"
    )
    return lambda: RedisAnswers(client(), store.prefix, config.ttl)
