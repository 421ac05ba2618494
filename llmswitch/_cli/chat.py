"""`llmswitch chat`: ask, stream the answer to stdout, and sum up on stderr who answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llmswitch._client import Client
from llmswitch._endpoint import Address
from llmswitch._events import ReasoningDelta, StreamReset, TextDelta
from llmswitch._reply import ChatReply

from ._options import ConfigOption, MaxTokensOption, ModelOption, SystemOption, TagsOption, TimeoutOption
from ._summary import as_json, print_summary
from ._terminal import failures, plain, stderr, warn

__all__ = ["chat", "is_terminal", "open_client", "read_question"]

_STARTING = "starting the local model"


def chat(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.")],
    model: ModelOption = None,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    timeout: TimeoutOption = None,
    tags: TagsOption = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer once it is whole.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON object once the answer is whole, and no summary.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Ask, stream the answer to stdout, and say on stderr who answered, after whom, and at what cost."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": read_question(question)})
    console = stderr()
    with failures(), open_client(model, config) as client:
        _announce_starts(client, console)
        if no_stream or json_:
            reply = client.chat(messages, max_tokens=max_tokens, timeout=timeout, tags=tags)
        else:
            reply = _streamed(client, messages, console, max_tokens=max_tokens, timeout=timeout, tags=tags)
        if json_:
            # Letters as they are, where the other end of stdout can take any.
            escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
            print(json.dumps(as_json(reply), ensure_ascii=escaped, indent=2))  # noqa: T201 - what was asked for
            return
        if no_stream:
            answer = _Answer(console)
            answer.think(reply.reasoning)
            answer.write(reply.text)
            answer.end()
        print_summary(console, reply, streamed=not no_stream)


def read_question(given: str) -> str:
    """The question, from stdin where it is `-`."""
    try:
        asked = sys.stdin.read() if given == "-" else given
        asked.encode()
    except UnicodeError:
        raise typer.BadParameter("the question is not valid text in this locale's encoding") from None
    if not asked.strip():
        raise typer.BadParameter("the question is empty")
    return asked


def open_client(model: str | None, config: Path | None) -> Client:
    """A client whose own chain is the one that was named: the configuration's default need not be in order as well."""
    return Client(model) if config is None else Client.from_file(config, model)


def _announce_starts(client: Client, console: Console) -> None:
    """Say so when the chain gets to a target whose server is started on this machine: that takes seconds."""
    targets = client._setup.chain(None).targets  # noqa: SLF001
    for endpoint in {target.endpoint for target in targets}:
        if endpoint.start is not None:
            endpoint.start = _announced(endpoint.start, console)


def _announced(start: Callable[[], Address], console: Console) -> Callable[[], Address]:
    said = False

    def announced() -> Address:
        nonlocal said
        if console.is_terminal:
            with console.status(_STARTING):
                return start()
        if not said:
            said = True
            console.print(_STARTING)
        return start()

    return announced


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


class _Answer:
    """The answer on its way to stdout, the model's thinking to stderr, each beginning on a line of its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._to_terminal = is_terminal()
        self._last = "\n"
        self._last_thought = "\n"

    def write(self, text: str) -> None:
        """More of the answer."""
        if text:
            self._end_thought()
            sys.stdout.write(plain(text) if self._to_terminal else text)
            sys.stdout.flush()
            self._last = text[-1]

    def think(self, text: str) -> None:
        """More of the thinking."""
        if text:
            self._console.out(plain(text), style="dim", end="", highlight=False)
            self._last_thought = text[-1]

    def end(self) -> None:
        """The answer is whole: end its last line."""
        self._end_thought()
        if self._last != "\n":
            self.write("\n")

    def leave(self) -> None:
        """The answer broke off: stdout stays as it is, but what a terminal shows next begins on a new line."""
        self._end_thought()
        if self._last != "\n" and self._to_terminal:
            self._console.print()

    def _end_thought(self) -> None:
        if self._last_thought != "\n":
            self._console.print()
            self._last_thought = "\n"


def _streamed(client: Client, messages: list[dict[str, str]], console: Console, **options: Any) -> ChatReply:
    answer = _Answer(console)
    try:
        with client.stream(messages, **options) as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    answer.write(event.text)
                elif isinstance(event, ReasoningDelta):
                    answer.think(event.text)
                elif isinstance(event, StreamReset):
                    answer.end()
                    warn(console, f"what came so far is void: {event.target} answers from the beginning")
    except BaseException:
        answer.leave()
        raise
    answer.end()
    return stream.reply
