"""The catalog of models, and the nearest one elsewhere: what is listed, what would be lost, and in which order."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal
from typing import get_args

import pytest

from llmswitch import ConfigError, Equivalent, Loss, _registry, equivalents
from llmswitch._adapter import ModelIdentity
from llmswitch._capabilities import Capabilities
from llmswitch._catalog import catalog, find_model, models_of
from llmswitch._catalog_words import abilities_in_words, places_in_words, price_in_words, tokens_in_words
from llmswitch._config import ProviderConfig
from llmswitch._losses import losses
from llmswitch._prices import Price
from llmswitch._provider import ProviderSpec
from llmswitch._reference_rates import reference_rates
from llmswitch._speaking import make_adapter
from tests.rows import rows

SITES = """
[sites.x]
base_url = "https://x.example"
jurisdiction = "us"
[sites.y]
base_url = "https://y.example"
jurisdiction = "cn"
"""
PRICED = {"currency": "USD", "source": "a test", "checked": date(2026, 11, 1)}


@pytest.fixture
def vendors(monkeypatch):
    """Only these providers are there: their files' texts by name."""

    def vendors(**texts: str) -> None:
        specs = {
            name: ProviderSpec.read(f'dialect = "openai"\nsite = "x"\n{text}\n{SITES}', name)
            for name, text in texts.items()
        }
        monkeypatch.setattr(_registry, "_read", specs)
        for module in ("_catalog", "_equivalents"):
            monkeypatch.setattr(f"llmswitch.{module}.provider_names", lambda: sorted(specs))

    return vendors


def model(name: str, tier: str = "standard", **capabilities: object) -> str:
    """A model of a provider's file."""
    able = ", ".join(f"{key} = {str(value).lower()}" for key, value in capabilities.items())
    return f'{{ id = "{name}", tier = "{tier}", capabilities = {{ {able} }} }}'


# The catalog


def test_every_model_that_a_file_names_is_listed():
    """The default, the models with a table of their own and those with a price are there, once each."""
    for name in _registry.provider_names():
        spec = _registry.provider(name)
        named = {price.model for price in spec.prices} | {entry.id for entry in spec.models} | {spec.default_model}
        expected = sorted(named - {None}) if not spec.retired else []
        assert expected == [found.id for found in models_of(name)]


def test_a_model_is_what_a_target_would_be():
    """Capabilities are merged as for a call, without a key."""
    for found in catalog():
        spec = _registry.provider(found.provider)
        adapter = make_adapter(spec, ProviderConfig(), ModelIdentity(found.provider, "", found.id), "a test")
        assert adapter.capabilities == found.capabilities


def test_the_oldest_date_is_the_one_that_is_shown(vendors):
    """A model is as fresh as the oldest of its facts; without any of its own, as its provider's file."""
    vendors(
        one='checked = 2026-11-20\ndefault_model = "b"\n'
        'models = [{ id = "a", source = "docs", checked = 2026-10-01 }]\n'
        'prices = [{ model = "a", currency = "USD", input = 1, output = 1, source = "list", checked = 2026-11-01 }]'
    )
    found = {each.id: (each.checked, each.source) for each in catalog()}
    assert {"a": (date(2026, 10, 1), "docs; list"), "b": (date(2026, 11, 20), "")} == found


def test_a_model_that_is_not_listed_has_what_its_family_has():
    """A name that the file does not hold is looked up in its families."""
    found = find_model("openai:o3-2025-04-16")
    assert (False, "flagship", date(2026, 12, 11)) == (found.listed, found.tier, found.retires)
    assert "temperature" not in found.capabilities.settings


def test_the_last_word_on_a_tier_counts(vendors):
    """A model's own table stands over its families, and a later family over an earlier one."""
    vendors(
        one='models = [{ id = "m-own", tier = "standard" }, { id = "m" }, { id = "m-mini" }]\n'
        'families = [{ match = ["m*"], tier = "flagship", retires = 2030-01-01 }, '
        '{ match = ["*-mini"], tier = "small" }]'
    )
    assert {"m": "flagship", "m-mini": "small", "m-own": "standard"} == {each.id: each.tier for each in catalog()}
    assert {date(2030, 1, 1)} == {each.retires for each in catalog()}


@rows(
    ("target", "said"),
    [
        ("opnai:gpt-5", "no provider is named 'opnai' (did you mean 'openai'?)"),
        ("gpt-4o", "did you mean 'openai:gpt-4o'?"),
        ("streamlake", "names no model: write streamlake:MODEL"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_the_way(target, said):
    """A target without its provider, or with a wrong one, is told the nearest right one."""
    with pytest.raises(ConfigError) as caught:
        equivalents(target)
    assert said in str(caught.value)


# What would be lost

LEAST = Capabilities(
    context=1_000,
    max_output=100,
    tools_with_schema=False,
    max_stop=1,
    max_stop_length=1,
    max_stop_bytes=1,
    temperature_max=1.0,
)
MOST = Capabilities.model_validate(
    {
        **{name: True for name, field in Capabilities.model_fields.items() if field.annotation is bool},
        "context": 2_000,
        "max_output": 200,
        "tool_choice": ["auto", "none", "required", "named"],
        "schema_root": "any",
        "reasoning": ["off", "low", "medium", "high", "budget"],
        "settings": ["max_tokens", "temperature", "top_p", "stop", "seed"],
        "thinks_unasked": False,
    }
)
WORSE = {
    "thinks_unasked": True,
    "thinking_excludes": frozenset({"forced_tool"}),
    "thinking_ignores": frozenset({"temperature"}),
}


# Vectors are made by models that hold no conversation, and to count is not to answer: neither is more or less.
ASIDE = ("embeddings", "embedding_settings", "token_counting")


@rows("field", [name for name in Capabilities.model_fields if name not in ASIDE])
def test_every_capability_can_be_missed(field):
    """Two records that differ in one field alone differ by one loss or more, which says so; the other way by none."""
    less = MOST.model_copy(update={field: WORSE.get(field, getattr(LEAST, field))})
    said = losses(MOST, less)
    if field == "settings":
        assert ["stop", "temperature", "seed", "top_p"] == [loss.field for loss in said]
    else:
        assert {field} == {loss.field for loss in said}
    assert [] == losses(less, MOST)
    assert [] == losses(less, less)


def test_what_is_lost_is_said_with_both_numbers():
    """A smaller window says what it was, and counts once for each halving."""
    (loss,) = losses(Capabilities(context=400_000), Capabilities(context=100_000))
    assert Loss("context", "context of 100,000 in place of 400,000 tokens", 2.0) == loss


def test_thinking_that_cant_be_stopped_is_a_loss():
    """A model that always thinks loses more than one that can be told not to; one that never does loses no `off`."""
    plain = Capabilities()
    always, by_default = Capabilities(thinks_unasked=True), Capabilities(thinks_unasked=True, reasoning={"off"})
    assert 1.0 == losses(plain, always)[0].weight > losses(plain, by_default)[0].weight
    assert [] == losses(by_default, plain)


@rows("what", get_args(get_args(Capabilities.model_fields["thinking_excludes"].annotation)[0]))
def test_everything_that_thinking_can_exclude_is_known(what):
    """Whatever can't be had beside thinking is missed by who had both."""
    (loss,) = losses(MOST, MOST.model_copy(update={"thinking_excludes": frozenset({what})}))
    assert "thinking_excludes" == loss.field


def test_what_a_model_can_only_do_without_thinking_is_lost_to_one_that_thought():
    """A forced call that ends the thinking is missed by who had both, and not by who had no thinking."""
    able = {"tools": True, "tool_choice": {"auto", "required"}}
    given = Capabilities(**able, reasoning={"off", "high"}, thinking_excludes={"forced_tool"})
    assert [] == losses(Capabilities(**able), given)
    (loss,) = losses(Capabilities(**able, reasoning={"high"}), given)
    assert "can't be made to call a tool while it thinks" == str(loss)


# The nearest


def test_the_fewest_losses_are_the_nearest(vendors):
    """Of a vendor's models the one that loses least is named; of vendors the one whose model does."""
    vendors(
        mine=f"models = [{model('m', images=True, json_schema=True)}]",
        blind=f"models = [{model('a', images=False, json_schema=False)}, {model('b', images=False, json_schema=True)}]",
        seeing=f"models = [{model('c', images=True, json_schema=True)}]",
    )
    first, second = equivalents("mine:m")
    assert ("seeing:c", ()) == (first.target, first.lost)
    assert ("blind:b", "takes no images") == (second.target, str(second.lost[0]))


@pytest.mark.parametrize("tier", ["flagship", "standard", "small"])
def test_the_tier_decides_among_likes(vendors, tier):
    """A flagship stands for a flagship, a small model for a small one; a lesser one is said to be one."""
    own = ", ".join(model(each, each) for each in ("flagship", "standard", "small"))
    vendors(mine=f"models = [{own}]", other=f"models = [{own}]", tiny=f"models = [{model('s', 'small')}]")
    first, second = equivalents(f"mine:{tier}")
    assert f"other:{tier}" == first.target
    assert (tier != "small") == any(loss.field == "tier" for loss in second.lost)


def test_the_price_decides_among_likes(vendors):
    """Of equal models the one whose price is nearer is named; currencies are compared by the reference rates."""
    price = (
        'prices = [{{ model = "{}", currency = "{}", input = {}, output = {}, source = "s", checked = 2026-11-01 }}]'
    )
    vendors(
        mine=f"models = [{model('m')}]\n" + price.format("m", "USD", 1, 4),
        dear=f"models = [{model('d')}]\n" + price.format("d", "USD", 3, 12),
        yuan=f"models = [{model('y')}]\n" + price.format("y", "CNY", 7, 28),
        dust=f"models = [{model('z')}]\n" + price.format("z", "XAU", 7, 28),
    )
    assert ["yuan:y", "dust:z", "dear:d"] == [found.target for found in equivalents("mine:m")]
    assert "CNY" == equivalents("mine:m")[0].prices[0].currency


def test_a_model_that_is_gone_is_not_offered(vendors):
    """Retired models are left out from their day on; one that will be says when, and a retired one can be left."""
    vendors(
        mine='models = [{ id = "m", retires = 2020-01-01 }]',
        gone='models = [{ id = "a", retires = 2020-01-01 }]',
        going='models = [{ id = "b", retires = 2999-01-01 }]',
    )
    (found,) = equivalents("mine:m")
    assert ("going:b", date(2999, 1, 1)) == (found.target, found.retires)


def test_only_sites_in_allowed_places_count(vendors):
    """Sites and prices elsewhere are left out, and a provider with none of them altogether."""
    rates = 'currency = "USD", input = 1, output = 1, source = "s", checked = 2026-11-01'
    prices = ", ".join(f'{{ model = "a", site = "{site}", {rates} }}' for site in "xy")
    vendors(mine=f"models = [{model('m')}]", other=f"prices = [{prices}]")
    (found,) = equivalents("mine:m", jurisdictions=["CN"])
    assert ({"y": "cn"}, ["y"]) == (found.sites, [price.site for price in found.prices])
    assert [{"x": "us", "y": "cn"}] == [each.sites for each in equivalents("mine:m")]
    assert [] == equivalents("mine:m", jurisdictions={"de"})
    with pytest.raises(ConfigError, match="jurisdictions: a place is"):
        equivalents("mine:m", jurisdictions="china")


def test_its_own_vendor_and_the_toy_come_only_where_they_are_named():
    """The target's own provider and the embedded model are no way out, unless the caller says so; never itself."""
    named = {found.provider for found in equivalents("openai:gpt-4o")}
    assert not {"openai", "local"} & named
    own, toy = equivalents("openai:gpt-4o", providers=["openai", "local"])
    assert ("openai", "local:smollm2") == (own.provider, toy.target)
    assert "openai:gpt-4o" != own.target
    with pytest.raises(ConfigError, match=r"did you mean 'zhipu'\?"):
        equivalents("openai:gpt-4o", providers="zhipuu")


@rows("target", ["openai:gpt-5", "openai:gpt-4o", "openai:gpt-3.5-turbo", "openai:no-such-model"])
def test_the_vendors_of_the_story_have_an_answer(target):
    """Whatever a program of 2024 names, there is a model at each of the four vendors, in China, with its losses."""
    found = equivalents(target, jurisdictions="cn", providers=["zhipu", "qianfan", "tencent", "dashscope"])
    assert {"zhipu", "qianfan", "tencent", "dashscope"} == {each.provider for each in found}
    for each in found:
        assert isinstance(each, Equivalent)
        assert {"cn"} == set(each.sites.values())
        assert each.lost
        assert each.checked is not None


def test_what_is_not_known_is_said(vendors):
    """A missing price, window or tier is named as unknown, not as a loss."""
    vendors(mine=f"models = [{model('m', context=8000)}]", other='default_model = "a"')
    (found,) = equivalents("mine:m")
    assert ((), ("tier", "context", "max_output", "price")) == (found.lost, found.unknown)


def test_the_reference_rates_serve_the_order_alone():
    """They have a source and a day, and no price of an equivalent is anything but the vendor's own."""
    rates = reference_rates()
    assert rates.source
    assert rates.day <= rates.checked
    assert Decimal(1) == rates.per_euro["EUR"]
    for found in equivalents("openai:gpt-4o"):
        for price in found.prices:
            assert price in _registry.provider(found.provider).prices


@pytest.mark.slow
def test_nothing_is_read_at_import():
    """The files are read when the catalog is asked for, not with the package."""
    code = "import llmswitch; from llmswitch import _registry; print(llmswitch.equivalents.__name__, _registry._read)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "equivalents {}\n" == done.stdout


# In words


@rows(
    ("count", "said"),
    [(None, "-"), (512, "512"), (4096, "4.1k"), (131072, "131k"), (999_999, "1M"), (1_048_576, "1.05M")],
)
def test_tokens_in_words(count, said):
    """Three digits are enough for a table."""
    assert said == tokens_in_words(count)


@rows(
    ("facts", "said"),
    [
        ({"input": "0.50", "output": 12}, "USD 0.5 in, 12 out"),
        ({"input": 0, "output": 0}, "free"),
        ({"input": 1, "output": 2, "output_thinking": 8}, "USD 1 in, 2 out (8 with thinking)"),
        (
            {"input": 1, "output": 2, "tiers": [{"over": 32_000, "input": 2, "output": 4}], "up_to": 128_000},
            "USD 1 in, 2 out; over 32k: 2 in, 4 out; over 128k: not known",
        ),
        (
            {"input": 1, "output": 2, "peak": {"input": 2, "output": 4, "hours": [["01:00", "04:00"]]}},
            "USD 1 in, 2 out; 01:00-04:00 UTC: 2 in, 4 out",
        ),
    ],
)
def test_a_price_in_words(facts, said):
    """A price says what it is beyond a length, at busy hours and with thinking."""
    assert said == price_in_words(Price.model_validate({"model": "m", **PRICED, **facts}))


def test_abilities_in_words():
    """A mark says that a tool call can be forced, and that thinking can't be stopped."""
    assert "images, documents, audio, tools!, JSON, schema, reasoning" == abilities_in_words(MOST)
    assert "tools, reasoning (always)" == abilities_in_words(Capabilities(tools=True, thinks_unasked=True))


def test_places_in_words():
    """A place that the usual site serves needs no word; of any other the site is named that has to be set."""
    sites = {"cn-coding": "cn", "cn": "cn", "intl": "sg", "eu": "eu"}
    assert "cn, sg (intl), eu" == places_in_words(sites, "cn")
    assert "cn (cn-coding)" == places_in_words({"cn-coding": "cn"}, "cn-plan")
