"""`llmswitch models` and `llmswitch equivalents`: the catalog as tables and as JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from llmswitch import equivalents
from llmswitch._catalog import catalog

Run = Callable[..., Any]


def test_every_known_model_is_listed(run: Run) -> None:
    """Without a pattern all of them are there, in the table and in the JSON list, and nothing is cut in a pipe."""
    table, listed = run("models"), json.loads(run("models", "--json").stdout)
    assert [model.target for model in catalog()] == [each["target"] for each in listed]
    assert all(each["target"] in table.stdout and str(each["checked"]) in table.stdout for each in listed)
    assert table.exit_code == 0


def test_json_says_what_the_catalog_knows(run: Run) -> None:
    """Each entry has the sites, the merged capabilities, and prices as exact text in their own currency."""
    (found,) = json.loads(run("models", "zhipu:glm-5.2", "--json").stdout)
    assert (found["provider"], found["model"], found["tier"]) == ("zhipu", "glm-5.2", "flagship")
    assert found["sites"]["intl"] == "sg"
    assert found["capabilities"]["tools"] is True
    yuan = next(price for price in found["prices"] if price["site"] == "cn")
    assert (yuan["currency"], yuan["input"]) == ("CNY", "8")
    assert found["context"] > 900_000
    assert found["retires"] is None


def test_the_dialect_is_said_where_there_are_several(run: Run) -> None:
    """The table and the JSON say in which of its provider's dialects a model is asked."""
    listed = json.loads(run("models", "openai:gpt-*", "--json").stdout)
    spoken = {each["model"]: each["dialect"] for each in listed}
    assert (spoken["gpt-5"], spoken["gpt-4.1"]) == ("openai-responses", "openai")
    assert "by openai-responses" in run("models", "openai:gpt-5").stdout
    assert "by openai" not in run("models", "zhipu:glm-5.2").stdout


@pytest.mark.parametrize("pattern", ["glm-5.2", "*:GLM-5.2", "zhipu:*"])
def test_a_pattern_is_a_part_or_has_wildcards(run: Run, pattern: str) -> None:
    """A part of the target is enough; with a wildcard the whole is compared; neither minds the case."""
    listed = [each["target"] for each in json.loads(run("models", pattern, "--json").stdout)]
    assert "zhipu:glm-5.2" in listed
    assert "openai:gpt-4.1" not in listed


def test_no_match_is_said_with_the_nearest(run: Run) -> None:
    """A pattern that nothing matches fails, and the nearest name is told; JSON is an empty list."""
    result = run("models", "zhipu:glm-5,3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean 'zhipu:glm-5.3'?" in result.stderr
    result = run("models", "gpt4o", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, [])
    assert "did you mean 'gpt-4o'?" in result.stderr


@pytest.mark.parametrize(("day", "said"), [(22, "until 2026-10-23"), (23, "retired 2026-10-23")])
def test_a_retired_model_is_marked(run: Run, monkeypatch: pytest.MonkeyPatch, day: int, said: str) -> None:
    """What is no longer served says since when, what soon will not be says until when."""
    for module in ("models", "equivalents"):
        monkeypatch.setattr(importlib.import_module(f"llmswitch._cli.{module}"), "today", lambda: date(2026, 10, day))
    assert said in run("models", "gpt-3.5-turbo").stdout
    assert said in run("equivalents", "openai:gpt-3.5-turbo").stdout


def test_equivalents_are_those_of_the_library(run: Run) -> None:
    """The command lists what `llmswitch.equivalents` returns, in its order, with losses and native prices."""
    listed = json.loads(run("equivalents", "openai:gpt-5", "--json").stdout)
    expected = equivalents("openai:gpt-5")
    assert [each["target"] for each in listed] == [each.target for each in expected]
    assert [[loss["message"] for loss in each["lost"]] for each in listed] == [
        [str(loss) for loss in each.lost] for each in expected
    ]
    assert {price["currency"] for each in listed for price in each["prices"]} == {"USD", "CNY"}


def test_equivalents_in_one_place(run: Run) -> None:
    """--jurisdiction and --provider narrow the search; several may be given."""
    result = run("equivalents", "openai:gpt-4o", "--jurisdiction", "cn", "--provider", "zhipu", "--provider", "tencent")
    assert "zhipu:" in result.stdout
    assert "tencent:" in result.stdout
    assert "intl" not in result.stdout
    assert "qianfan" not in result.stdout


def test_the_reference_rates_are_named_for_what_they_are(run: Run) -> None:
    """Where the order rests on exchange rates, their source and day are said, and that no price was converted."""
    said = run("equivalents", "openai:gpt-4o").stderr
    assert "never converted" in said
    assert "European Central Bank" in said
    assert "2026-10-30" in said


def test_a_model_of_no_table_is_said_to_be_one(run: Run) -> None:
    """A model that the catalog does not know still has equivalents, and it is said where its abilities are from."""
    result = run("equivalents", "openai:gpt-7-future")
    assert result.exit_code == 0
    assert "openai:gpt-7-future is not in the catalog" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody:m",), "no provider is named 'nobody'"),
        (("openai:gpt-4o", "--jurisdiction", "china"), "jurisdictions: a place is"),
        (("openai:gpt-4o", "--provider", "zhipuu"), "did you mean 'zhipu'?"),
    ],
)
def test_a_wrong_name_is_a_configuration_error(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """Providers and places that there are none of are said, with status 2."""
    result = run("equivalents", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_nobody_there_is_a_failure(run: Run) -> None:
    """Where no model is left the command fails, after the table that says for what."""
    result = run("equivalents", "openai:gpt-4o", "--jurisdiction", "aq")
    assert result.exit_code == 1
    assert "no other model is known there" in result.stderr
