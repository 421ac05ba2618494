"""Two gateways and one Redis: one budget and one breaker, however the requests are spread."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import USAGE, Vendor, alone, spawn, vendor
from tests.store.redis_server import RedisServer

__all__ = ["Vendor", "alone", "spawn", "vendor"]

pytestmark = pytest.mark.slow


@pytest.fixture
def redis(tmp_path: Path):
    """A Redis of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fleet(spawn, vendor, redis, tmp_path):
    """Starts two gateways with this configuration beside the vendor and the store; their addresses."""

    def start(more: str) -> list[str]:
        config = tmp_path / "llmswitch.toml"
        config.write_text(
            f"""
            default = "main"
            [chains.main]
            targets = ["fake:m"]
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


def asked(urls: list[str], number: int) -> list[int]:
    """The statuses of so many requests, eight at a time, to the gateways in turn."""
    body = {"model": "main", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}

    def ask(index: int) -> int:
        return httpx.post(f"{urls[index % len(urls)]}/v1/chat/completions", json=body, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(number)))


def test_one_budget(fleet, vendor):
    """Together they spend what one might: no more answers than the budget has room for, and not many fewer."""
    room = 20 * USAGE["total_tokens"]
    urls = fleet(f'[[budgets]]\ntokens = {room}\nper = "ever"')
    statuses = asked(urls, 60)
    answered = statuses.count(200)
    assert {200, 429} == set(statuses)
    assert len(vendor.asked) == answered <= 20
    assert answered >= 10  # what is reserved for an answer is more than it comes to, while it is under way


def test_one_breaker(fleet, vendor):
    """A dead vendor is asked by both together as often as one would ask him, and what is in flight meanwhile."""
    vendor.refusal = (500, {"error": {"message": "it went wrong"}})
    urls = fleet("")
    assert {200} & set(asked(urls, 60)) == set()
    assert len(vendor.asked) <= 5 + 8 + 8  # the five that open it, and a round of eight at each that had begun
