"""The stage for Ray Data: rows in, the same rows with their answers out, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from llmswitch import InvalidRequest
from llmswitch.ray import ChatStage
from llmswitch.testing import FakeVendor

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
import ray
from llmswitch.ray import ChatStage
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
rows = ray.data.from_items([{"prompt": "bad" if n % 50 == 7 else f"p{n}", "n": n} for n in range(200)])
given = dict(model="own:m", config=CONFIG)
out = rows.map_batches(ChatStage, fn_constructor_kwargs=given, concurrency=2, batch_size=25)
found = sorted(out.take_all(), key=lambda row: row["n"])
print([row["n"] for row in found if row["text"] != f"P{row['n']}"], {row["error"] for row in found if row["error"]})
"""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        found = answer(httpx.Request("POST", "https://vendor.invalid", content=content))
        self.send_response(found.status_code)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(found.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_ray_runs_it(tmp_path: Path) -> None:
    """With Ray itself: two workers, every row answered in its place."""
    pytest.importorskip("ray")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    own = {"dialect": "openai", "base_url": f"http://127.0.0.1:{server.server_port}/v1"}
    root = str(Path(__file__).parents[2])
    script = f"CONFIG = { ({'providers': {'own': own}})!r}\n{SCRIPT}"
    environment = {
        **os.environ,
        "PYTHONPATH": root,
        "HOME": str(tmp_path),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    server.shutdown()
    server.server_close()
    assert "[7, 57, 107, 157] {'BadRequest'}" in done.stdout, done.stderr[-2000:]
