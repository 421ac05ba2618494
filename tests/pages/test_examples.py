"""The examples run as they stand, against vendors on this machine's loopback."""

from __future__ import annotations

import io
import json
import runpy
import socket
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from .blocks import ROOT
from .vendors import everybody, on_loopback

EXAMPLES = ROOT / "examples"


@pytest.fixture
def two(tmp_path, monkeypatch) -> Iterator[dict[str, list[httpx.Request]]]:
    """A configuration with two vendors, the first and the second, and what each of them is asked."""
    asked: dict[str, list[httpx.Request]] = {"first": [], "second": []}

    def answering(name: str):
        def answer(request: httpx.Request) -> httpx.Response:
            asked[name].append(request)
            return everybody(request)

        return answer

    with on_loopback(answering("first")) as first, on_loopback(answering("second")) as second:
        path = tmp_path / "llmswitch.toml"
        providers = {"first": first, "second": second}
        text = 'default = "both"\n[chains.both]\ntargets = ["first:a", "second:b"]\n'
        text += "".join(
            f'[providers.{name}]\ndialect = "openai"\nbase_url = "{url}"\n' for name, url in providers.items()
        )
        path.write_text(text, "utf-8")
        monkeypatch.setenv("LLMSWITCH_CONFIG", str(path))
        yield asked


def test_the_chat_keeps_what_was_said(two, monkeypatch, capsys):
    """Each question is asked with all that came before it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is the capital of France?\n\nAnd its river?\n"))
    runpy.run_path(str(EXAMPLES / "chat_loop.py"))
    printed = capsys.readouterr().out
    assert 2 == printed.count("The capital of France is Paris.\n[first:a, price not known]")
    roles = [message["role"] for message in json.loads(two["first"][1].content)["messages"]]
    assert ["system", "user", "assistant", "user"] == roles


def test_a_question_that_nobody_answers_is_not_kept(two, monkeypatch, capsys):
    """The chat says what went wrong, and goes on."""
    monkeypatch.setenv("LLMSWITCH_DRILL", "first=arrears,second=arrears")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello?\n"))
    left = runpy.run_path(str(EXAMPLES / "chat_loop.py"))
    assert "Nothing of this is kept: ask again." in capsys.readouterr().out
    assert ["system"] == [message.role for message in left["conversation"]]


def test_the_agent_survives_a_switch(two, capsys):
    """The second provider is given the call and the result of the first one's step, and ends the conversation."""
    runpy.run_path(str(EXAMPLES / "agent.py"))
    printed = capsys.readouterr().out.splitlines()
    assert "first calls find_order({'number': '1042'})" == printed[0]
    assert "first goes away" == printed[1]
    assert printed[2].startswith("second answers: I was told: two books")
    assert [1, 1] == [len(requests) for requests in two.values()]
    messages = json.loads(two["second"][0].content)["messages"]
    assert ["user", "assistant", "tool"] == [message["role"] for message in messages]


def test_the_agent_tells_the_model_what_went_wrong(two, capsys):
    """A call of a tool that there is not is answered with an error, and ends nothing."""
    from llmswitch import ToolCall

    run = runpy.run_path(str(EXAMPLES / "agent.py"))["run"]
    assert run(ToolCall("1", "fly", {})).is_error
    assert run(ToolCall("2", "find_order", {"number": "7"})).is_error


def test_the_batch_answers_every_line(two, capsys):
    """Each request of in.jsonl has its answer, under its id."""
    runpy.run_path(str(EXAMPLES / "batch.py"))
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ids = [json.loads(line)["id"] for line in (EXAMPLES / "in.jsonl").read_text("utf-8").splitlines()]
    assert sorted(ids) == sorted(answer["id"] for answer in answers)
    assert {"The capital of France is Paris."} == {answer["text"] for answer in answers}


@pytest.fixture
def endpoint(two) -> Iterator[str]:
    """The endpoint of fastapi_stream.py, behind a real server."""
    pytest.importorskip("fastapi")
    import uvicorn

    app = runpy.run_path(str(EXAMPLES / "fastapi_stream.py"))["app"]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/chat"
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_the_endpoint_streams(endpoint):
    """The answer comes in several events, the last of which says who gave it."""
    with httpx.stream("POST", endpoint, json={"text": "What is the capital of France?"}, trust_env=False) as answer:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert "The capital of France is Paris." == "".join(event.get("text", "") for event in events)
    assert len(events) > 2
    assert {"done": "first"} == events[-1]


@pytest.mark.slow
def test_the_endpoint_says_that_nobody_answers(two, monkeypatch, request):
    """Where the chain has nobody left before the first word, that is a status, and no broken stream."""
    monkeypatch.setenv("LLMSWITCH_DRILL", "first=arrears,second=arrears")
    endpoint = request.getfixturevalue("endpoint")
    answer = httpx.post(endpoint, json={"text": "Hello?"}, trust_env=False)
    assert (503, "AllTargetsFailed") == (answer.status_code, answer.json()["detail"])
