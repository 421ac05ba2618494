"""The vendor of docs/add-a-vendor.md, as a package of its own, passes the suite that the page names."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from .blocks import ROOT, blocks
from .test_blocks import write_file

PAGE = "docs/add-a-vendor.md"


@pytest.mark.slow
def test_the_vendor_of_the_page_passes_the_suite(tmp_path):
    """Its file and its entry point are all that pytest needs to prove it."""
    for block in blocks(PAGE):
        if block.file is not None:
            write_file(block, tmp_path)
    (project,) = (each for each in map(tomllib.loads, (b.text for b in blocks(PAGE, "toml"))) if "project" in each)
    installed = tmp_path / "acme_llmswitch-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-llmswitch\nVersion: 1\n", "utf-8")
    ((group, points),) = project["project"]["entry-points"].items()
    (installed / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{a} = {b}\n" for a, b in points.items()))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "test_acme.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
