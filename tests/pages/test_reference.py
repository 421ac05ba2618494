"""The reference has every public name on one page, and every command."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter

import llmswitch
from tests.command_line import command

from .blocks import ROOT

FOLDER = ROOT / "docs" / "reference"
PUBLIC = ["doors", "otel", "ray", "testing", "testing.fault_server"]


def test_every_public_name_is_on_one_page():
    """What can be imported is looked up in one place: `::: llmswitch.NAME` on a page of docs/reference."""
    there = Counter(
        re.findall(r"^::: (\S+)$", "".join(page.read_text("utf-8") for page in FOLDER.glob("*.md")), re.MULTILINE)
    )
    names = [f"llmswitch.{name}" for name in llmswitch.__all__]
    for module in PUBLIC:
        names += [f"llmswitch.{module}.{name}" for name in importlib.import_module(f"llmswitch.{module}").__all__]
    assert {} == {name: there[name] for name in names if there[name] != 1}, "each has to be on one page, once"
    assert set() == set(there) - set(names) - {"llmswitch._base_client.BaseClient"}


def test_every_public_module_is_known_here():
    """A module without an underscore is public, and so in the reference; the gateway's, and adapters, are none."""
    found = {module.name for module in pkgutil.iter_modules(llmswitch.__path__) if not module.name.startswith("_")}
    assert {name.partition(".")[0] for name in PUBLIC} == found - {"providers", "server"}


def test_every_command_is_listed():
    """docs/command-line.md has each command in its table."""
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    for name in command().commands:
        assert f"| `llmswitch {name}" in page, f"add a line for `llmswitch {name}` to docs/command-line.md"
