"""Fixtures of the fault rows: the bench in its four ways, a certificate authority, and an ear for what is logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

pytest.register_assert_rewrite("tests.faults.bench")

from tests.faults.bench import KEY, PROMPT, WAYS, Bench, Way  # noqa: E402 - its assertions are rewritten first


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody else trusts."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its root certificate, as a PEM file."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(autouse=True)
def _keys_and_logs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Each target has a key; what is logged at DEBUG, by whomever, holds no key, no prompt and no lost error."""
    for number in range(1, 5):
        monkeypatch.setenv(f"T{number}_KEY", f"{KEY}-t{number}")
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text
    assert PROMPT not in caplog.text
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]


_MOST_SECONDS = 25.0


def _bench(way: Way) -> Iterator[Bench]:
    with ExitStack() as stack:
        bench = Bench(way, stack)
        watchdog = threading.Timer(_MOST_SECONDS, bench.give_up)
        watchdog.daemon = True
        watchdog.start()
        yield bench
        watchdog.cancel()


@pytest.fixture(params=WAYS, ids=str)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and async, whole and streamed."""
    yield from _bench(request.param)


@pytest.fixture(params=[way for way in WAYS if way.stream], ids=str)
def streaming(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and async, streamed."""
    yield from _bench(request.param)


@pytest.fixture(params=[way for way in WAYS if not way.stream], ids=str)
def whole(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and async, in one piece."""
    yield from _bench(request.param)


_EVERY_DAY = {
    "bench": ("sync-whole", "async-stream"),
    "streaming": ("sync-stream", "async-stream"),
    "whole": ("sync-whole", "async-whole"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every day each row goes one way, every second one sync and the others async; the slow tests go all ways."""
    rows: dict[str, int] = {}
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        for fixture, ways in _EVERY_DAY.items():
            if fixture in item.callspec.params:
                way = str(item.callspec.params[fixture])
                row = rows.setdefault(item.nodeid.replace(way, ""), len(rows))
                if way != ways[row % 2]:
                    item.add_marker(pytest.mark.slow)
