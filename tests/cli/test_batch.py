"""`llmswitch batch`: every line is asked once, whatever ends a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmswitch._batch_file import BatchOutput

Run = Callable[..., Any]

NAMES = ("-m", "fake:two")


def write(path: Path, requests: list[Any]) -> str:
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in requests))
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def prompts(vendor: Any) -> list[str]:
    return sorted(asked["messages"][-1]["content"] for asked in vendor.asked)


def test_results_are_lines_and_a_second_run_asks_what_is_left(
    run: Run, config: Path, vendor: Any, tmp_path: Path
) -> None:
    """Id, line, answer and trail; nothing on stdout; what has a result is not asked again."""
    given = write(tmp_path / "in.jsonl", [{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two", "max_tokens": 9}])
    result = run("batch", given, "out.jsonl", *NAMES)
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"2 to ask\n2 of 2 done \| 0 failed \| in \d s \| tokens 22 in, 8 out\n", result.stderr)
    first, second = sorted(read(tmp_path / "out.jsonl"), key=lambda line: str(line["id"]))
    assert (first["id"], first["line"], first["text"], first["model"]) == ("a", 1, "Hello, world", "two")
    assert (second["line"], second["attempts"][0]["target"]) == (2, "fake:two")
    write(tmp_path / "in.jsonl", [{"id": "c", "prompt": "three"}, {"id": "a", "prompt": "one"}])
    assert run("batch", given, "out.jsonl", *NAMES).exit_code == 0
    assert prompts(vendor) == ["one", "three", "two"]
    assert [line["id"] for line in read(tmp_path / "out.jsonl")][2:] == ["c"]
    assert run("batch", given, "out.jsonl", *NAMES).stderr == "2 requests are settled already, nothing is left to ask\n"


def test_a_vendor_s_own_form_of_a_batch_is_answered_in_that_form(
    run: Run, config: Path, vendor: Any, tmp_path: Path
) -> None:
    """What was written for another's batches is asked of the chain that is named, or of what its model is here."""
    body = {"model": "gpt-0", "messages": [{"role": "user", "content": "one"}], "max_tokens": 7}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    given = write(tmp_path / "in.jsonl", [line])
    assert run("batch", given, "out.jsonl").exit_code == 2
    assert run("batch", given, "out.jsonl", *NAMES).exit_code == 0
    (found,) = read(tmp_path / "out.jsonl")
    assert (found["custom_id"], found["response"]["status_code"], found["error"]) == ("a", 200, None)
    assert found["response"]["body"]["choices"][0]["message"]["content"] == "Hello, world"
    body["model"] = "fake:two"
    write(tmp_path / "in.jsonl", [{**line, "custom_id": "b"}])
    assert run("batch", given, "out.jsonl").exit_code == 0
    assert prompts(vendor) == ["one", "one"]


def test_bad_lines_are_refused_all_at_once_before_anything_is_asked(
    run: Run, config: Path, vendor: Any, tmp_path: Path
) -> None:
    """Each with its number, also where only the client knows what is wrong; the prompt is not said again."""
    given = write(
        tmp_path / "in.jsonl",
        [{"prompt": "one"}, "{secret", {"prompt": "secret", "top_k": 1}, {"prompt": "x", "model": "nobody:x"}],
    )
    result = run("batch", given, "out.jsonl", *NAMES)
    assert result.exit_code == 2
    assert [f":{number}: " in result.stderr for number in (1, 2, 3, 4)] == [False, True, True, True]
    assert "3 lines hold no request" in result.stderr
    assert ("secret" in result.stderr, vendor.asked, (tmp_path / "out.jsonl").exists()) == (False, [], False)


def test_bad_lines_may_be_counted_as_failed(run: Run, config: Path, vendor: Any, tmp_path: Path) -> None:
    """With --skip-bad the others are asked, and the bad ones are written down once, however often it is run."""
    given = write(tmp_path / "in.jsonl", [{"id": "a", "prompt": "one"}, "{secret"])
    for options in ((), ("--retry-failed",)):
        assert run("batch", given, "out.jsonl", *NAMES, "--skip-bad", *options).exit_code == 1
        (failed,) = read(tmp_path / "out.failed.jsonl")
        assert (failed["line"], failed["error"]["type"], failed["attempts"]) == (2, "InvalidRequest", [])
    assert prompts(vendor) == ["one"]


def test_failures_have_a_file_of_their_own_and_are_asked_again_on_demand(
    run: Run, config: Path, vendor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class, message and trail, without the key and the prompt; exit status 1 until they are made good."""
    vendor.refusal = (400, {"error": {"message": "no such field", "code": "bad"}})
    given = write(tmp_path / "in.jsonl", [{"id": "a", "prompt": "secret words"}])
    assert run("batch", given, "out.jsonl", *NAMES).exit_code == 1
    (failed,) = read(tmp_path / "out.failed.jsonl")
    assert (failed["id"], failed["error"]["type"], failed["error"]["status"]) == ("a", "BadRequest", 400)
    assert [attempt["target"] for attempt in failed["attempts"]] == ["fake:two"]
    assert "secret" not in (tmp_path / "out.failed.jsonl").read_text()
    vendor.refusal = None
    assert (run("batch", given, "out.jsonl", *NAMES).exit_code, len(vendor.asked)) == (1, 1)
    assert run("batch", given, "out.jsonl", *NAMES, "--retry-failed").exit_code == 0
    assert not (tmp_path / "out.failed.jsonl").exists()
    assert [line["id"] for line in read(tmp_path / "out.jsonl")] == ["a"]


def test_files_that_can_not_be_used_are_refused(run: Run, config: Path, vendor: Any, tmp_path: Path) -> None:
    """The input as the output, and an output that another run is writing to: status 2, and nothing is asked."""
    given = write(tmp_path / "in.jsonl", [{"id": "a", "prompt": "one"}])
    own = run("batch", given, given, *NAMES)
    with BatchOutput(tmp_path / "out.jsonl"):
        other = run("batch", given, "out.jsonl", *NAMES)
    assert (own.exit_code, other.exit_code, vendor.asked) == (2, 2, [])
    assert "holds the requests" in own.stderr
    assert "another run is writing to out.jsonl" in other.stderr
