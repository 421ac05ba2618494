"""Where answers lie: for how long, in how much room, and what becomes of calls where it fails."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from llmswitch import Client, ConfigError, LLMSwitchError, _stored_answers
from llmswitch._cache_key import SCHEMA
from llmswitch._config_file import Loaded
from llmswitch._disk_answers import FILE, DiskAnswers
from llmswitch._kept_reply import read_reply, write_reply
from llmswitch._memory_answers import MemoryAnswers
from llmswitch._messages import Message, Text
from llmswitch._reply import ChatReply, Usage
from llmswitch._stored_answers import StoredAnswers
from tests.rows import rows
from tests.store.play import Clock


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """A busy machine is no reason for a miss here."""
    monkeypatch.setattr(_stored_answers, "MOMENT", 5)


class Kept:
    """One of the two bounded stores, as if it were used alone."""

    def __init__(self, kind: str, folder: Path, clock: Clock, *, most: int = 400_000) -> None:
        self._memory = MemoryAnswers(60, most, clock) if kind == "memory" else None
        self._disk = DiskAnswers(folder, 60, most, clock)

    def get(self, key: str) -> bytes | None:
        return self._memory.get(key) if self._memory is not None else self._disk.read([key])[0]

    def put(self, key: str, answer: bytes) -> None:
        if self._memory is not None:
            self._memory.keep(key, answer)
        else:
            self._disk.write([(key, answer)])

    def clear(self) -> None:
        (self._memory or self._disk).clear()

    def close(self) -> None:
        self._disk.close()


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_an_answer_has_its_time(kind, tmp_path):
    """It is there for `ttl` seconds and not longer; one from the future is not there at all."""
    clock = Clock()
    kept = Kept(kind, tmp_path, clock)
    kept.put("a", b"1")
    clock.now += 59
    assert b"1" == kept.get("a")
    clock.now += 1
    assert kept.get("a") is None
    kept.put("a", b"2")
    assert b"2" == kept.get("a")
    if kind == "disk":
        clock.now -= 3600
        assert kept.get("a") is None
    kept.clear()
    assert kept.get("a") is None
    kept.close()


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_room_is_bounded(kind, tmp_path):
    """However much is put there, no more than `max_bytes` is used, and what came last is there."""
    clock = Clock()
    kept = Kept(kind, tmp_path, clock)
    for number in range(120):
        clock.now += 0.1
        kept.put(str(number), bytes(10_000))
    assert 10_000 == len(kept.get("119") or b"")
    there = sum(kept.get(str(number)) is not None for number in range(120))
    assert 20 <= there <= 40
    kept.close()
    if kind == "disk":
        assert (tmp_path / FILE).stat().st_size <= 450_000


def test_what_is_forgotten_is_not_left_in_the_file(tmp_path):
    """Emptied, or over: the file holds nothing of it any more, and is small again."""
    clock = Clock()
    disk = DiskAnswers(tmp_path, 60, 10**6, clock)
    for forget in (disk.clear, lambda: disk.write([("b", b"2")])):
        disk.write([("a", b"CANARY" * 30_000)])
        clock.now += 61
        forget()
    disk.close()
    assert b"CANARY" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / FILE).stat().st_size < 40_000


def test_the_file_is_for_its_owner_alone(tmp_path):
    """Mode 0600 in a folder of 0700, though the file was there with another; somebody else's file is not used."""
    folder = tmp_path / "made"
    disk = DiskAnswers(folder, 60, 10**6)
    disk.write([("a", b"1")])
    disk.close()
    assert (0o700, 0o600) == tuple(stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / FILE))
    (folder / FILE).chmod(0o644)
    assert [b"1"] == disk.read(["a"])
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    disk.close()
    (folder / FILE).rename(tmp_path / "elsewhere")
    (folder / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="not a file of this user's"):
        disk.read(["a"])


@pytest.mark.parametrize("how", ["garbage", "cut", "scribbled"])
def test_a_broken_file_begins_anew(how, tmp_path, caplog):
    """What SQLite can't make sense of is thrown away with one line in the log; the answers are asked for again."""
    disk = DiskAnswers(tmp_path, 60, 10**6)
    disk.write([(f"k{number}", bytes(2000)) for number in range(50)])
    disk.close()
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(
        {"garbage": b"no" * 5000, "cut": whole[:5000], "scribbled": whole[:4096] + b"\xff" * (len(whole) - 4096)}[how]
    )
    assert all(found is None for _ in range(2) for found in disk.read([f"k{number}" for number in range(50)]))
    disk.write([("a", b"1")])
    disk.write([("a", b"2")])
    assert [b"2"] == disk.read(["a"])
    assert [f"the cache in {path} was broken, and begins anew"] == [record.message for record in caplog.records]
    disk.close()


class Playing:
    """A store that does what a test says: `hold` keeps it waiting, `broken` is raised by `read` or `write`."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken: dict[str, Exception] = {}
        self.hold: threading.Event | None = None
        self.calls: list[str] = []

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.hold is not None:
            self.hold.wait(5)
        if what in self.broken:
            raise self.broken[what]

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        self._called("read")
        return [self.kept.get(key) for key in keys]

    def write(self, answers: Sequence[tuple[str, bytes]]) -> None:
        self._called("write")
        self.kept.update(answers)

    def clear(self) -> None:
        self._called("clear")
        self.kept.clear()

    def close(self) -> None:
        self.calls.append("close")


def found(answers: StoredAnswers, key: str, *, as_task: bool) -> bytes | None:
    finding = answers.find(key)
    return asyncio.run(finding.aperform()) if as_task else finding.perform()


@pytest.mark.parametrize("as_task", [False, True], ids=["thread", "task"])
def test_a_store_that_fails_is_left_alone_for_a_while(as_task, caplog):
    """After three failures in a row nobody asks it, it is said once, and once more when it is back."""
    clock, store = Clock(), Playing()
    answers = StoredAnswers(lambda: store, clock)
    store.broken = {"read": RuntimeError("a CANARY"), "write": OSError(28, "disk full")}
    for _ in range(10):
        assert found(answers, "a", as_task=as_task) is None
        answers.keep("a", b"1")
    assert 3 == store.calls.count("read")
    answers.close(5)
    assert [
        "the cache can't be read (RuntimeError): calls go past it",
        "the cache can't be written (OSError: [Errno 28] disk full): calls go past it",
    ] == sorted(record.message for record in caplog.records)
    assert answers.counts["RuntimeError"] == 3
    assert answers.counts["OSError"] >= 3
    caplog.clear()
    clock.now += 10
    store.broken = {}
    answers.keep("a", b"1")
    answers.close(5)
    assert b"1" == found(answers, "a", as_task=as_task)
    said = [record.message.split(", after")[0] for record in caplog.records]
    assert ["the cache can be written again", "the cache can be read again"] == said
    answers.close(5)
    assert "close" == store.calls[-1]


@pytest.mark.parametrize("as_task", [False, True], ids=["thread", "task"])
def test_a_store_that_hangs_holds_a_call_up_for_a_moment(as_task, monkeypatch):
    """A call waits 50 ms at the most, and not at all once an order hangs. Nothing that is late is lost."""
    monkeypatch.setattr(_stored_answers, "MOMENT", 0.01)
    clock, store = Clock(), Playing()
    store.hold = threading.Event()
    answers = StoredAnswers(lambda: store, clock)
    for _ in range(5):
        assert found(answers, "a", as_task=as_task) is None
    assert answers.counts == {"TimeoutError": 5}
    clock.now += 0.25
    monkeypatch.setattr(_stored_answers, "MOMENT", 0.2)
    began = monotonic()
    for _ in range(30):
        assert found(answers, "a", as_task=as_task) is None
    assert monotonic() - began < 2
    assert answers.counts == {"TimeoutError": 6}
    answers.keep("a", b"1")
    store.hold.set()
    answers.close(5)
    assert {"a": b"1"} == store.kept


def test_a_store_that_is_always_too_slow_is_left_alone(monkeypatch):
    """Every answer comes, and none in time: after a second of that calls do not wait for it."""
    monkeypatch.setattr(_stored_answers, "MOMENT", 0)
    clock, store = Clock(), Playing()
    store.hold = threading.Event()
    answers = StoredAnswers(lambda: store, clock)
    for _ in range(20):
        clock.now += 0.1
        answers.find("a").perform()
    assert 11 == answers.counts["TimeoutError"]
    store.hold.set()
    answers.close(5)


def test_a_busy_loop_is_no_reason_for_a_miss(monkeypatch):
    """What has come while the loop did something else is taken, though the time is over."""
    monkeypatch.setattr(_stored_answers, "MOMENT", 0.01)
    store = Playing()
    store.kept = {"a": b"1"}
    answers = StoredAnswers(lambda: store)

    def busy() -> None:
        while "read" not in store.calls:
            sleep(0.005)
        sleep(0.02)

    async def busily() -> bytes | None:
        asking = asyncio.ensure_future(answers.find("a").aperform())
        await asyncio.sleep(0)
        busy()
        return await asking

    assert b"1" == asyncio.run(busily())
    assert {} == answers.counts
    answers.close(5)


def test_what_waits_to_be_written_is_bounded(monkeypatch):
    """Where answers come faster than they can be written, some are not kept, and are counted."""
    monkeypatch.setattr(_stored_answers, "WAITING", 100)
    store = Playing()
    store.hold = threading.Event()
    answers = StoredAnswers(lambda: store)
    for number in range(10):
        answers.keep(str(number), bytes(60))
    assert 8 <= answers.counts["dropped"] <= 9
    store.hold.set()
    answers.close(5)
    assert 10 == len(store.kept) + answers.counts["dropped"]


def test_emptying_says_whether_it_did():
    """What could not be forgotten is an error."""
    store = Playing()
    answers = StoredAnswers(lambda: store)
    answers.keep("a", b"1")
    answers.clear()
    assert {} == store.kept
    store.broken = {"clear": OSError()}
    with pytest.raises(LLMSwitchError, match=r"could not be emptied \(OSError\)"):
        answers.clear()
    answers.close(5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_a_thread_of_its_own(tmp_path):
    """It opens the file anew, and what the parent has open stays open there."""
    answers = StoredAnswers(lambda: DiskAnswers(tmp_path, 60, 10**6))
    answers.keep("a", b"1")
    answers.close(5)
    assert b"1" == answers.find("a").perform()
    child = os.fork()
    if child == 0:
        right = answers.find("a").perform() == b"1"
        answers.keep("b", b"2")
        answers.close(5)
        os._exit(0 if right else 1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert b"2" == answers.find("b").perform()
    answers.close(5)


REPLY = ChatReply(Message("assistant", [Text("hi")]), "stop", Usage(1, 2), "a", "m")


@rows(
    "spoil",
    [
        lambda raw: b"",
        lambda raw: raw[:-1],
        lambda raw: b"[" * 10_000,
        lambda raw: b"null",
        lambda raw: raw.replace(b'"v":1', b'"v":2'),
        lambda raw: raw.replace(b'"key":"k"', b'"key":"j"'),
        lambda raw: raw.replace(b'"assistant"', b'"system"'),
        lambda raw: raw.replace(b'"text":"hi"', b'"text":7'),
        lambda raw: raw.replace(b'"text":"hi"', b'"text":""'),
        lambda raw: raw.replace(b'"stop"', b'"length"'),
        lambda raw: raw.replace(b'"input_tokens":1', b'"input_tokens":-1'),
        lambda raw: raw.replace(b'"provider":"a"', b'"provider":null'),
        lambda raw: raw.replace(b'"model":"m"', b'"model":[]'),
    ],
)
def test_a_spoilt_answer_is_a_miss(spoil):
    """What is not whole, not of this version, or not this request's answer, is as good as none."""
    raw = write_reply("k", REPLY)
    assert raw is not None
    assert SCHEMA == 1
    whole = read_reply("k", raw, None)
    assert whole is not None
    assert (REPLY.message, REPLY.usage) == (whole.message, whole.usage)
    assert spoil(raw) != raw
    assert read_reply("k", spoil(raw), None) is None


BASE = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local/v1"}}}


@rows(
    ("more", "said"),
    [
        ({"chains": {"c": {"targets": ["a:m"], "cache": True}}}, r"chains.c: cache = true needs to know where"),
        ({"cache": {"kind": "redis"}}, r'config: cache: kind = "redis" needs url, here or in \[store\]'),
        ({"cache": {"kind": "memory", "path": "/x"}}, r'path is for kind = "disk"'),
        ({"cache": {"kind": "disk", "url": "redis://:CANARY@h"}}, r'url is for kind = "redis"'),
        ({"cache": {"kind": "disk", "path": __file__}}, r"cache.path: is the folder"),
        ({"cache": {"kind": "redis", "url": "http://:CANARY@h"}}, r"cache.url: begins with redis://"),
        ({"cache": {"kind": "memory", "ttl": 0}}, r"cache.ttl"),
    ],
)
def test_a_wrong_cache_is_said_when_the_client_is_made(more: Any, said: str):
    """With the place, and without the address."""
    with pytest.raises(ConfigError, match=said) as caught:
        Client.from_config({**BASE, **more})
    assert "CANARY" not in str(caught.value)


def test_a_found_file_says_not_where_answers_are_written():
    """It may have come with somebody else's repository."""
    for cache in ({"kind": "disk", "path": "/x"}, {"kind": "redis", "url": {"command": ["x"]}}):
        with pytest.raises(ConfigError, match="this file was found, not named"):
            Loaded.from_mapping({"cache": cache}, trusted=False)
