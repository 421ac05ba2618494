"""Several processes with one file, one that is killed while it writes, and a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmswitch import AsyncClient, Client, _outage, _stored_answers
from llmswitch._disk_answers import FILE, DiskAnswers
from tests.cache.test_calls import config, vendor
from tests.cache.worker import answer
from tests.store.redis_server import ROOT, RedisServer, redis_server_in

pytestmark = pytest.mark.slow


def start(folder: Path, rounds: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.cache.worker", str(folder), str(rounds), str(seed)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def check(folder: Path) -> int:
    """How many answers are there; each is the one that belongs under its key, and the file is whole."""
    with sqlite3.connect(folder / FILE) as db:
        assert ("ok",) == db.execute("PRAGMA integrity_check").fetchone()
        keys = [key for (key,) in db.execute("SELECT key FROM answers")]
    db.close()
    disk = DiskAnswers(folder, 60, 300_000)
    assert [answer(key) for key in keys] == disk.read(keys)
    disk.close()
    return len(keys)


def test_processes_share_a_file_and_one_may_be_killed(tmp_path, caplog):
    """Each reads what belongs there, whoever wrote it; kill -9 in the middle of writing breaks nothing."""
    killed = start(tmp_path, 10**6, 0)
    others = [start(tmp_path, 60, seed) for seed in (50, 120)]
    assert killed.stdout is not None
    assert "begun\n" == killed.stdout.readline()
    time.sleep(0.1)
    killed.kill()
    killed.communicate()
    for other in others:
        other.communicate(timeout=30)
        assert 0 == other.returncode
    assert check(tmp_path) > 50
    assert (tmp_path / FILE).stat().st_size <= 400_000
    assert [] == caplog.records


def test_a_short_program_leaves_its_answer(tmp_path):
    """What was just answered is written before the process ends, though nobody closed the client."""
    code = (
        "import sys; from llmswitch import Client; from tests.cache.test_calls import config, vendor\n"
        "made = Client.from_config(config(cache={'kind': 'disk', 'path': sys.argv[1]}), http_client=vendor())\n"
        "print(made.chat('Hi').from_cache)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert ["False", "True"] == said


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    server = redis_server_in(tmp_path)
    server.start()
    yield server
    server.kill()


def settled(server: RedisServer, count: int) -> list[str]:
    """The names of so many answers, as soon as they are there."""
    ends = time.monotonic() + 5
    names: list[str] = []
    while len(names) != count and time.monotonic() < ends:
        time.sleep(0.01)
        names = server.admin.keys("llmswitch:cache:*")
    assert count == len(names)
    return names


def test_redis_is_shared_and_may_go(redis_server, monkeypatch, caplog):
    """An answer of one client is the other's; what lies there ends by itself; without Redis calls go past it."""
    asked = vendor()
    given: dict[str, Any] = config(cache={"kind": "redis", "ttl": 100.0, "url": redis_server.url})
    monkeypatch.setattr(_stored_answers, "MOMENT", 2)
    one, other = (Client.from_config(given, http_client=asked) for _ in range(2))
    one.chat("CANARY prompt")
    (name,) = settled(redis_server, 1)
    assert other.chat("CANARY prompt").from_cache
    kept = redis_server.admin.get(name)
    assert 1 == json.loads(kept)["v"]
    assert "CANARY" not in name + kept
    assert 90 <= redis_server.admin.ttl(name) <= 100

    async def again() -> bool:
        made = AsyncClient.from_config(given, http_client=asked)
        found = (await made.chat("CANARY prompt")).from_cache
        await made.aclose()
        return found

    assert asyncio.run(again())
    monkeypatch.setattr(_stored_answers, "MOMENT", 0.05)
    monkeypatch.setattr(_outage, "PAUSE", 0.3)
    redis_server.pause()
    began = time.monotonic()
    for _ in range(20):
        assert not one.chat("CANARY prompt").from_cache
    assert time.monotonic() - began < 1.5
    redis_server.go_on()
    monkeypatch.setattr(_stored_answers, "MOMENT", 2)
    time.sleep(0.5)
    assert one.chat("CANARY prompt").from_cache
    said = [record.message for record in caplog.records]
    assert "the cache can't be read (TimeoutError): calls go past it" in said
    assert any(line.startswith("the cache can be read again") for line in said)
    assert len(said) <= 4
    redis_server.admin.set("llmswitch:other", "1")
    other.clear_cache()
    assert ["llmswitch:other"] == redis_server.admin.keys()
    one.close()
    other.close()
