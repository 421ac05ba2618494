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


_EVERY_DAY = ("sync-whole", "async-stream")
_FOUR = [pytest.param(way, marks=() if str(way) in _EVERY_DAY else pytest.mark.slow) for way in WAYS]


@pytest.fixture(params=_FOUR, ids=str)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and whole, async and streamed; with the slow tests also the other two."""
    yield from _bench(request.param)


@pytest.fixture
def corner(bench: Bench) -> Bench:
    """The same for long tables, of which each row goes one of the two ways every day."""
    return bench


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every second row of a long table is sync every day, the others are async."""
    rows: dict[str, int] = {}
    for item in items:
        if isinstance(item, pytest.Function) and "corner" in item.fixturenames:
            way = str(item.callspec.params["bench"])
            row = rows.setdefault(item.nodeid.replace(way, ""), len(rows))
            if way != _EVERY_DAY[row % 2]:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(params=[way for way in WAYS if way.stream], ids=str)
def streaming(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and async, streamed."""
    yield from _bench(request.param)


@pytest.fixture(params=[way for way in WAYS if not way.stream], ids=str)
def whole(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Sync and async, in one piece."""
    yield from _bench(request.param)
