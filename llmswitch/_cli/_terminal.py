"""What is said on stderr: lines that are safe to print, warnings, errors, and the exit status that goes with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.text import Text

from llmswitch._errors import AllTargetsFailed, AllTargetsUnavailable, ConfigError, LLMSwitchError
from llmswitch._reply import Attempt

__all__ = ["attempt_line", "complain", "failures", "one_line", "plain", "stderr", "warn", "warnings_shown"]

CONFIGURATION = 2  # the status that typer gives to wrong arguments
INTERRUPTED = 130

# What a model or a vendor says is printed, never obeyed: no escape sequence of theirs reaches a terminal.
_CONTROLS = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}


def plain(text: str) -> str:
    """The text without control characters, except for tabs and line ends."""
    return text.translate(_CONTROLS)


def one_line(text: str, limit: int | None = None) -> str:
    """The text on one line, cut to `limit` characters."""
    line = plain(" ".join(text.split()))
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def stderr() -> Console:
    """The console for everything that is not the answer: no markup, no wrapping."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def warn(console: Console, message: str) -> None:
    """A doubt, on one line."""
    console.print(Text.assemble(("warning: ", "yellow"), one_line(message)))


def complain(console: Console, message: str) -> None:
    """What went wrong, on one line."""
    console.print(Text.assemble(("error: ", "bold red"), one_line(message)))


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Warnings of the library as one line each, without the place in the code."""
    console = stderr()

    def show(message: Warning | str, *_place: object, **_source: object) -> None:
        warn(console, str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


@contextmanager
def failures() -> Iterator[None]:
    """Say on stderr what went wrong and exit: 2 for the configuration, 1 for the call, 130 for Ctrl-C."""
    try:
        yield
    except LLMSwitchError as error:
        _report(stderr(), error)
        raise typer.Exit(CONFIGURATION if isinstance(error, ConfigError) else 1) from None
    except KeyboardInterrupt:
        stderr().print("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def _report(console: Console, error: LLMSwitchError) -> None:
    if isinstance(error, AllTargetsUnavailable):
        said = "none of the targets could be asked"
    elif isinstance(error, AllTargetsFailed):
        said = "no target answered"
    else:
        said = str(error)
    complain(console, f"{type(error).__name__}: {said}")
    if len(error.attempts) > 1:
        for attempt in error.attempts:
            console.print(attempt_line(attempt))


def attempt_line(attempt: Attempt, limit: int | None = None) -> Text:
    """One attempt that gave no answer: the target, the class of the error, and why, cut to `limit` characters."""
    kind = "skipped" if attempt.skipped_because else "tried again" if attempt.kind == "retry" else "tried"
    status = f" {attempt.status}" if attempt.status else ""
    why = one_line(attempt.message or "", limit)
    return Text.assemble(f"  {kind} ", (attempt.target, "bold"), f": {attempt.error}{status}: {why}")
