"""The catalog as data: prices by length, by hour and by thinking; codes that stand for many; where a key belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from llmswitch import Client, LLMSwitchError
from llmswitch._adapter import ErrorFacts
from llmswitch._catalog import find_model
from llmswitch._classify import ErrorRules, make_error
from llmswitch._config_file import Loaded
from llmswitch._prices import Price
from llmswitch._provider import ErrorRule, ProviderSpec
from llmswitch._registry import provider
from llmswitch._reply import Cost, Usage
from llmswitch._setup import Setup
from llmswitch._target import Target
from tests.rows import rows

TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)


def priced(**rates: Any) -> Target:
    """A target with that price."""
    config = {"providers": {"mine": {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"}}}
    target = Setup(Loaded.from_mapping(config), "mine:m").chain(None).targets[0]
    target.price = Price.model_validate(
        {"model": "m", "currency": "CNY", "source": "a test", "checked": TUESDAY.date(), **rates}
    )
    return target


TIERED = {
    "input": 1,
    "output": 10,
    "tiers": [
        {"over": 32_000, "input": 2, "output": 20, "cached": "0.5"},
        {"over": 128_000, "input": 4, "output": 40},
    ],
}


@rows(
    ("tokens", "amount"),
    [(1_000, "0.02"), (32_000, "0.051"), (32_001, "0.102002"), (128_000, "0.294"), (200_000, "0.876")],
)
def test_the_tier_of_the_input_holds_for_every_token(tokens, amount):
    """The dearest tier that the input's length reaches holds for all tokens; its own bound is below it."""
    cost = priced(**TIERED).cost(Usage(input_tokens=tokens, output_tokens=1_900))
    assert Cost(Decimal(amount), "CNY") == cost


def test_a_tier_has_cached_rates_of_its_own():
    """Cached tokens cost the tier's own rate, and the plain one where it has none."""
    target = priced(**TIERED)
    usage = Usage(input_tokens=100_000, output_tokens=0, cached_tokens=100_000)
    assert Cost(Decimal("0.05"), "CNY") == target.cost(usage)
    usage = Usage(input_tokens=200_000, output_tokens=0, cached_tokens=200_000)
    assert Cost(Decimal("0.8"), "CNY") == target.cost(usage)


PEAK = {
    "input": 1,
    "output": 1,
    "peak": {"input": 2, "output": 2, "hours": [["01:00", "04:00"], ["06:00", "10:00"]], "days": [1, 2, 3, 4, 5]},
}


@rows(
    ("when", "amount"),
    [
        (TUESDAY.replace(hour=0, minute=59), 1),
        (TUESDAY.replace(hour=1), 2),
        (TUESDAY.replace(hour=4), 1),
        (TUESDAY.replace(hour=9, minute=59), 2),
        (TUESDAY.replace(day=28, hour=2), 1),  # a Saturday
    ],
)
def test_busy_hours_cost_more(when, amount):
    """A span holds from its first minute up to its last, in UTC, and only on the days that are named."""
    assert Cost(Decimal(amount), "CNY") == priced(**PEAK).cost(Usage(input_tokens=500_000, output_tokens=500_000), when)


def test_an_answer_that_was_thought_over_may_cost_more():
    """Where thinking has a rate, it holds for every token that came out; without thinking the plain one does."""
    target = priced(input=1, output=2, output_thinking=8)
    assert Cost(Decimal(8), "CNY") == target.cost(Usage(input_tokens=0, output_tokens=1_000_000, reasoning_tokens=1))
    assert Cost(Decimal(2), "CNY") == target.cost(Usage(input_tokens=0, output_tokens=1_000_000, reasoning_tokens=0))


def test_what_is_not_known_costs_none():
    """Without a price, without a count, or beyond the length that is known, the cost is `None`, never 0."""
    target = priced(**TIERED, up_to=256_000)
    assert target.cost(Usage(output_tokens=1)) is None
    assert target.cost(Usage(input_tokens=256_000, output_tokens=1)) is not None
    assert target.cost(Usage(input_tokens=256_001, output_tokens=1)) is None
    target.price = None
    assert target.cost(Usage(input_tokens=1, output_tokens=1)) is None


def rule(becomes: str, **conditions: Any) -> ErrorRule:
    return ErrorRule.model_validate({"class": becomes, **conditions})


def test_a_star_stands_for_any_ending():
    """A code with a star is known by its beginning, after those that a rule before it names in full."""
    rules = ErrorRules([rule("QuotaExhausted", code=["Limit.Daily"]), rule("RateLimited", code=["Limit*"])])
    kinds = [
        rules.classify(ErrorFacts(status=429, code=code)).__name__ for code in ("limit.daily", "Limit.RPM", "Limit")
    ]
    assert ["QuotaExhausted", "RateLimited", "RateLimited"] == kinds
    assert "ServerError" == rules.classify(ErrorFacts(status=500, code="Other.Limit")).__name__


def test_a_rule_says_what_to_do():
    """The hint of the rule that knew a failure stands behind the vendor's own words."""
    rules = ErrorRules([rule("Arrears", code=["1113"], hint="a plan's key belongs to another site")])
    error = make_error(ErrorFacts(status=429, code="1113", message="no balance"), rules, provider="p", model="m")
    assert error.message.endswith("no balance; a plan's key belongs to another site")


SITES = {
    "name": "acme",
    "dialect": "openai",
    "site": "cn",
    "sites": {
        "cn": {"base_url": "https://api.acme.cn/v1"},
        "beta": {"base_url": "https://api.acme.cn/beta", "account": "cn"},
        "intl": {"base_url": "https://api.acme.ai/v1"},
    },
}


def target_at(own: dict[str, Any], **changes: Any) -> Target:
    spec = ProviderSpec.model_validate({**SITES, **changes})
    config = {"providers": {"acme": {"dialect": "openai", "base_url": "https://api.acme.cn/v1", **own}}}
    target = Setup(Loaded.from_mapping(config), "acme:m").chain(None).targets[0]
    target.spec = spec
    target.endpoint.site = own.get("site", "cn")
    return target


def test_a_refused_key_may_be_of_another_site():
    """Sites that take other keys are named, with the setting; one of the same account is not."""
    assert target_at({}).other_sites == (
        'a key of another site does not work at site "cn"; if yours is of that site, set site = "intl" under '
        "[providers.acme]"
    )
    three = {**SITES["sites"], "us": {"base_url": "https://us.acme.ai/v1"}}
    assert 'set site = "intl" (or us) under' in target_at({}, sites=three).other_sites


def test_an_address_of_ones_own_has_no_other_sites():
    """Where the address is not the vendor's, or all sites take the same keys, nothing is advised."""
    assert "" == target_at({"base_url": "https://proxy.example/v1"}).other_sites
    assert "" == target_at({}, sites={name: SITES["sites"][name] for name in ("cn", "beta")}).other_sites


def test_only_a_refused_key_is_told_of_other_sites(monkeypatch):
    """The advice stands in `AuthInvalid` alone, and no key does."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", "canary-5d41402abc4b2a76")

    def raised(status: int) -> LLMSwitchError:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, json={"error": {"message": "no"}}))
        client = Client("zhipu:glm-4.6", config={}, http_client=httpx.Client(transport=transport))
        with pytest.raises(LLMSwitchError) as caught:
            client.chat("Hi")
        return caught.value

    refused = str(raised(401))
    assert 'does not work at site "cn"' in refused
    assert "[providers.zhipu]" in refused
    assert "canary" not in refused
    assert "another site" not in str(raised(400))


@rows(
    ("target", "there"),
    [
        ("vertex-anthropic:claude-opus-5@20260701", "claude-opus-5"),
        ("azure-anthropic:claude-opus-5", "claude-opus-5"),
        ("bedrock-anthropic:eu.anthropic.claude-sonnet-4-6-v1:0", "claude-sonnet-4-6"),
        ("bedrock-anthropic:anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
    ],
)
def test_a_model_is_the_same_wherever_it_is_served(target, there):
    """What its author's file says of a model holds at other clouds, but for what theirs says."""
    name, _, model = target.partition(":")
    served, known = find_model(target), find_model(f"anthropic:{there}")
    same = {"token_counting": False}
    assert served.capabilities == known.capabilities.model_copy(update=same)
    assert (served.tier, served.retires) == (known.tier, known.retires)
    own = [options for _, options in provider(name).layers(model) if options]
    theirs = [options for _, options in provider("anthropic").layers(there) if options]
    assert [options for options in own if options in theirs] == theirs


def test_a_name_that_is_not_the_authors_says_nothing():
    """A deployment of any name has what holds for models that nobody knows."""
    assert find_model("anthropic:no-such-model").capabilities == find_model(
        "azure-anthropic:mine"
    ).capabilities.model_copy(update={"token_counting": True})
    assert provider("bedrock-anthropic").tier("meta.llama4-maverick") is None
