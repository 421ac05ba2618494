"""`llmswitch batch`: many requests from a file, each result written as it comes, and gone on with after any end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llmswitch._async_batch import AsyncBatch
from llmswitch._batch_file import BadLine, BatchFileError, BatchOutput, Line, read_lines
from llmswitch._bulk import BatchResult, read_request
from llmswitch._client import AsyncClient
from llmswitch._errors import ConfigError, InvalidRequest, LLMSwitchError
from llmswitch._reply import Attempt, ChatReply
from llmswitch.doors.chat_completions import ChatCompletionsDoor

from ._meter import Meter
from ._options import ConfigOption, ModelOption
from ._summary import as_json, attempts_as_json
from ._terminal import CONFIGURATION, INTERRUPTED, complain, failures, one_line, stderr

__all__ = ["batch"]

_GRACE = 5.0  # seconds that calls in flight have after Ctrl-C
_DOOR = ChatCompletionsDoor()
_LOOK = 1.0  # seconds between two looks at a batch of which nothing ends
_SHOWN = 20  # bad lines that are named, at the most


def batch(
    requests: Annotated[
        Path, typer.Argument(metavar="IN", exists=True, dir_okay=False, help="Requests, one JSON object a line.")
    ],
    results: Annotated[
        Path, typer.Argument(metavar="OUT", dir_okay=False, help="Where results go; one that exists is gone on with.")
    ],
    model: ModelOption = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls in flight, at most.")] = 16,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds that a request may wait while all its targets are throttled or out.")
    ] = 600.0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count lines that hold no request as failed, rather than ask nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what has failed in a run before.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds for a whole call, all targets together.")] = None,
    config: ConfigOption = None,
) -> None:
    """Ask every request of a file, and write each result down as it comes; run again, it asks what is left."""
    console = stderr()
    with failures(), _file_errors(console):
        client = _open(model, timeout, config)
        output = BatchOutput(results)
        for path in (output.path, output.failed_path):
            if path.exists() and path.samefile(requests):
                raise BatchFileError(f"{path} holds the requests; name another file for the results")
        survey = _survey(requests, client, model)
        if survey.bad and not skip_bad:
            _say_bad(console, requests, survey.bad)
            raise typer.Exit(CONFIGURATION)
        with output:
            known = frozenset(output.failed)
            for line in survey.bad:
                if line.id not in output.failed:
                    output.refused(line.id, line.number, _failure(InvalidRequest(line.message)))
            run = _Run(requests, output, client, survey, model, retry_failed=retry_failed)
            run.say(console)
            interrupted = bool(run.wanted) and asyncio.run(run.go(console, concurrency, patience))
            failed, old = len(output.failed), len((known & output.failed) - run.wanted)
    if failed:
        before = f" ({old:,} of them in runs before)" if old else ""
        again = "" if interrupted else "; --retry-failed asks again"
        console.print(f"{failed:,} failed{before}, see {output.failed_path}{again}")
    if interrupted:
        console.print("interrupted; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _file_errors(console: Console) -> Iterator[None]:
    try:
        yield
    except BatchFileError as problem:
        complain(console, str(problem))
        raise typer.Exit(CONFIGURATION) from None
    except OSError as problem:
        complain(console, f"the results can't be written: {problem.strerror}; the same command goes on")
        raise typer.Exit(1) from None


def _open(model: str | None, timeout: float | None, config: Path | None) -> AsyncClient:
    if config is None:
        return AsyncClient(model, timeout=timeout)
    return AsyncClient.from_file(config, model, timeout=timeout)


@dataclass(slots=True)
class _Survey:
    """What is known of the input before anything is asked: the ids of its requests, and its bad lines."""

    ids: set[str]
    bad: list[BadLine]


def _request(line: Line, model: str | None) -> Mapping[str, Any]:
    """What is asked. A vendor's own name of a model is looked up in the configuration, unless -m says who is asked."""
    return line.request if line.asked is None or model else {**line.request, "model": line.asked.model}


def _survey(path: Path, client: AsyncClient, model: str | None) -> _Survey:
    """Check every line as its call would. Raises `ConfigError` where it is not the line's fault."""
    survey = _Survey(set(), [])
    for line in read_lines(path, _DOOR):
        if isinstance(line, Line):
            _, messages, options = read_request(_request(line, model))
            try:
                client._call(messages, options, stream=False)  # noqa: SLF001 - what a call checks before it sends
            except LLMSwitchError as problem:
                if isinstance(problem, ConfigError) and options.get("model") is None:
                    raise
                survey.bad.append(BadLine(line.number, line.id, problem.message))
            else:
                survey.ids.add(line.id)
        else:
            survey.bad.append(line)
    return survey


def _say_bad(console: Console, path: Path, bad: list[BadLine]) -> None:
    for line in bad[:_SHOWN]:
        console.print(one_line(f"{path}:{line.number}: {line.message}"))
    if len(bad) > _SHOWN:
        console.print(f"and {len(bad) - _SHOWN:,} more")
    complain(console, f"{len(bad):,} lines hold no request, so nothing was asked; --skip-bad counts them as failed")


def _answer(line: Line, reply: ChatReply) -> dict[str, Any]:
    """An answer as it is written down: in the form in which it was asked for."""
    if line.asked is None:
        return as_json(reply)
    response = {"status_code": 200, "request_id": reply.id or line.id, "body": _DOOR.reply(line.asked, reply)}
    return {"custom_id": line.id, "response": response, "error": None}


def _failure(error: LLMSwitchError) -> dict[str, Any]:
    """An error as it is written down: no key and no prompt is in it."""
    said = {
        "type": type(error).__name__,
        "message": error.message,
        "target": error.target,
        "status": error.status,
        "code": error.code,
        "request_id": error.request_id,
        "possibly_billed": error.possibly_billed,
    }
    return {"error": said, "attempts": attempts_as_json(error.attempts)}


class _Run:
    """One run over the requests that have no result yet."""

    def __init__(
        self,
        path: Path,
        output: BatchOutput,
        client: AsyncClient,
        survey: _Survey,
        model: str | None,
        *,
        retry_failed: bool,
    ) -> None:
        self._path = path
        self._output = output
        self._client = client
        self._model = model
        settled = output.done if retry_failed else output.done | output.failed
        self.wanted = survey.ids - settled
        self._before = len(survey.ids) - len(self.wanted)
        self._lines: dict[str, Line] = {}  # of requests in flight
        self._interrupted = 0

    def say(self, console: Console) -> None:
        """How much there is to do, before it is done."""
        settled = f"{self._before:,} requests are settled already" if self._before else ""
        left = f"{len(self.wanted):,} to ask" if self.wanted else "nothing is left to ask"
        console.print(f"{settled}, {left}" if settled else left)

    async def go(self, console: Console, concurrency: int, patience: float) -> bool:
        """Ask them. Whether Ctrl-C ended it."""
        async with self._client:
            asked = self._client.batch(self._requests(), concurrency=concurrency, patience=patience)
            with Meter(console, len(self.wanted)) as meter:
                work = asyncio.ensure_future(self._write(asked, meter))
                watch = asyncio.ensure_future(_watch(asked, meter))
                self._heed(asked, work, console)
                try:
                    await work
                except asyncio.CancelledError:
                    if not self._interrupted:
                        raise
                finally:
                    work.cancel()
                    watch.cancel()
                    await asked.aclose()
        return bool(self._interrupted)

    def _requests(self) -> Iterator[Any]:
        for line in read_lines(self._path, _DOOR):
            if isinstance(line, Line) and line.id in self.wanted:
                self._lines[line.id] = line
                yield _request(line, self._model)

    async def _write(self, asked: AsyncBatch, meter: Meter) -> None:
        async for result in asked:
            meter.count(self._write_down(result), ok=result.ok)

    def _write_down(self, result: BatchResult) -> Sequence[Attempt]:
        """The attempts that led to it."""
        assert result.id is not None
        line = self._lines.pop(result.id)
        if result.reply is not None:
            self._output.answered(line.id, line.number, _answer(line, result.reply))
            return result.reply.attempts
        assert result.error is not None
        self._output.refused(line.id, line.number, _failure(result.error))
        return result.error.attempts

    def _heed(self, asked: AsyncBatch, work: asyncio.Task[None], console: Console) -> None:
        """Ctrl-C: begin nothing more, and give what is in flight a moment; once more: leave at once."""
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self._interrupted += 1
            if self._interrupted > 1:
                work.cancel()
                return
            asked.stop()
            loop.call_later(_GRACE, work.cancel)
            console.print(f"waiting up to {_GRACE:.0f} s for {asked.in_flight} calls; Ctrl-C again leaves at once")

        try:
            loop.add_signal_handler(signal.SIGINT, interrupt)
        except RuntimeError:
            pass  # where a loop knows no signals, asyncio.run cancels this, and the file is whole all the same


async def _watch(asked: AsyncBatch, meter: Meter) -> None:
    """Show how it stands while nothing ends."""
    while True:
        await asyncio.sleep(_LOOK)
        meter.wait(asked.wait)
