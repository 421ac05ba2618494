"""`llmswitch explain` and `llmswitch budgets`: a table for people, JSON for programs, a status that tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

TIGHT = '\n[[budgets]]\ntokens = 20\nper = "day"\n'


def test_the_plan_is_a_table(run: Run, config: Path, vendor: Any) -> None:
    """Everybody is shown in order, and nobody is asked."""
    result = run("explain", "Say hello", "--max-tokens", "20")
    assert 0 == result.exit_code
    assert result.stderr.startswith("as of a new process")
    assert result.stdout.startswith("chain main: at most 120 s for the whole call\n")
    assert result.stdout.index("dead:one") < result.stdout.index("fake:two")
    assert result.stdout.count("would be asked") == 2
    assert [] == vendor.asked


def test_a_program_gets_json(run: Run, config: Path) -> None:
    """All that the plan has, from a question on stdin, with the instructions before it counted too."""
    short = json.loads(run("explain", "-", "--json", stdin="Say hello").stdout)
    assert ("main", "dead:one", ["dead:one", "fake:two"]) == (
        short["chain"],
        short["first"],
        [each["target"] for each in short["targets"]],
    )
    long = json.loads(run("explain", "-", "--json", "--system", "Be kind. " * 50, "--stream", stdin="Say hello").stdout)
    assert long["targets"][0]["input"]["input_tokens"] > short["targets"][0]["input"]["input_tokens"]
    assert (600.0, 120.0) == (long["seconds"], short["seconds"])


def test_an_alias_leads_to_its_chain(run: Run, config: Path) -> None:
    """`-m` takes an alias, as `model=` does, and says where it led."""
    config.write_text(config.read_text() + '\n[aliases]\nbest = "main"\n')
    assert "chain main (by best -> main)" in run("explain", "hi", "-m", "best").stdout


def test_where_nobody_would_be_asked_the_status_is_1(run: Run, config: Path) -> None:
    """With each reason in the table, and on stderr what to do about it."""
    config.write_text(config.read_text() + TIGHT)
    result = run("explain", "Say hello")
    assert 1 == result.exit_code
    assert result.stdout.count("this call alone may need") == 2
    assert "error: nobody would be asked: BudgetExceeded" in result.stderr
    assert "lower --max-tokens or raise the budget" in result.stderr
    assert 2 == run("explain", "hi", "-m", "nobody:m").exit_code


def test_a_budget_of_a_tag_holds_for_the_calls_that_carry_it(run: Run, config: Path, vendor: Any) -> None:
    """`chat` and `explain` take the same tags; what the one says the other does."""
    config.write_text(config.read_text() + TIGHT + 'tag = "night"\n')
    for tags, status in (([], 0), (["--tag", "night"], 1)):
        assert status == run("explain", "Say hello", *tags).exit_code
        assert status == run("chat", "Say hello", *tags).exit_code
    assert 1 == len(vendor.asked)


def test_budgets_are_listed(run: Run, config: Path) -> None:
    """With what is left and until when; without a store it is said that others' spending is not known."""
    assert "nothing is bounded" in run("budgets").stderr
    config.write_text(config.read_text() + TIGHT)
    result = run("budgets")
    assert "the budget of 20 tokens a day" in result.stdout
    assert "without a [store] every process counts in its own memory" in result.stderr
    (listed,) = json.loads(run("budgets", "--json").stdout)
    assert ("budget", "tokens", "20", "0", "20") == tuple(
        listed[name] for name in ("kind", "unit", "limit", "spent", "left")
    )
    assert listed["ends"].endswith("T00:00:00+00:00")
