"""`llmswitch chat`: the answer and nothing else on stdout, who gave it on stderr, and a status that tells."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmswitch._cli._terminal import one_line, plain
from llmswitch._events import StreamReset, TextDelta
from llmswitch._stream import ChatStream
from llmswitch.providers import local_server, local_weights
from llmswitch.providers.local_server import RunningServer

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def fake(config: Path) -> list[str]:
    """The option that names the vendor alone."""
    return ["-m", "fake:two"]


# stdout and stderr


def test_the_answer_alone_is_on_stdout(run: Run, config: Path) -> None:
    """Stdout holds the answer, and stderr who gave it after whom."""
    result = run("chat", "Say hello")
    assert result.stdout == "Hello, world\n"
    tried, answered = result.stderr.splitlines()
    assert re.fullmatch(r"  tried dead:one: ConnectFailed: no connection \(.+\): .+", tried)
    assert re.fullmatch(
        r"answered by fake:two \| tokens 11 in, 4 out \| first token \d+\.\d\d s \| total \d+\.\d\d s", answered
    )
    assert result.exit_code == 0


@pytest.mark.slow
def test_stdout_and_stderr_are_kept_apart_in_a_real_process(spawn: Spawn, config: Path) -> None:
    """The same holds of the program as a shell starts it."""
    process = spawn("chat", "Say hello")
    stdout, stderr = process.communicate(timeout=20)
    assert stdout == "Hello, world\n"
    assert stderr.startswith("  tried dead:one: ConnectFailed")
    assert "answered by fake:two" in stderr
    assert process.returncode == 0


def test_a_line_end_of_the_answer_is_not_doubled(run: Run, fake: list[str], vendor: Any) -> None:
    """An answer that ends its own last line gets no second end."""
    vendor.pieces = ["one\n", "\n", "two\n"]
    assert run("chat", "hi", *fake).stdout == "one\n\ntwo\n"


def test_an_answer_without_text_says_so(run: Run, fake: list[str], vendor: Any) -> None:
    """Nothing goes to stdout where nothing was answered, and stderr warns."""
    vendor.pieces = []
    result = run("chat", "hi", *fake)
    assert result.stdout == ""
    assert "warning: the answer is empty" in result.stderr


def test_a_cut_answer_says_so(run: Run, fake: list[str], vendor: Any) -> None:
    """An answer that the token limit cut does not look whole."""
    vendor.finish_reason = "length"
    assert "warning: the answer was cut by the token limit" in run("chat", "hi", *fake).stderr


@pytest.mark.parametrize("whole", [[], ["--no-stream"]])
def test_reasoning_goes_to_stderr(run: Run, fake: list[str], vendor: Any, whole: list[str]) -> None:
    """The model's thinking is on stderr, on lines of its own."""
    vendor.reasoning = "Let me\n\n[bold]think[/]"
    result = run("chat", "hi", *fake, *whole)
    assert result.stdout == "Hello, world\n"
    assert result.stderr.startswith("Let me\n\n[bold]think[/]\nanswered by")


def test_reasoning_is_dim_on_a_terminal(
    run: Run, fake: list[str], vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person can tell the thinking from the answer."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    vendor.reasoning = "thinking"
    assert run("chat", "hi", *fake).stderr.startswith("\x1b[2mthinking\x1b[0m\n")


def test_an_answer_that_starts_again_is_announced(run: Run, fake: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before a restart is said to be void, and the answer begins on a new line."""
    original = ChatStream.__next__
    first: list[Any] = [TextDelta("Hel"), StreamReset("broke off", 3, "fake:two")]
    monkeypatch.setattr(ChatStream, "__next__", lambda self: first.pop(0) if first else original(self))
    result = run("chat", "hi", *fake)
    assert result.stdout == "Hel\nHello, world\n"
    assert "warning: what came so far is void: fake:two answers from the beginning\n" in result.stderr


def test_a_warning_of_the_library_is_one_line(run: Run, fake: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python warning is shown without the place in the code."""
    original = ChatStream.__next__

    def warned(stream: ChatStream) -> Any:
        if not seen:
            seen.append(True)
            warnings.warn("spaces around\nthe key", UserWarning, stacklevel=1)
        return original(stream)

    seen: list[bool] = []
    monkeypatch.setattr(ChatStream, "__next__", warned)
    assert run("chat", "hi", *fake).stderr.startswith("warning: spaces around the key\nanswered by")


# What is asked


def test_the_question_comes_from_stdin(run: Run, fake: list[str], vendor: Any) -> None:
    """`-` reads the question from stdin, and --system stands before it."""
    run("chat", "-", "--system", "Be brief", "--max-tokens", "9", *fake, stdin="What?\n")
    (asked,) = vendor.asked
    assert asked["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "What?\n"}]
    assert asked["max_tokens"] == 9
    assert asked["model"] == "two"


@pytest.mark.parametrize("question", ["", " \n", "\udcff"])
def test_a_question_that_is_none_is_refused(run: Run, fake: list[str], vendor: Any, question: str) -> None:
    """A question that is empty or not text is an error of usage, and nobody is asked."""
    assert run("chat", *fake, question).exit_code == 2
    assert vendor.asked == []


@pytest.mark.parametrize("named", ["main", "dead:one, fake:two"])
def test_model_takes_a_chain_or_several_targets(run: Run, config: Path, vendor: Any, named: str) -> None:
    """-m is what `model=` is: the name of a chain, or targets joined by commas."""
    config.write_text(config.read_text().replace('default = "main"', 'default = "dead:one"'))
    assert run("chat", "hi", "-m", named).stdout == "Hello, world\n"


def test_the_default_need_not_work_where_another_is_named(run: Run, config: Path) -> None:
    """A default whose key is missing is no hindrance to a call that does not use it."""
    text = config.read_text().replace("[providers.fake]", '[providers.fake]\napi_key = { env = "MISSING" }')
    config.write_text(text + '[providers.other]\ndialect = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n')
    assert run("chat", "hi").exit_code == 2
    assert "ConnectFailed" in run("chat", "hi", "-m", "other:x", "--config", str(config)).stderr


def test_config_names_the_file(run: Run, config: Path, tmp_path: Path) -> None:
    """--config is read in place of the file that would be found."""
    elsewhere = tmp_path / "elsewhere.toml"
    config.rename(elsewhere)
    assert run("chat", "hi", "--config", str(elsewhere)).stdout == "Hello, world\n"


def test_timeout_holds_for_the_call(run: Run, fake: list[str], vendor: Any) -> None:
    """--timeout ends a call whose answer does not go on; what came is on stdout."""
    vendor.ends = "never"
    result = run("chat", "hi", *fake, "--timeout", "0.3")
    assert result.stdout == "Hello, world"
    assert result.stderr.startswith("error: DeadlineExceeded: fake:two: the call's time limit ran out")
    assert result.exit_code == 1


def test_no_stream_asks_for_a_whole_answer(run: Run, fake: list[str], vendor: Any) -> None:
    """--no-stream sends a plain request; there is no first token to time then."""
    result = run("chat", "hi", *fake, "--no-stream")
    assert result.stdout == "Hello, world\n"
    assert not vendor.asked[0].get("stream")
    assert "first token" not in result.stderr


# --json


@pytest.mark.slow
def test_json_is_one_object_and_nothing_else(spawn: Spawn, config: Path, vendor: Any) -> None:
    """--json prints one JSON object with the answer and the trail, and stderr stays empty."""
    vendor.pieces = ["你好", " 👋"]
    process = spawn("chat", "hi", "--json", PYTHONUTF8="1")
    stdout, stderr = process.communicate(timeout=20)
    answer = json.loads(stdout)
    assert stderr == ""
    assert "你好" in stdout
    assert answer["text"] == "你好 👋"
    assert (answer["provider"], answer["model"], answer["finish_reason"]) == ("fake", "two", "stop")
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (11, 4)
    assert [(each["target"], each["error"]) for each in answer["attempts"]] == [
        ("dead:one", "ConnectFailed"),
        ("fake:two", None),
    ]
    assert answer["attempts"][0]["started"] == 0
    assert (answer["cost"], answer["warnings"], answer["tool_calls"]) == (None, [], [])
    assert process.returncode == 0


@pytest.mark.slow
def test_json_survives_a_narrow_encoding(spawn: Spawn, fake: list[str], vendor: Any) -> None:
    """Where stdout can't take every letter, JSON escapes them and loses none."""
    vendor.pieces = ["你好 👋"]
    process = spawn("chat", "hi", "--json", *fake, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    stdout, _ = process.communicate(timeout=20)
    assert json.loads(stdout)["text"] == "你好 👋"


def test_json_prints_nothing_where_nobody_answers(run: Run, fake: list[str], vendor: Any) -> None:
    """Stdout stays empty when a call fails."""
    vendor.refusal = (401, {"error": {"message": "bad key", "code": "invalid_api_key"}})
    result = run("chat", "hi", "--json", *fake)
    assert result.stdout == ""
    assert result.exit_code == 1


# Failures


def test_each_failure_has_its_line(run: Run, config: Path, vendor: Any) -> None:
    """Where nobody answers, stderr says of each attempt what went wrong, and the status is 1."""
    vendor.refusal = (401, {"error": {"message": "no such\n\x1b[31mkey", "code": "invalid_api_key"}})
    result = run("chat", "hi")
    head, *lines = result.stderr.splitlines()
    assert head == "error: AllTargetsFailed: no target answered"
    assert len(lines) == 2
    assert lines[0].startswith("  tried dead:one: ConnectFailed: no connection (")
    assert lines[1].startswith("  tried fake:two: AuthInvalid 401: ")
    assert "\x1b" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 1


def test_a_failure_of_one_target_is_one_line(run: Run, fake: list[str], vendor: Any) -> None:
    """A single attempt is not told twice."""
    vendor.refusal = (401, {"error": {"message": "bad key", "code": "invalid_api_key"}})
    (line,) = run("chat", "hi", *fake).stderr.splitlines()
    assert line.startswith("error: AuthInvalid: fake:two: ")


def test_an_answer_that_breaks_off_fails(run: Run, config: Path, vendor: Any) -> None:
    """What came of a broken answer stays on stdout; stderr and the status say that it is not whole."""
    vendor.ends = "early"
    result = run("chat", "hi")
    assert result.stdout == "Hello, world"
    assert result.stderr.startswith("error: StreamInterrupted: fake:two: ")
    assert "  tried fake:two: StreamInterrupted" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('defualt = "main"', "defualt: unknown key (did you mean 'default'?)"),
        ("default =", "not valid TOML"),
        ('default = "nobody:x"', "no chain and no provider is named 'nobody'"),
    ],
)
def test_a_wrong_configuration_exits_with_2(run: Run, tmp_path: Path, text: str, said: str) -> None:
    """A configuration error names its place, and its status is 2."""
    (tmp_path / "llmswitch.toml").write_text(text)
    result = run("chat", "hi")
    assert result.stderr.startswith("error: ConfigError: ")
    assert said in result.stderr
    assert result.exit_code == 2


@pytest.mark.slow
def test_a_wrong_configuration_exits_with_2_in_a_real_process(spawn: Spawn, tmp_path: Path) -> None:
    """The program says one line, without a traceback."""
    (tmp_path / "llmswitch.toml").write_text('default = "nobody:x"')
    process = spawn("chat", "hi")
    stdout, stderr = process.communicate(timeout=20)
    assert (stdout, stderr.count("\n"), process.returncode) == ("", 1, 2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
def test_ctrl_c_leaves_the_partial_answer(spawn: Spawn, fake: list[str], vendor: Any) -> None:
    """Ctrl-C ends with 130, with what came of the answer as it is, and without a traceback."""
    vendor.ends = "never"
    process = spawn("chat", "hi", *fake)
    assert process.stdout is not None
    partial = process.stdout.read(len("Hello, world"))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert partial + stdout == "Hello, world"
    assert stderr == "interrupted\n"
    assert process.returncode == 130


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_reader_that_has_enough_is_no_error(spawn: Spawn, fake: list[str], vendor: Any) -> None:
    """`llmswitch chat … | head -1` ends without a traceback."""
    vendor.pieces = ["a line\n"] * 20_000
    process = spawn("chat", "hi", *fake)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


# A target whose server is started on this machine


def test_the_start_of_a_local_server_is_announced(
    run: Run, config: Path, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says that the local model starts, when the chain gets to it."""
    monkeypatch.setattr(local_server, "start", lambda: RunningServer(vendor.base_url, "local-key"))
    result = run("chat", "hi", "-m", "dead:one,local:smollm2")
    assert result.stdout == "Hello, world\n"
    assert result.stderr.splitlines()[0] == "starting the local model"
    assert "answered by local:smollm2" in result.stderr
    assert vendor.keys == ["Bearer local-key"]


def test_the_start_of_a_local_server_is_shown_on_a_terminal(
    run: Run, config: Path, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal the line moves, and is gone before the answer."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(local_server, "start", lambda: RunningServer(vendor.base_url, "local-key"))
    result = run("chat", "hi", "-m", "local:smollm2")
    assert result.stdout == "Hello, world\n"
    assert "starting the local model" in result.stderr
    assert "\x1b[?25h" in result.stderr  # the cursor is back


def test_a_local_server_is_not_announced_unless_it_is_needed(run: Run, config: Path) -> None:
    """Who answers first leaves the local model asleep."""
    assert "starting" not in run("chat", "hi", "-m", "fake:two,local:smollm2").stderr


def test_missing_weights_name_the_command(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local model without weights says what installs them, and says once that it starts."""
    monkeypatch.setattr(local_weights, "find_weights", lambda: None)
    monkeypatch.setattr(local_server, "_engine_folder", lambda: "/")
    result = run("chat", "hi", "-m", "dead:one,local:smollm2")
    assert "`llmswitch local install`" in result.stderr
    assert result.stderr.count("starting the local model") == 1
    assert result.exit_code == 1


@pytest.mark.slow
def test_the_embedded_model_answers(spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With engine and weights installed, the local model answers a real process."""
    pytest.importorskip("xllamacpp")
    if local_weights.find_weights() is None:
        pytest.skip("the weights are not on this machine")
    process = spawn("chat", "Say hello", "-m", "local:smollm2", "--max-tokens", "12")
    stdout, stderr = process.communicate(timeout=60)
    assert stdout.strip()
    assert "answered by local:smollm2" in stderr
    assert process.returncode == 0


# What may stand on a terminal


def test_control_characters_do_not_reach_a_terminal() -> None:
    """Escape sequences of a model or a vendor are shown, not obeyed."""
    assert plain("a\x1b]52;c\x07\tb\n\x9b1m\r你") == "a�]52;c�\tb\n�1m�你"


@pytest.mark.parametrize(("terminal", "shown"), [(True, "�[31mred\n"), (False, "\x1b[31mred\n")])
def test_an_answer_is_tamed_for_a_terminal_alone(
    run: Run, fake: list[str], vendor: Any, monkeypatch: pytest.MonkeyPatch, *, terminal: bool, shown: str
) -> None:
    """A pipe gets the answer byte for byte; on a terminal no escape sequence of a model is obeyed."""
    monkeypatch.setattr("llmswitch._cli.chat.is_terminal", lambda: terminal)
    vendor.pieces = ["\x1b[31mred"]
    assert run("chat", "hi", *fake).stdout == shown


def test_what_follows_a_broken_answer_begins_on_a_new_line(
    run: Run, fake: list[str], vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal the error does not run on from the answer, and stdout stays as it is."""
    monkeypatch.setattr("llmswitch._cli.chat.is_terminal", lambda: True)
    vendor.ends = "early"
    result = run("chat", "hi", *fake)
    assert result.stdout == "Hello, world"
    assert result.stderr.startswith("\nerror: StreamInterrupted")


def test_a_message_is_cut_to_its_limit() -> None:
    """A long message of several lines is one short one."""
    assert one_line("one\n  two three", 9) == "one two…"
    assert one_line("one\n two", 7) == "one two"
