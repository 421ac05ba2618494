"""The table of docs/errors.md, from the rules in the code: `python .ci/errors_table.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from llmswitch import _errors
from llmswitch._explain_error import in_words
from llmswitch._policy import RULES

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
BEGIN, END = "<!-- from the rules in the code: .ci/errors_table.py -->\n", "<!-- end -->\n"
TITLES = ("class", "what happened", "the same target again", "the next target", "passed over", "breaker")
HEAD = f"| {' | '.join(TITLES)} |\n{'|---' * len(TITLES)}|\n"


def table() -> str:
    """One line for each class: what happened, and what comes after it."""
    tree = re.findall(r"[├└]── (\w+) +(.+)$", _errors.__doc__ or "", re.MULTILINE)
    return HEAD + "".join(
        f"| `{name}` | {said} | {' | '.join(in_words(RULES[getattr(_errors, name)]))} |\n" for name, said in tree
    )


def page() -> str:
    """The page with the table as it should be."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
