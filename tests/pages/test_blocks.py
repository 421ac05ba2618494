"""Every fenced block of the README and of docs/ holds: programs run, configurations load, commands are taken."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmswitch import _registry
from llmswitch._config_file import Loaded
from llmswitch._errors import LLMSwitchError
from llmswitch._provider import ProviderSpec
from llmswitch._setup import Setup
from llmswitch.testing import instant_waits
from tests.everyday import mostly_slow
from tests.rows import rows

from .blocks import PAGES, ROOT, Block, blocks, heavy
from .commands import BadCommand, check_commands
from .vendors import CONFIGURATION, answer_everybody, give_keys

# What a page's programs find in their folder, and what they have to print.
FILES: Mapping[str, Mapping[str, str]] = {
    "docs/batch.md": {"questions.txt": "What is the capital of France?\nAnd of Peru?\n", "questions.jsonl": ""}
}
SAYS: Mapping[str, tuple[str, ...]] = {
    "README.md": ("The capital of France is Paris. from openai after []", "look_up {'customer': 'Meier'}\n1000 100 "),
    "docs/add-a-vendor.md": ("The capital of France is Paris.\nArrears\nHello.\n",),
    "docs/data-in-a-country.md": ("openai\nanthropic:claude-haiku-4-5 jurisdiction us\n", "nobody"),
    "docs/free-tokens.md": ("dashscope dash", " of 20000000 tokens\n"),
    "docs/offline.md": ("ollama\n['openai:gpt-5.4-mini']\n",),
    "docs/rehearse.md": ("['Arrears', 'ConnectFailed']\n",),
    "docs/errors.md": ("Arrears never always ('account',) 20.0",),
}
LANGUAGES = {"python", "toml", "sh", "console", "json", "yaml", "text", "js"}
OF_PROVIDERS = {page for page in PAGES if page.startswith("docs/providers/")}
ENGLISH = [page for page in PAGES if not page.endswith(".zh.md")]


def _wrong(block: Block, problem: BaseException | str) -> None:
    pytest.fail(f"the {block.language} block at {block.place}: {problem}", pytrace=False)


def _prepare(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder as the page has told its reader to make it so far: the files and the configuration above."""
    for name, text in FILES.get(block.page, {}).items():
        Path(name).write_text(text, "utf-8")
    if not Path("examples").exists():
        Path("examples").symlink_to(ROOT / "examples")
    configuration = ""
    for each in blocks(block.page):
        if each.line > block.line or each.not_run is not None:
            continue
        given = tomllib.loads(each.text) if each.language == "toml" else {}
        if each.file is not None:
            write_file(each, Path())
        elif "project" in given:
            _install(given["project"].get("entry-points", {}), monkeypatch)
        elif given and not {"tool", "store"} & set(given):
            configuration = each.text
    chains = "chains" in tomllib.loads(configuration)
    Path("llmswitch.toml").write_text(configuration if chains else CONFIGURATION + configuration, "utf-8")


def write_file(block: Block, folder: Path) -> None:
    """A block that is a file, in that folder; what is beneath a folder of its own is a package."""
    path = folder / (block.file or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent != folder:
        (path.parent / "__init__.py").touch()
    path.write_text(block.text, "utf-8")


def _install(entry_points: Mapping[str, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The providers of the page's own package are found, as if it were installed, and have a key."""
    named = entry_points.get("llmswitch.providers", {})
    if all((Path(package) / f"{name}.toml").is_file() for name, package in named.items()):
        monkeypatch.setattr(_registry, "_outside", lambda: dict(named))
        give_keys(monkeypatch)


def _programs() -> list[Any]:
    """The pages with programs; those that need a package of the slow tests are slow."""
    found = []
    for page in ENGLISH:
        programs = [block for block in blocks(page, "python") if block.not_run is None and block.run_by is None]
        if programs:
            marks = [pytest.mark.slow] if any(map(heavy, programs)) else []
            found.append(pytest.param(page, marks=marks))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, all keys, and all vendors in this process; what is imported from the folder goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_registry, "_read", dict(_registry._read))
    give_keys(monkeypatch)
    answer_everybody(monkeypatch)
    with instant_waits():
        yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", _programs())
def test_the_programs_of_a_page_run(page, folder, monkeypatch, capsys):
    """The blocks of Python run one after another as one program, as a reader would go through the page."""
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.not_run is None and block.run_by is None:
            _prepare(block, monkeypatch)
            if block.file is None:
                _run(block, names)
    printed = capsys.readouterr().out
    for said in SAYS.get(page, ()):
        assert said in printed


def _run(block: Block, names: dict[str, object]) -> None:
    source = "\n" * (block.line - 1) + block.text
    try:
        code = compile(source, str(ROOT / block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        waits = eval(code, names)
        if waits is not None:
            asyncio.run(waits)
    except Exception as problem:
        shown = "".join(traceback.format_exception_only(problem)).strip()
        frames = [
            frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename.endswith(block.page)
        ]
        at = f" (line {frames[-1]})" if frames else ""
        _wrong(
            block,
            f"does not run{at}: {shown}\nA page's blocks run in order, with vendors of tests/pages/vendors.py. "
            "Mend it, give it files in tests/pages/test_blocks.py, or write <!-- not run: REASON --> above it.",
        )


@rows("page", [page for page in PAGES if blocks(page, "toml") and page not in OF_PROVIDERS])
def test_the_configurations_of_a_page_are_taken(page):
    """
    Each block of TOML is a whole configuration as it stands there, or the file of a provider; of a pyproject.toml, what
    is ours in it. (For the providers' pages tests/test_provider_pages.py looks at more than that.)
    """
    for block in blocks(page, "toml"):
        if block.not_run is not None:
            continue
        try:
            given = tomllib.loads(block.text)
            if block.file is not None and "sites" in given:
                ProviderSpec.read(block.text, Path(block.file).stem)
            elif not {"project", "tool"} & set(given):
                Setup(Loaded.from_mapping(given))
            elif "llmswitch" in given.get("tool", {}):
                Setup(Loaded.from_mapping(given["tool"]["llmswitch"]))
        except (tomllib.TOMLDecodeError, LLMSwitchError) as problem:
            _wrong(block, problem)


@pytest.mark.parametrize(
    "page",
    mostly_slow(
        [page for page in ENGLISH if blocks(page, "sh", "console")],
        {*ENGLISH} - OF_PROVIDERS | {"docs/providers/databricks.md", "docs/providers/zhipu.md"},
    ),
)
def test_the_commands_of_a_page_are_taken(page, folder, monkeypatch):
    """Each command of a shell block is one that there is; ours are parsed as the command line does, and asked."""
    for block in blocks(page, "sh", "console"):
        text = block.text
        if block.language == "console":
            text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
        if block.not_run is None and block.run_by is None:
            _prepare(block, monkeypatch)
            try:
                check_commands(text, monkeypatch)
            except (AssertionError, LLMSwitchError, ValueError) as problem:
                _wrong(block, problem)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "json")])
def test_the_json_of_a_page_is_json(page):
    """Each block of JSON is a value, or several of them one after another."""
    for block in blocks(page, "json"):
        rest = block.text.strip()
        try:
            while rest:
                _, end = json.JSONDecoder().raw_decode(rest)
                rest = rest[end:].lstrip()
        except ValueError as problem:
            _wrong(block, problem)


@pytest.mark.slow
def test_the_yaml_of_the_pages_is_yaml():
    """Each block and each file of YAML can be read."""
    yaml = pytest.importorskip("yaml")
    for path in (ROOT / "docs").rglob("*.yaml"):
        assert list(yaml.safe_load_all(path.read_text("utf-8"))), path.name
    for page in PAGES:
        for block in blocks(page, "yaml"):
            try:
                list(yaml.safe_load_all(block.text))
            except yaml.YAMLError as problem:
                _wrong(block, problem)


def test_every_block_says_what_it_is():
    """A block is in a language that is checked here, or is `text`."""
    for page in PAGES:
        for block in blocks(page):
            if block.language not in LANGUAGES:
                _wrong(block, f"{block.language!r} is none of {', '.join(sorted(LANGUAGES))}")


def test_few_blocks_are_not_run():
    """What nobody runs says why, and there is little of it; what another test runs names that test."""
    found = [block for page in ENGLISH for block in blocks(page)]
    unrun = [block.place for block in found if block.not_run is not None]
    assert len(unrun) <= 4, f"too many blocks that nobody runs: {unrun}"
    for block in found:
        if block.run_by is not None and not (ROOT / block.run_by).is_file():
            _wrong(block, f"there is no test {block.run_by}")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("llmswitch chatt hello", "chatt"),
        ("llmswitch chat hello --modle zhipu:glm-4.6", "--modle"),
        ("llmswitch chat hello -m zhipi:glm-4.6 | cat", "zhipi"),
        ("FOO=1 llmswitch batch a.jsonl b.jsonl", "a.jsonl"),
        ("pip install 'llmswitch[lokal]'", "lokal"),
        ("cd docs && python -m nothing.like_it", "nothing.like_it"),
        ("python nowhere.py", "nowhere.py"),
        ("curl -X PUT localhost:8081/dril", "/dril"),
        ("frobnicate now  # a comment", "frobnicate"),
        ("LLMSWITCH_CONFIG=examples/no.toml llmswitch models", "examples/no.toml"),
    ],
)
def test_a_command_that_is_wrong_is_found(command, said, folder, monkeypatch):
    """What can't be run is said with the word that is wrong."""
    with pytest.raises(BadCommand, match=said):
        check_commands(command, monkeypatch)


def test_a_program_that_fails_is_found(folder):
    """The line of the page at which a block fails is named."""
    block = Block("docs/tutorial.md", 7, "python", "good = 1\nbad = nothing\n")
    with pytest.raises(pytest.fail.Exception, match=r"docs/tutorial.md:7: does not run \(line 8\): NameError"):
        _run(block, {})
