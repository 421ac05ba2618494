"""
The site of the documentation: `python .ci/site_pages.py` builds it into build/site; `--only-pages` stops before that.

docs/ is read on the code host too, so its links lead to the files beside it. Here they are laid next to the pages:
what docs/ links to outside of itself is copied into build/docs, and the links are turned to the copies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STAGE = ROOT / "build" / "docs"
# Pages that stand outside docs/, by their names on the site; anything else is handed over as a file.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")


def lay(stage: Path) -> None:
    """Lay all that the site is made of into that folder. Raises `ValueError` for a link that leads nowhere."""
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(DOCS, stage)
    for page in sorted(DOCS.rglob("*.md")):
        _write(stage, page, page.relative_to(DOCS).as_posix())
    for name, goal in PAGES.items():
        _write(stage, ROOT / name, goal)


def _write(stage: Path, page: Path, name: str) -> None:
    """One page under its name on the site, with its links turned."""

    def turned(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        if "://" in path or not path:
            return match[0]
        goal = (page.parent / path).resolve()
        if not goal.exists():
            raise ValueError(f"{page.relative_to(ROOT)}: the link {match[2]} leads nowhere")
        place = _place(stage, goal)
        return f"{match[1]}{os.path.relpath(place, Path(name).parent)}{mark}{anchor}{match[3]}".replace(os.sep, "/")

    parts = re.split(r"(^ *```.*?^ *```$)", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(turned, part) for part in parts[::2]]
    (stage / name).write_text("".join(parts), "utf-8")


def _place(stage: Path, goal: Path) -> str:
    """Where a file of the repository is on the site."""
    if goal.is_relative_to(DOCS):
        return goal.relative_to(DOCS).as_posix()
    name = goal.relative_to(ROOT).as_posix()
    if name in PAGES:
        return PAGES[name]
    copy = stage / "files" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(goal, copy)
    return f"files/{name}"


def main() -> None:
    lay(STAGE)
    if "--only-pages" not in sys.argv:
        if find_spec("zensical") is None:
            sys.exit("the site is built by Zensical: pip install -e '.[docs]'")
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", str(ROOT / "zensical.toml")]
        sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)  # noqa: S603 - our own


if __name__ == "__main__":
    main()
