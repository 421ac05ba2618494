"""Two gateways and one Redis under load: one budget and one breaker, however the requests are spread."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import USAGE, Vendor, alone, spawn, vendor
from tests.server.loopback import vendor as spare
from tests.store.redis_server import redis_server_in

__all__ = ["Vendor", "alone", "spawn", "vendor"]

pytestmark = pytest.mark.slow


@pytest.fixture
def redis(tmp_path: Path):
    """A Redis of the test's own."""
    server = redis_server_in(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fleet(spawn, vendor, redis, tmp_path):
    """Starts two gateways with this configuration beside the vendor and the store; their addresses."""

    def start(more: str, targets: str = '"fake:m"') -> list[str]:
        config = tmp_path / "llmswitch.toml"
        config.write_text(
            f"""
            default = "main"
            [chains.main]
            targets = [{targets}]
            [providers.fake]
            dialect = "openai"
            base_url = "{vendor.base_url}"
            [store]
            url = "{redis.url}"
            [server]
            port = 0
            admin_port = 0
            {more}
            """
        )
        urls = []
        for _ in range(2):
            process, said = spawn("serve", "--config", str(config)), ""
            while "listening" not in said:
                said = process.stderr.readline()
                assert said, "the gateway ended"
            urls.append(re.search(r"listening on (http://[^,]+)", said)[1])
        return urls

    return start


_AT_ONCE = 32
# with so many tokens at most, more is reserved than is used: who bills more than was reserved is no gateway's fault
_BODY = {"model": "main", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}


def asked(urls: list[str], number: int, meanwhile: Callable[[int], None] = lambda _: None) -> list[int]:
    """The statuses of so many requests, 32 at a time, to the gateways in turn; `meanwhile` is told of each before."""
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=_AT_ONCE)) as client:

        def ask(index: int) -> int:
            meanwhile(index)
            return client.post(f"{urls[index % len(urls)]}/v1/chat/completions", json=_BODY).status_code

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(ask, range(number)))


def test_one_budget(fleet, vendor):
    """Together they spend what one might: what is answered fits into the budget, and all of it is used in the end."""
    answers = 100
    urls = fleet(f'[[budgets]]\ntokens = {answers * USAGE["total_tokens"]}\nper = "ever"')
    statuses = asked(urls, 300)
    assert {200, 429} == set(statuses)
    answered = statuses.count(200)
    assert len(vendor.asked) == answered <= answers
    # the last of it is refused to 32 who would each reserve more than they use, and given to one who asks alone
    while asked(urls[:1], 1) == [200]:
        answered += 1
    assert answers - 2 <= answered <= answers
    assert [429] == asked(urls[1:], 1)


def test_one_breaker(fleet, vendor):
    """One who dies under load is known to be dead by both when one has asked him; nobody goes without an answer."""
    with spare() as other:
        urls = fleet(f'[providers.spare]\ndialect = "openai"\nbase_url = "{other.base_url}"', '"fake:m", "spare:m"')
        assert ({200}, 60) == (set(asked(urls, 60)), len(vendor.asked))

        def kill(index: int) -> None:
            if index == 40:
                vendor.refusal = (500, {"error": {"message": "it went wrong"}})

        assert {200} == set(asked(urls[:1], 80, kill))
        before = len(vendor.asked)
        # five open it; who was under way then had asked already, and may once more
        assert before <= 60 + 40 + 5 + 2 * _AT_ONCE
        assert {200} == set(asked(urls[1:], 60))
        assert len(vendor.asked) <= before + 1  # a probe, where this machine was slow
