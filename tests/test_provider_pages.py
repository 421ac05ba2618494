"""The pages of docs/providers are what the providers' files say, and what they tell the reader to write is valid."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from llmswitch._adapter import ModelIdentity
from llmswitch._config import ProviderConfig
from llmswitch._config_file import Loaded
from llmswitch._registry import provider, provider_names
from llmswitch._setup import Setup
from llmswitch._speaking import make_adapter
from tests.rows import rows

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "providers"
NAMES = provider_names()


@pytest.fixture
def script(monkeypatch):
    """One of the scripts in .ci, as a module."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    return importlib.import_module


@rows("name", NAMES)
def test_a_page_says_what_the_file_does(script, name):
    """docs/providers/NAME.md is made from the provider's file; `python .ci/provider_pages.py` writes it anew."""
    assert script("provider_pages").page(provider(name)) == (FOLDER / f"{name}.md").read_text("utf-8")


def test_the_matrix_and_the_outputs_are_todays(script):
    """The index, and the pages that show what a command prints, are what the same script makes."""
    for path, text in script("provider_pages").pages().items():
        assert text == path.read_text("utf-8"), path.name


def test_there_is_a_page_for_each_provider_and_no_other():
    """A provider that goes takes its page along."""
    assert {*NAMES, "index"} == {path.stem for path in FOLDER.glob("*.md")}


@rows("name", NAMES)
def test_what_a_page_tells_to_write_is_valid(name, monkeypatch):
    """Each block of configuration is taken as it stands there, and so are the settings in it."""
    for block in re.findall(
        r"^```toml\n(.*?)^```$", (FOLDER / f"{name}.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        loaded = Loaded.from_mapping(tomllib.loads(block))
        Setup(loaded)
        own = loaded.config.providers.get(name, ProviderConfig())
        make_adapter(provider(name), own, ModelIdentity(name, "", "any"), "the page")


@rows("name", NAMES)
def test_a_page_names_all_that_matters(name):
    """Sites with their places, every priced model, every code, and every fact that is not certain are on the page."""
    spec, page = provider(name), (FOLDER / f"{name}.md").read_text("utf-8")
    if spec.retired:
        assert spec.retired in page
        return
    for site in spec.sites.values():
        assert f"| {site.jurisdiction} | `{site.base_url}` |" in page
    for price in spec.prices:
        assert f"`{price.model}`" in page
    for rule in spec.errors:
        assert all(f"`{code}`" in page for code in rule.code)
    assert len(spec.unsure) == page.count("\n- ") - len(spec.closed)


def test_every_fact_that_is_not_certain_has_a_way(script):
    """A fact is answered by a setting that there is, by where to look, or by the word that nothing can be set."""
    facts = script("unsure_facts")
    for name in NAMES:
        spec = provider(name)
        adapter = make_adapter(spec, ProviderConfig(), ModelIdentity(name, "", spec.default_model or "m"), name)
        for fact in spec.unsure:
            for way in facts.ways(fact, adapter):
                table, _, field = way.partition(".")
                if " " in way or table in ("jurisdiction", "base_url", "api_key", "rate_headers"):
                    continue
                assert hasattr(adapter.capabilities if table == "capabilities" else adapter.options, field), way


def test_a_fact_that_names_its_setting_is_given_that_one(script):
    """The words of a fact lead to the settings that bear on it, and no others."""
    ways = script("unsure_facts").ways
    adapter = make_adapter(provider("openai"), ProviderConfig(), ModelIdentity("openai", "", "gpt-4.1"), "openai")
    assert ["capabilities.tool_choice"] == ways("whether tool_choice can name a function", adapter)
    assert ["jurisdiction"] == ways("where the overseas host keeps data", adapter)
    assert ["nothing can be set for it"] == ways("the size of the trial token pack", adapter)
    assert ["capabilities.settings"] == ways("seed", adapter)
    assert ["options.reasoning"] == ways("whether every seed model takes reasoning_effort", adapter)
    (said,) = ways("the code for an account in arrears", adapter)
    assert "explain_error" in said


def test_every_option_is_explained(script):
    """What a departure means is taken from the docstring of the dialect's options, which names every one of them."""
    pages = script("provider_pages")
    for name in ("openai", "openai-responses", "anthropic"):
        from llmswitch._registry import dialect

        options = set(dialect(name).Options.model_fields) - {"path"}
        assert options == options & set(pages._meanings(name))
