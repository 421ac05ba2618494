"""The pictures of the docs are what their scripts draw; the failover is drawn from a trail that comes about now."""

from __future__ import annotations

import importlib
import re
from typing import get_args, get_type_hints
from xml.etree import ElementTree as ET

import pytest

from llmswitch._health import TargetHealth

from .blocks import ROOT

FOLDER = ROOT / "docs" / "pictures"


@pytest.fixture
def script(monkeypatch):
    """One of the scripts of docs/pictures, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def words(svg: str) -> list[str]:
    """What is written in a picture, but for the times at its axis."""
    texts = [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    return [text for text in texts if not re.fullmatch(r"\d+ ms", text)]


@pytest.mark.parametrize("name", ["call", "states"])
def test_a_picture_is_todays(script, name):
    """`python docs/pictures/draw.py` draws what is committed, from the modules' own words and numbers."""
    assert (FOLDER / f"{name}.svg").read_text("utf-8") == str(script(name).draw())


def test_every_state_is_drawn(script):
    """The states are those of `client.health()`, but for `disabled`, to which no way leads."""
    states = get_args(get_type_hints(TargetHealth)["state"])
    assert set(states) - {"disabled"} == set(script("states").STATES)


@pytest.mark.slow
def test_the_failover_is_drawn_from_a_trail(script):
    """The chain is run against its vendors, and fails over as the committed picture says."""
    failover = script("failover")
    reply = failover.run()
    kinds = [(each.target, each.kind, each.error) for each in reply.attempts]
    assert [
        ("silent:model", "first", "FirstTokenTimeout"),
        ("broken:model", "fallback", "ServerError"),
        ("broken:model", "retry", "ServerError"),
        ("empty:model", "fallback", "Arrears"),
        ("well:model", "fallback", None),
    ] == kinds
    assert words((FOLDER / "failover.svg").read_text("utf-8")) == words(str(failover.draw(reply)))


def test_a_picture_needs_nobody_else():
    """No script, no font, no picture and no style of another place is in them, and they say what they show."""
    for path in FOLDER.glob("*.svg"):
        text = path.read_text("utf-8")
        assert not re.search(r"<script|<image|@import|href=|url\((?!#)", text), path.name
        assert "<title>" in text
        assert "prefers-color-scheme: dark" in text
