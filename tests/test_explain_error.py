"""What would become of a response, asked without sending anything; and that the page on errors is right."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import get_args

import pytest

from llmswitch import ConfigError, explain_error
from llmswitch._explain_error import _AGAIN, _MOVE
from llmswitch._policy import RULES, Again, MoveOn
from llmswitch._scrub import remember
from tests.rows import rows

ROOT = Path(__file__).parents[1]
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


def test_what_a_chain_does_next():
    """Class, scopes, cool-down, repetition and move are those of the rules."""
    found = explain_error("openai", 429, None, {"error": {"message": "no", "code": "insufficient_quota"}})
    assert ("Arrears", "never", "always", ("account",), 600.0, None) == (
        found.kind,
        found.again,
        found.move,
        found.scopes,
        found.cooldown,
        found.breaker,
    )
    assert ("openai", "any", 429, "insufficient_quota") == (
        found.error.provider,
        found.error.model,
        found.error.status,
        found.error.code,
    )


def test_the_vendors_own_wait_counts():
    """Retry-After, in any case, stands in place of the rule's time; `x-should-retry: false` forbids a repetition."""
    found = explain_error("openai", 429, {"RETRY-AFTER": "7"}, "")
    assert ("RateLimited", "wait", 7.0) == (found.kind, found.again, found.cooldown)
    assert "7 s, as the vendor says" in str(found)
    found = explain_error("openai", 500, {"X-Should-Retry": "false"})
    assert ("ServerError", "never", "target", None) == (found.kind, found.again, found.breaker, found.cooldown)


def test_a_vendor_has_rules_of_its_own():
    """The same status and message are another class where the provider's file says so."""
    body = {"error": {"code": "1305", "message": "try again later"}}
    assert "Overloaded" == explain_error("zhipu", 429, None, body).kind
    assert "RateLimited" == explain_error("openai", 429, None, body).kind


@rows("body", [b'{"error": {"code": "429"}}', '{"error": {"code": "429"}}', {"error": {"code": 429}}])
def test_a_body_may_be_bytes_text_or_json(body):
    """An error under a 200 is read as what it is, however the body is given."""
    assert "RateLimited" == explain_error("openai", 200, {"content-type": "application/json"}, body).kind


def test_what_is_no_error_and_what_is_no_answer():
    """A proper answer is explained by nothing; a page, an empty body and a cut stream by what they are."""
    json, page, stream = ({"content-type": kind} for kind in ("application/json", "text/html", "text/event-stream"))
    assert None is explain_error("openai", 200, json, ANSWER)
    assert None is explain_error("openai", 200, {**json, "content-encoding": "gzip"}, ANSWER)
    assert "MalformedResponse" == explain_error("openai", 200, page, "<!doctype html>").kind
    assert "MalformedResponse" == explain_error("openai", 200, json).kind
    assert "StreamInterrupted" == explain_error("openai", 200, stream, 'data: {"choices": [{"delta": {}}]}\n\n').kind
    assert "RegionBlocked" == explain_error("openai", 403, page, "<html>").kind
    assert "ConnectFailed" == explain_error("openai", 407).kind


def test_nothing_secret_is_kept():
    """A key in the body is in nothing of the explanation, and the error has no frames."""
    key = "CANARY-key-5f3759df77a1"
    remember(key)
    found = explain_error("openai", 401, {"x-request-id": key}, {"error": {"message": key, "code": key}})
    assert key not in f"{found} {found!r} {found.error.code} {found.error.request_id}"
    assert None is found.error.__traceback__


def test_a_provider_that_there_is_none_of():
    """An unknown provider is said with the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'openai'"):
        explain_error("opnai", 500)


# The page


def _generator():
    spec = importlib.util.spec_from_file_location("errors_table", ROOT / ".ci" / "errors_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_the_rules_do():
    """docs/errors.md holds the table that the rules make; `python .ci/errors_table.py` writes it."""
    generator = _generator()
    assert generator.page() == generator.PAGE.read_text("utf-8")
    assert {kind.__name__ for kind in RULES} == set(re.findall(r"^\| `(\w+)`", generator.table(), re.MULTILINE))


def test_every_rule_has_words():
    """Every way to go on is explained in words."""
    assert set(get_args(Again)) == set(_AGAIN)
    assert set(get_args(MoveOn)) == set(_MOVE)


def test_the_pages_example_runs(capsys):
    """The example on the page gives what its comment says."""
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(example, "errors.md", "exec"), {})
    said = re.search(r"cooldown\)  # (.*)", example)[1]
    assert said == capsys.readouterr().out.splitlines()[0]
