"""The store in Redis, through redis-py: the extra `llmswitch[redis]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ._errors import ConfigError
from ._secrets import Secret
from ._store import Record, Store

__all__ = ["RedisStore", "redis_clients", "redis_opener"]

TIMEOUT = 0.2  # seconds, to connect and for each answer
_SCHEMES = ("redis", "rediss", "unix")
_READ_AT_ONCE = 1000

# Each record with its epoch, its end and until when it is kept. pcall: a key that somebody made a list, or filled with
# something else, is as good as none, and is written over.
_WRITE = """
for i, key in ipairs(KEYS) do
  local record, epoch, ends, kept = unpack(ARGV, 4 * i - 3, 4 * i)
  local newer, raw = true, redis.pcall('GET', key)
  if type(raw) == 'string' then
    local read, old = pcall(cjson.decode, raw)
    if read and type(old) == 'table' and type(old['epoch']) == 'number' and type(old['until']) == 'number' then
      epoch, ends = tonumber(epoch), tonumber(ends)
      newer = epoch > old['epoch'] or (epoch == old['epoch'] and ends > old['until'])
    end
  end
  if newer then
    redis.call('SET', key, record)
    redis.call('PEXPIREAT', key, kept)
  end
end
"""

# A lease goes to nobody while its breaker is open: a process that has not heard of it yet would ask too early.
_HOLD = """
local holder = redis.pcall('GET', KEYS[1])
if holder ~= ARGV[1] then
  if type(holder) == 'string' then return 0 end
  local raw = redis.pcall('GET', KEYS[2])
  if type(raw) == 'string' then
    local read, record = pcall(cjson.decode, raw)
    local time = redis.call('TIME')
    local now = time[1] * 1000 + time[2] / 1000
    if read and type(record) == 'table' and (tonumber(record['until']) or 0) > now then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_FREE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class RedisStore:
    """
    Records and leases as strings that expire by themselves. Raises what redis-py raises.

    A script is one atomic step, named by its hash; where the server has forgotten it, redis-py sends it anew.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:1:"
        self._write = client.register_script(_WRITE)
        self._hold = client.register_script(_HOLD)
        self._free = client.register_script(_FREE)

    def read(self, names: Sequence[str]) -> tuple[int, list[bytes | str | None]]:
        """`Store.read`. What is not a string reads as nothing."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        for start in range(0, len(names), _READ_AT_ONCE):
            pipe.mget([self._prefix + name for name in names[start : start + _READ_AT_ONCE]])
        (seconds, micros), *parts = pipe.execute()
        return seconds * 1000 + micros // 1000, [raw for part in parts for raw in part]

    def write(self, records: Sequence[tuple[str, Record]]) -> None:
        """`Store.write`, in one step."""
        args = [part for _, record in records for part in (record.dump(), record.epoch, record.until, record.kept)]
        self._write([self._prefix + name for name, _ in records], args)

    def hold(self, name: str, token: str, seconds: float) -> bool:
        """`Store.hold`."""
        keys = [f"{self._prefix}lease:{name}", self._prefix + name]
        return bool(self._hold(keys, [token, max(1, round(seconds * 1000))]))

    def free(self, name: str, token: str) -> None:
        """`Store.free`."""
        self._free([f"{self._prefix}lease:{name}"], [token])

    def close(self) -> None:
        """`Store.close`."""
        self._client.close()

    def __repr__(self) -> str:
        return "RedisStore()"  # an address may hold a password


def redis_opener(url: Secret, prefix: str, where: str) -> Callable[[], Store]:
    """What opens the store; nothing is connected before it is used. Raises `ConfigError` without the address."""
    client = redis_clients(url, where)
    return lambda: RedisStore(client(), prefix)


def redis_clients(url: Secret, where: str) -> Callable[[], Any]:
    """What makes clients of a Redis, each with connections of its own, in the time limits that hold for a store."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError(f"{where}: Redis needs redis-py 5 or later: pip install 'llmswitch[redis]'") from None
    address = url.reveal()
    if not re.match(rf"({'|'.join(_SCHEMES)})://", address):
        raise ConfigError(f"{where}.url: begins with {', '.join(f'{scheme}://' for scheme in _SCHEMES[:2])} or unix://")

    def made() -> Any:
        return redis.Redis.from_url(
            address,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # the one who calls repeats, or does not
            protocol=2,
        )

    try:
        made()
    except ValueError:
        raise ConfigError(
            f"{where}.url: is no address of a Redis; it looks like redis://[user:password@]host:6379/0, "
            "with special characters of a password percent-encoded"
        ) from None
    return made
