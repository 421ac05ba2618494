"""The stage for Ray Data: rows in, the same rows with their answers out, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmswitch import InvalidRequest
from llmswitch.ray import ChatStage
from llmswitch.testing import FakeVendor
from tests.store.redis_server import redis_server_in

CONFIG = {"providers": {"own": {"dialect": "openai", "base_url": "https://vendor.invalid/v1"}}}


def answer(request: httpx.Request) -> httpx.Response:
    asked = json.loads(request.content)["messages"][-1]["content"]
    if asked == "bad":
        return httpx.Response(400, json={"error": {"message": "no"}})
    choice = {"index": 0, "message": {"role": "assistant", "content": asked.upper()}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return httpx.Response(200, json={"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


def test_rows_keep_their_order_and_their_columns() -> None:
    """The answer stands beside its question; a row that fails says so and has no text."""
    stage = ChatStage("own:m", config=CONFIG, prompt="question", http_client=FakeVendor(answer), max_tokens=5)
    for _ in range(2):
        out = stage({"question": ["a", "bad", "c"], "mine": [1, 2, 3]})
        assert (out["mine"], out["text"], out["error"]) == ([1, 2, 3], ["A", None, "C"], [None, "BadRequest", None])
        assert (out["provider"], out["input_tokens"]) == (["own", None, "own"], [3, None, 3])


def test_conversations_come_as_messages_or_as_their_json() -> None:
    """Fields that a table filled up are left out; what is no conversation fails alone."""
    stage = ChatStage("own:m", config=CONFIG, messages="chat", http_client=FakeVendor(answer))
    message = {"role": "user", "content": "a", "name": None}
    out = stage({"chat": [[message], json.dumps([message]), "{broken"]})
    assert (out["text"], out["error"]) == (["A", "A", None], [None, None, "InvalidRequest"])


def test_a_column_that_is_missing_is_named() -> None:
    """It is no fault of a row."""
    with pytest.raises(InvalidRequest, match="no column 'prompt'"):
        ChatStage("own:m", config=CONFIG)({"question": []})


SCRIPT = """
import json, os, ray
from llmswitch.ray import ChatStage
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

class Signed(ChatStage):
    def __call__(self, batch):
        out = super().__call__(batch)
        return {**out, "process": [os.getpid()] * len(out["text"])}

def run(config, size, **options):
    rows = ray.data.from_items([{"prompt": "bad" if n % 50 == 7 else f"p{n}", "n": n} for n in range(200)])
    given = {"model": "own:m", "config": config, **options}
    out = rows.map_batches(Signed, fn_constructor_kwargs=given, concurrency=2, batch_size=size)
    return sorted(out.take_all(), key=lambda row: row["n"])

found = run(PLAIN, 25)
wrong = [row["n"] for row in found if row["text"] != f"P{row['n']}"]
shared = run(SHARED, 5, calls=2, max_tokens=1)
print(json.dumps({"wrong": wrong, "errors": sorted({row["error"] for row in found if row["error"]}), "shared": shared}))
"""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        time.sleep(0.01)
        content = self.rfile.read(int(self.headers["content-length"]))
        found = answer(httpx.Request("POST", "https://vendor.invalid", content=content))
        self.send_response(found.status_code)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(found.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Ray itself made of two runs with two workers: a plain one, and one with a budget in a Redis."""
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("ray")
    redis = redis_server_in(folder)
    redis.start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    own = {"dialect": "openai", "base_url": f"http://127.0.0.1:{server.server_port}/v1"}
    plain = {"providers": {"own": own}}
    shared = {**plain, "store": {"url": redis.url}, "budgets": [{"tokens": BUDGET, "per": "ever"}]}
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(folder),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"PLAIN, SHARED = {plain!r}, {shared!r}\n{SCRIPT}"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=folder,
        check=False,
    )
    server.shutdown()
    server.server_close()
    redis.kill()
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


BUDGET = 400
USED = 4  # tokens of each answer


@pytest.mark.slow
def test_ray_runs_it(told: dict[str, Any]) -> None:
    """With Ray itself: two workers, every row answered in its place."""
    assert ([7, 57, 107, 157], ["BadRequest"]) == (told["wrong"], told["errors"])


@pytest.mark.slow
def test_workers_keep_one_budget_through_redis(told: dict[str, Any]) -> None:
    """What two workers spend together is the budget and no more; the rows that it has no room for say so."""
    rows = told["shared"]
    answered = [row for row in rows if row["text"] is not None]
    assert 0.9 * BUDGET <= len(answered) * USED <= BUDGET
    assert 2 == len({row["process"] for row in answered})
    assert {"BudgetExceeded", "BadRequest"} >= {row["error"] for row in rows if row["error"]}
    assert len(rows) - len(answered) > 90
