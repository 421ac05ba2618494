"""`llmswitch cache clear`: what is kept is forgotten, and what can't be is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmswitch._disk_answers import DiskAnswers


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        ("", "nothing is kept"),
        ('[cache]\nkind = "memory"\n', "in the memory of each process alone"),
        ('[cache]\nkind = "disk"\npath = "{folder}"\n', "the cache is empty (disk)"),
    ],
)
def test_clear_says_what_it_did(run: Any, tmp_path: Path, cache: str, said: str) -> None:
    """No key and no chain is needed for it."""
    disk = DiskAnswers(tmp_path / "answers", 60, 10**6)
    disk.write([("a", b"1")])
    disk.close()
    file = tmp_path / "some.toml"
    file.write_text(cache.format(folder=(tmp_path / "answers").as_posix()))
    result = run("cache", "clear", "--config", str(file))
    assert (0, True) == (result.exit_code, said in result.stdout)
    assert [None if "disk" in said else b"1"] == disk.read(["a"])
    disk.close()


@pytest.mark.parametrize("how", [[], ["--no-stream"], ["--json"]], ids=lambda how: "".join(how) or "stream")
def test_an_answer_from_the_cache_is_said(run: Any, vendor: Any, config: Path, tmp_path: Path, how: list[str]) -> None:
    """The second time the vendor is not asked, and the summary says why there is no time to be told."""
    kept = f'[cache]\nkind = "disk"\npath = "{(tmp_path / "answers").as_posix()}"\n'
    config.write_text(config.read_text().replace("[chains.main]", "[chains.main]\ncache = true") + kept)
    first, second = (run("chat", "hi", "--config", str(config), *how) for _ in range(2))
    assert 1 == len(vendor.asked)
    assert (0, 0) == (first.exit_code, second.exit_code)
    if how == ["--json"]:
        assert json.loads(second.stdout)["from_cache"]
    else:
        assert first.stdout == second.stdout
        assert "answered by fake:two | tokens 11 in, 4 out | from the cache" in second.stderr
