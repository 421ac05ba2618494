"""`.ci/catalog_check.py` finds nothing wrong in the files, and finds what it is for."""

from __future__ import annotations

import importlib
import sys
from datetime import date
from pathlib import Path

import pytest

from llmswitch import _registry
from llmswitch._provider import ProviderSpec

TODAY = date(2026, 11, 27)


@pytest.fixture
def check(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / ".ci"))
    return importlib.import_module("catalog_check")


@pytest.fixture
def one(monkeypatch, check):
    """Only this provider is there."""

    def one(text: str) -> None:
        head = 'dialect = "openai"\nsite = "x"\nchecked = 2026-11-01\ndocs = "https://x.example"\n'
        site = '\n[sites.x]\nbase_url = "https://x.example"\n'
        monkeypatch.setattr(_registry, "_read", {"one": ProviderSpec.read(head + text + site, "one")})
        for module in (check, importlib.import_module("llmswitch._catalog")):
            monkeypatch.setattr(module, "provider_names", lambda: ["one"])

    return one


def price(**facts: str) -> str:
    """A price's table, on one line."""
    given = {"model": '"m"', "currency": '"USD"', "input": "1", "output": "1", "source": '"s"', "checked": "2026-11-01"}
    return f"prices = [{{ {', '.join(f'{name} = {value}' for name, value in {**given, **facts}.items())} }}]"


def test_the_files_have_the_right_shape(check):
    """No price lacks its source, or names a site or a currency that there is none of. Whatever the day."""
    assert [] == [line for line in check.wrong(date.max) if not line.endswith("no longer served")]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"source": '" "'}, "one: the price of m has no source"),
        ({"site": '"y"'}, "one: the price of m is for the site y, which there is none of"),
        ({"currency": '"XAU"'}, "one: the price of m is in XAU, which llmswitch/reference_rates.toml does not know"),
        ({"checked": "2026-11-28"}, "one: the price of m was checked on 2026-11-28, which is yet to come"),
    ],
)
def test_a_price_that_is_wrong_is_found(check, one, facts, said):
    """Each mistake is said with its provider and model."""
    one(price(**facts))
    assert [said] == list(check.wrong(TODAY))


def test_a_default_that_is_gone_is_found(check, one):
    """A provider whose default model is no longer served needs another."""
    one('default_model = "m"\nmodels = [{ id = "m", retires = 2026-11-27, source = "s", checked = 2026-11-01 }]')
    assert ["one: the default model m is no longer served"] == list(check.wrong(TODAY))


def test_old_facts_are_listed_the_oldest_first(check, one):
    """A fact is old on the day after its time, not before."""
    one(price(checked="2026-08-28"))
    assert [] == list(check.old(TODAY, 91))
    assert ["one: the price of m: checked on 2026-08-28, 91 days ago"] == list(check.old(TODAY, 90))
    assert next(check.old(TODAY, 0)).startswith("one: the price of m: ")


def test_what_is_missing_is_listed(check, one):
    """A model without window, price or tier is named; one that is gone needs none of them."""
    one('models = [{ id = "m" }, { id = "gone", retires = 2020-01-01 }]')
    assert ["one:m: context, max_output, tier, price"] == list(check.missing(TODAY))


def test_the_script_says_it_all(check, one, monkeypatch, capsys):
    """The three lists are printed, and the status tells whether there is something to do."""
    one(price(checked="2020-01-01"))
    monkeypatch.setattr(sys, "argv", ["catalog_check.py", "--older-than", "90"])
    assert 1 == check.main()
    printed = capsys.readouterr().out
    assert "wrong: 0\nolder than 90 days: " in printed
    assert "missing: 1\n  one:m: context, max_output, tier\n" in printed
    monkeypatch.setattr(sys, "argv", ["catalog_check.py", "--older-than", "1000000"])
    assert 0 == check.main()
