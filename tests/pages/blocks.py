"""The fenced blocks of the pages, and what stands in a comment above one that is not run here."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "blocks", "heavy"]

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)
_FENCE = re.compile(
    r"(?:^<!-- (?P<word>not run|run by): (?P<why>[^\n]+?) -->\n\s*)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_LIGHT = {*sys.stdlib_module_names, "httpx", "llmswitch", "opentelemetry", "pydantic", "pytest"}


@dataclass(frozen=True)
class Block:
    """A block, whose text begins in that line. `not_run`: why nobody runs it; `run_by`: the test that does instead."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None
    run_by: str | None = None

    @property
    def file(self) -> str | None:
        """The file that the block is, where its first line is a comment with nothing but its name."""
        named = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.text)
        return named[1] if named is not None else None

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page}:{self.line}"


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page, or those of them that are in one of the languages."""
    text = (ROOT / page).read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language = match["language"].strip()
        if languages and language not in languages:
            continue
        indent, word, why = len(match["indent"]), match["word"], match["why"]
        lines = [line[indent:] for line in match["text"].splitlines(keepends=True)]
        found.append(
            Block(
                page,
                text.count("\n", 0, match.start("text")) + 1,
                language,
                "".join(lines),
                not_run=why if word == "not run" else None,
                run_by=why if word == "run by" else None,
            )
        )
    return found


def heavy(block: Block) -> bool:
    """Whether a block of Python needs what is installed for the slow tests alone."""
    named = [
        name
        for node in ast.walk(ast.parse(block.text, block.place))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return any(name.partition(".")[0] not in _LIGHT for name in named)
