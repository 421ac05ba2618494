"""The site: every page is in its navigation, every link leads somewhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rows import rows

from .blocks import PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def _listed(nav: list[Any]) -> Iterator[str]:
    """The pages of a navigation, patterns undone."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, list):
                yield from _listed(value)
            elif "*" in value:
                yield from (path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob(value))
            else:
                yield value


@pytest.fixture
def site(monkeypatch):
    """The script that makes the site."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return importlib.import_module("site_pages")


def test_every_page_is_in_the_navigation_once(site):
    """A page of docs/ that nobody finds by looking is no page: zensical.toml lists each of them in one line."""
    listed = list(_listed(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]))
    there = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    assert set() == there - set(listed), "add a line for it to `nav` in zensical.toml"
    assert set() == set(listed) - there - set(site.PAGES.values()), "`nav` in zensical.toml names what is not there"
    assert len(set(listed)) == len(listed)


def _anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page have, on the code host and on the site."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@rows("page", [page for page in PAGES if not page.startswith("docs/providers/")])
def test_the_links_of_a_page_lead_somewhere(page):
    """Each file that is linked to is there, and each heading."""
    path = ROOT / page
    for link in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        goal = path.parent / name if name else path
        assert goal.exists(), f"{page}: {link}"
        if anchor and goal.suffix == ".md":
            assert anchor in _anchors(goal), f"{page}: {link}"


def test_what_lies_outside_of_docs_comes_along(site, tmp_path):
    """Links to files beside docs/ lead to copies of them, from whichever folder they are made."""
    site.lay(tmp_path / "docs")
    index = (tmp_path / "docs" / "index.md").read_text("utf-8")
    assert "](contributing.md)" in index
    walk = (tmp_path / "docs" / "leaving-openai.md").read_text("utf-8")
    assert "](files/examples/leaving_openai/after.py)" in walk
    assert (tmp_path / "docs" / "files" / "examples" / "leaving_openai" / "after.py").is_file()
    assert "](../errors.md)" in (tmp_path / "docs" / "providers" / "zhipu.md").read_text("utf-8")


def test_a_link_that_leads_nowhere_is_said(site, tmp_path, monkeypatch):
    """The page and the link are named."""
    (tmp_path / "one.md").write_text("[a](b.md)\n", "utf-8")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", tmp_path)
    monkeypatch.setattr(site, "PAGES", {})
    with pytest.raises(ValueError, match=r"one\.md: the link b\.md leads nowhere"):
        site.lay(tmp_path.parent / "stage")


@pytest.mark.slow
def test_the_site_is_built_and_fetches_nothing():
    """The site is built without a warning, has the docstrings in it, and loads nothing from another host."""
    pytest.importorskip("zensical")
    command = [sys.executable, ".ci/site_pages.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    built = ROOT / "build" / "site"
    assert "The whole answer." in (built / "reference" / "clients" / "index.html").read_text("utf-8")
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]* src=\"?https?:|<link[^>]*href=\"?https?:|@import|url\(\"?https?:"
    )
    for page in [*built.rglob("*.html"), *built.rglob("*.css")]:
        assert [] == loads.findall(page.read_text("utf-8")), page
