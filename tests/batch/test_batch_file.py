"""The files of a batch: what was written stays, what was torn is cut off, and nobody else's file is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmswitch._batch_file import BadLine, BatchFileError, BatchOutput, Line
from llmswitch._batch_file import read_lines as read_lines_by
from llmswitch.doors.chat_completions import ChatCompletionsDoor


def read_lines(path: Path) -> list[Line | BadLine]:
    return list(read_lines_by(path, ChatCompletionsDoor()))


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_read_with_their_numbers_and_ids(tmp_path: Path) -> None:
    """Blank lines count and are no requests; a line without an id has one of its number and content."""
    path = tmp_path / "in.jsonl"
    path.write_text('\ufeff{"id": "a", "prompt": "x"}\n\n{"prompt": "y"}\n{"prompt": "y"}')
    first, second, third = read_lines(path)
    assert first == Line(1, "a", {"id": "a", "prompt": "x"})
    assert (second.number, second.id.partition("-")[0], third.id.partition("-")[0]) == (3, "3", "4")
    path.write_text('{"id": "a", "prompt": "x"}\n\n{"prompt": "z"}\n')
    assert second.id != list(read_lines(path))[1].id
    assert "x" not in repr(first)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"prompt": "secret', "not JSON"),
        (b'["secret"]', "not a JSON object"),
        (b'{"prompt": "secret\xff"}', "not UTF-8"),
        (b'{"prompt": "secret", "prompt": "secret"}', "a key twice"),
        (b'{"id": 7, "prompt": "secret"}', "id must be a string"),
        (b'{"prompt": "secret", "messages": []}', "either `messages` or `prompt`"),
        (b'{"id": "a", "prompt": "secret"}', "that of a line before"),
        (b'{"custom_id": "b", "method": "POST", "url": "/v1/embeddings", "body": {}}', "only those are read that POST"),
        (b'{"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}', "body: "),
        (b'{"custom_id": 7, "method": "POST", "url": "/v1/chat/completions", "body": {}}', "custom_id must be"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_not_what_it_holds(tmp_path: Path, text: bytes, message: str) -> None:
    """The number and the reason, and nothing of the prompt."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id": "a", "prompt": "x"}\n' + text + b"\n")
    bad = list(read_lines(path))[1]
    assert isinstance(bad, BadLine)
    assert (bad.number, message in bad.message, "secret" in bad.message) == (2, True, False)


def test_a_torn_line_is_cut_off_and_asked_again(tmp_path: Path) -> None:
    """However little or much of it was written: the lines before it stay, byte for byte."""
    path = tmp_path / "out.jsonl"
    whole, torn = b'{"id":"a","line":1,"text":"x"}\n', b'{"id":"b","line":2,"text":"y"}'
    for cut in range(len(torn) + 1):
        path.write_bytes(whole + torn[:cut])
        with BatchOutput(path) as output:
            assert output.done == {"a"}
            output.answered("c", 3, {"text": "z"})
        assert path.read_bytes() == whole + b'{"id":"c","line":3,"text":"z"}\n'


@pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"id": "a"}\n', '{"prompt": "x"}\n{"id":'])
def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path, content: str) -> None:
    """What is not the result of a batch is neither added to nor cut."""
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    with pytest.raises(BatchFileError, match=r"out\.jsonl.* is not the result of a batch"), BatchOutput(path):
        pass
    assert path.read_text() == content
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_failure_that_was_made_good_is_forgotten(tmp_path: Path) -> None:
    """Of a request that failed twice the last failure stays; of one that has its result none."""
    path = tmp_path / "out.jsonl"
    with BatchOutput(path) as output:
        for name in ("a", "b"):
            output.refused(name, 1, {"error": {"type": "First"}})
    with BatchOutput(path) as output:
        assert output.failed == {"a", "b"}
        output.answered("a", 1, {"text": "x"})
        output.refused("b", 1, {"error": {"type": "Second"}})
    assert [line["error"] for line in lines(output.failed_path)] == [{"type": "Second"}]
    with BatchOutput(path) as output:
        output.answered("b", 1, {"text": "x"})
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_two_runs_on_one_output_are_refused(tmp_path: Path) -> None:
    """The second is told; when the first has ended, the next may."""
    path = tmp_path / "out.jsonl"
    with BatchOutput(path), pytest.raises(BatchFileError, match=r"another run is writing to out\.jsonl"):
        BatchOutput(path).__enter__()
    with BatchOutput(path):
        pass
