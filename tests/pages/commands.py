"""The commands of the pages: each is one that there is, with arguments that it takes, and leads to what it names."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import click
import pytest

from llmswitch._client import Client
from llmswitch._config_file import Loaded
from llmswitch._setup import Setup
from tests import command_line

from .blocks import ROOT
from .vendors import KEY

__all__ = ["BadCommand", "check_commands"]

_ENDS = {"&&", "||", "|", ";", "&"}
# Harmless: the vendors are ours, and nothing is written.
_RUN = {"chat", "equivalents", "explain", "models", "providers"}
# Commands of others, whose arguments are not looked at.
_OTHERS = {
    ".",
    "cat",
    "cd",
    "cp",
    "docker",
    "git",
    "kubectl",
    "ls",
    "mkdir",
    "mypy",
    "ollama",
    "ruff",
    "source",
    "uvicorn",
}
_PROGRAMS = {"your_program.py", "after.py"}


class BadCommand(AssertionError):
    """A command of a page is not as it should be."""


def check_commands(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of a block, in the working folder. Raises `BadCommand`."""
    for line in text.replace("\\\n", " ").splitlines():
        for words in _commands(line):
            _check(words, monkeypatch)


def _commands(line: str) -> list[list[str]]:
    """The commands of one line, without what their output is led to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if word in _ENDS:
            found.append([])
        elif re.fullmatch(r"[<>]+&?", word):
            skip = True
        elif skip:
            skip = False
        else:
            found[-1].append(word)
    return [words for words in found if words]


def _check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as own:
        while words and re.match(r"[A-Za-z_]\w*=", words[0]):
            _set(own, words.pop(0))
        if not words:
            return
        if words[0] == "export":
            for each in words[1:]:
                _set(monkeypatch, each)
            return
        name, arguments = Path(words[0]).name or words[0], words[1:]
        if name in _OTHERS:
            return
        if name not in _KNOWN:
            known = ", ".join(sorted(_OTHERS | set(_KNOWN)))
            raise BadCommand(
                f"no check is known for the command {name!r}: add one to tests/pages/commands.py, or write "
                f"<!-- not run: REASON --> above the block. Known are {known}"
            )
        _KNOWN[name](arguments)


def _set(monkeypatch: pytest.MonkeyPatch, assignment: str) -> None:
    name, _, value = assignment.partition("=")
    if name == "LLMSWITCH_CONFIG":
        path = ROOT / value
        if not path.is_file():
            raise BadCommand(f"{name} names {value}, which is not there")
        value = str(path)
    monkeypatch.setenv(name, KEY if value in ("…", "...") else value)
    if name == "LLMSWITCH_MODEL":
        Client(value)
    if name == "LLMSWITCH_DRILL":
        Setup(Loaded.from_mapping({})).drill()


def _llmswitch(arguments: list[str]) -> None:
    command: click.Command = command_line.command()
    path, parent = ["llmswitch"], None
    rest = arguments
    try:
        while True:
            parent = command.make_context(path[-1], list(rest), parent=parent)
            if not hasattr(command, "resolve_command") or not (rest := [*parent._protected_args, *parent.args]):
                break
            name, found, rest = command.resolve_command(parent, rest)
            path, command = [*path, name], found
    except (click.ClickException, click.exceptions.Exit, Exception) as problem:
        if isinstance(problem, AssertionError):
            raise
        raise BadCommand(f"llmswitch {shlex.join(arguments)}: {getattr(problem, 'message', problem)}") from problem
    model = parent.params.get("model")
    if path[1:2] and path[1] in _RUN and not (model or "").startswith("local:"):  # whose engine is not here every day
        done = command_line.invoke(arguments)
        if done.exit_code != 0:
            raise BadCommand(f"llmswitch {shlex.join(arguments)} ends with {done.exit_code}: {done.output}")
    elif model:
        Client(model)


def _pip(arguments: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for each in arguments:
        match = re.fullmatch(r"(?:llmswitch|\.)\[(.*)\]", each)
        for extra in match[1].split(",") if match else ():
            if extra not in project["optional-dependencies"]:
                raise BadCommand(f"pip install {each}: there is no extra {extra!r} in pyproject.toml")
    for flag, name in pairwise(arguments):
        if flag == "-r" and not (ROOT / name).is_file():
            raise BadCommand(f"pip install -r {name}: there is no such file")


def _python(arguments: list[str]) -> None:
    if arguments[:1] == ["-m"]:
        try:
            found = importlib.util.find_spec(arguments[1])
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise BadCommand(f"python -m {arguments[1]}: there is no such module")
    elif arguments and not (ROOT / arguments[0]).is_file() and arguments[0] not in _PROGRAMS:
        raise BadCommand(f"python {arguments[0]}: no such file in the repository")


def _bash(arguments: list[str]) -> None:
    if not (ROOT / arguments[0]).is_file():
        raise BadCommand(f"bash {arguments[0]}: no such file in the repository")


def _pytest(arguments: list[str]) -> None:
    for each in arguments:
        if each.startswith("tests/") and not (ROOT / each.partition("::")[0]).exists():
            raise BadCommand(f"pytest {each}: there is no such file")


def _curl(arguments: list[str]) -> None:
    """Its path is a route of the gateway's."""
    routes = "".join(path.read_text("utf-8") for path in (ROOT / "llmswitch").glob("server/*.py"))
    routes += "".join(path.read_text("utf-8") for path in (ROOT / "llmswitch").glob("doors/*.py"))
    for each in arguments:
        match = re.match(r"(?:https?://)?(?:localhost|127\.0\.0\.1):\d+(/[\w/.-]*)", each)
        if match and f'"{match[1]}"' not in routes and f'"{match[1].removeprefix("/v1")}"' not in routes:
            raise BadCommand(f"curl {each}: the gateway has no route {match[1]}")


_KNOWN: Mapping[str, Callable[[list[str]], None]] = {
    "llmswitch": _llmswitch,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "pytest": _pytest,
    "bash": _bash,
    "curl": _curl,
}
