"""A gateway with keys, as the official SDKs for Node and the real curl find it."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.once import once
from tests.server.loopback import KEY, gateway, vendor

pytestmark = pytest.mark.slow

_NODE = Path(__file__).with_name("node")
_BODY = {"model": "main", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where clients ask."""
    folder = tmp_path_factory.mktemp("gateway")
    with vendor() as first, vendor() as second, gateway(first, second, folder) as (_, public, _admin):
        yield public


def test_the_sdks_for_node(url, request):
    """Chat, tools, streams, vectors and errors, in Chat Completions, Responses and Messages."""
    if shutil.which("npm") is None:
        pytest.skip("there is no Node: Debian's has hundreds of packages, so that CI does not install it")
    folder = Path(request.config.cache.mkdir("node-sdks"))

    def make() -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NODE / name, folder)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True, timeout=120)

    once(folder, make)
    shutil.copy(_NODE / "sdks.mjs", folder)
    command = ["node", "sdks.mjs", url, KEY]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]


@pytest.fixture
def curl(url, tmp_path) -> Callable[..., tuple[int, bytes, str]]:
    """Runs curl: the status, the body, and the headers."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")

    def run(path: str, *given: str, key: str | None = KEY) -> tuple[int, bytes, str]:
        bearer = [] if key is None else ["-H", f"authorization: Bearer {key}"]
        command = ["curl", "-sS", "-m", "20", "-D", str(tmp_path / "head"), *bearer, *given, f"{url}{path}"]
        done = subprocess.run(command, capture_output=True, check=True)
        head = (tmp_path / "head").read_text().lower()
        return int(head.split()[1]), done.stdout, head

    return run


def as_json(body: object) -> list[str]:
    """Curl's arguments for it."""
    return ["-H", "content-type: application/json", "-d", body if isinstance(body, str) else json.dumps(body)]


def test_curl_with_a_key_and_without(curl):
    """The answer, and who gave it; without a key or with a wrong one not even which routes there are."""
    status, body, head = curl("/v1/chat/completions", *as_json(_BODY))
    assert (200, "Hello, world") == (status, json.loads(body)["choices"][0]["message"]["content"])
    assert "x-llmswitch-target: deepseek:deepseek-flash" in head
    assert "x-request-id: req_" in head
    for path in ("/v1/chat/completions", "/v1/models", "/nowhere"):
        for key in (None, f"{KEY}x"):
            assert 401 == curl(path, key=key)[0]
    assert (200, b'{"status":"ok"}') == curl("/health", key=None)[:2]


def test_curl_and_a_stream(curl):
    """With -N each event is a line of its own, up to the last."""
    status, body, head = curl("/v1/chat/completions", "-N", *as_json({**_BODY, "stream": True}))
    lines = body.split(b"\n\n")
    assert (200, b"data: [DONE]") == (status, lines[-2])
    assert "content-type: text/event-stream" in head
    assert b'"content":"Hello"' in body
    assert b"event: message_stop" in curl("/v1/messages", *as_json({**_BODY, "max_tokens": 9, "stream": True}))[1]


def test_curl_and_what_is_not_so_usual(curl, tmp_path):
    """A packed body is read; what can't be is refused with words that say what to do."""
    packed = tmp_path / "body.gz"
    packed.write_bytes(gzip.compress(json.dumps(_BODY).encode()))
    wrapped = ["-H", "content-type: application/json", "-H", "content-encoding: gzip", "--data-binary", f"@{packed}"]
    assert 200 == curl("/v1/chat/completions", *wrapped)[0]
    status, body, _ = curl("/v1/models")
    assert (200, ["main", "default"]) == (status, [each["id"] for each in json.loads(body)["data"]])
    status, body, _ = curl("/health", "-I", key=None)  # what it writes then is the headers
    assert (200, True) == (status, body.endswith(b"content-length: 15\r\n\r\n"))
    patient = {**_BODY, "model": "second:patient"}
    for wanted, path, given, word in (
        (404, "/v1/chat", [], b"route"),
        (400, "/v1/chat/completions", as_json("{no json"), b"not JSON"),
        (415, "/v1/chat/completions", ["-d", json.dumps(_BODY)], b"content-type"),
        (404, "/v1/messages", as_json({**_BODY, "max_tokens": 9, "model": "first:x,second:y"}), b"/v1/models"),
        (405, "/v1/chat/completions", [], b"POST"),
        (504, "/v1/chat/completions", ["-H", "x-request-timeout: 0.3", *as_json(patient)], b"second:patient"),
    ):
        status, body, head = curl(path, *given)
        assert wanted == status, (path, body)
        assert word in body, (path, body)
        assert "content-type: application/json" in head
        assert path != "/v1/messages" or json.loads(body)["request_id"] in head
