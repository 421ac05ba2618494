"""Messages: how a level or a budget of reasoning is said to each family of models, and what it excludes."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch import CapabilityMismatch, Tool
from llmswitch._adapter import Adapter
from llmswitch._capabilities import fit
from llmswitch._config_file import Loaded
from llmswitch._json import loads
from llmswitch._request import ChatRequest
from llmswitch._setup import Setup
from tests.rows import rows

TOOL = Tool("now", "The time.")


def adapter(model: str, **own: Any) -> Adapter:
    """The adapter of one model, made as a client makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", "sk-ant-api03-not-a-key")
        given = {"providers": {"anthropic": {"api_key": {"env": "TEST_KEY"}, **own}}}
        return Setup(Loaded.from_mapping(given), f"anthropic:{model}").chain(None).targets[0].adapter


def body(model: str, **options: Any) -> dict[str, Any]:
    """What is sent to the model for a question with these options."""
    made = adapter(model)
    request, _ = fit(ChatRequest.read("Hi", **options), made.capabilities, provider="anthropic", model=model)
    sent: dict[str, Any] = loads(made.build(request, stream=False).body)
    return sent


def warned(model: str, **options: Any) -> list[str]:
    """The codes of the warnings that the reply to such a question carries."""
    return [warning.code for warning in adapter(model).decoder(ChatRequest.read("Hi", **options)).assembly.warnings]


def thinking(model: str, level: Any, **options: Any) -> tuple[Any, Any, int]:
    sent = body(model, reasoning=level, **options)
    return sent.get("thinking"), sent.get("output_config"), sent["max_tokens"]


SHOWN = {"type": "adaptive", "display": "summarized"}


@rows(
    ("model", "level", "expected"),
    [
        ("claude-haiku-4-5", "off", ({"type": "disabled"}, None)),
        ("claude-sonnet-4-5-20250929", "low", ({"type": "enabled", "budget_tokens": 2048}, None)),
        ("claude-opus-4-5-20251101", "high", ({"type": "enabled", "budget_tokens": 16384}, None)),
        ("claude-haiku-4-5", 1024, ({"type": "enabled", "budget_tokens": 1024}, None)),
        ("claude-sonnet-4-6", "off", ({"type": "disabled"}, None)),
        ("claude-opus-4-6", "medium", ({"type": "adaptive"}, {"effort": "medium"})),
        ("claude-opus-4-6", 5000, ({"type": "enabled", "budget_tokens": 5000}, None)),
        ("claude-opus-4-7", "off", ({"type": "disabled"}, None)),
        ("claude-opus-4-8", "high", (SHOWN, {"effort": "high"})),
        ("claude-sonnet-5", "off", ({"type": "disabled"}, None)),
        ("claude-opus-5", "low", (SHOWN, {"effort": "low"})),
        ("claude-haiku-5-5", "off", ({"type": "disabled"}, None)),
        ("claude-sonnet-5-5", "off", ({"type": "between_tools"}, None)),
        ("claude-sonnet-5-5", "medium", (SHOWN, {"effort": "medium"})),
        ("claude-opus-5-5", "low", (SHOWN, {"effort": "low"})),
        ("claude-fable-5-1", "high", (SHOWN, {"effort": "high"})),
        ("claude-not-known-yet", "medium", (SHOWN, {"effort": "medium"})),
    ],
)
def test_a_level_in_the_words_of_the_family(model: str, level: Any, expected: tuple[Any, Any]) -> None:
    """Each family has its own way to say how much to think."""
    assert expected == thinking(model, level)[:2]


@rows("model", ["claude-opus-5-5", "claude-fable-5", "claude-mythos-preview"])
def test_models_that_always_think_can_not_be_switched_off(model: str) -> None:
    """`off` is refused by the models that think always."""
    with pytest.raises(CapabilityMismatch, match="reasoning"):
        body(model, reasoning="off")


@rows("model", ["claude-opus-4-7", "claude-sonnet-5", "claude-opus-5", "claude-fable-5-1"])
def test_models_from_opus_4_7_on_take_no_budget(model: str) -> None:
    """A number of tokens is refused; with `degrade` it becomes a level."""
    with pytest.raises(CapabilityMismatch, match="budget"):
        body(model, reasoning=5000)
    assert {"effort": "medium"} == body(model, reasoning=5000, degrade=True)["output_config"]


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-5"])
def test_nothing_is_said_of_thinking_unasked(model: str) -> None:
    """Without `reasoning` the vendor's own default holds."""
    assert (None, None, 16384) == thinking(model, None)


# The room a budget takes


def test_a_budget_comes_on_top_of_the_default_limit() -> None:
    """Where the caller gives no `max_tokens`, thinking takes nothing from the answer."""
    assert 16384 + 5000 == thinking("claude-haiku-4-5", 5000)[2]
    assert 16384 + 2048 == thinking("claude-haiku-4-5", "low")[2]


def test_the_limit_with_a_budget_never_passes_the_models_own() -> None:
    """The model writes at most 64,000 tokens, thinking included."""
    sent = thinking("claude-haiku-4-5", 60000)
    assert ({"type": "enabled", "budget_tokens": 60000}, None, 64000) == sent
    with pytest.raises(CapabilityMismatch, match="64000"):
        body("claude-haiku-4-5", reasoning=64000)


def test_a_level_takes_at_most_half_of_the_callers_limit_and_says_so() -> None:
    """The numbers of the levels are ours, so they give way to the caller's own number, with a warning."""
    model, options = "claude-haiku-4-5", {"reasoning": "high", "max_tokens": 6000}
    assert ({"type": "enabled", "budget_tokens": 3000}, None, 6000) == thinking(model, "high", max_tokens=6000)
    assert ["reasoning_cut"] == warned(model, **options)
    assert ({"type": "enabled", "budget_tokens": 1024}, None, 1500) == thinking(model, "low", max_tokens=1500)
    assert [] == warned(model, reasoning="low", max_tokens=10000)


@rows(
    ("options", "named"),
    [
        ({"reasoning": 1023}, "1024"),
        ({"reasoning": 2000, "max_tokens": 2000}, "max_tokens"),
        ({"reasoning": "low", "max_tokens": 1024}, "max_tokens"),
    ],
    ids=["too_small", "callers_own_numbers", "no_room_for_a_level"],
)
def test_a_budget_that_can_not_be_had_is_refused(options: dict[str, Any], named: str) -> None:
    """A budget is at least 1024 and less than `max_tokens`: the caller's own numbers are never changed unasked."""
    with pytest.raises(CapabilityMismatch, match=named):
        body("claude-haiku-4-5", **options)


def test_with_degrade_a_budget_that_can_not_be_had_is_changed_aloud() -> None:
    """`degrade` raises a small budget to the least, and leaves out one that has no room; both warn."""
    model = "claude-haiku-4-5"
    assert {"type": "enabled", "budget_tokens": 1024} == body(model, reasoning=5, degrade=True)["thinking"]
    assert ["degraded"] == warned(model, reasoning=5, degrade=True)
    assert "thinking" not in body(model, reasoning=2000, max_tokens=2000, degrade=True)
    assert ["degraded"] == warned(model, reasoning=2000, max_tokens=2000, degrade=True)
    assert ["degraded"] == warned(model, reasoning="high", max_tokens=1024, degrade=True)


# What thinking excludes


@rows(
    ("model", "options", "field"),
    [
        ("claude-haiku-4-5", {"reasoning": "low", "temperature": 0.2}, "temperature"),
        ("claude-sonnet-4-6", {"reasoning": "low", "temperature": 0.2}, "temperature"),
        ("claude-haiku-4-5", {"reasoning": "low", "top_p": 0.5}, "top_p"),
        ("claude-haiku-4-5", {"reasoning": "low", "tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ("claude-opus-4-6", {"reasoning": 2000, "tools": [TOOL], "tool_choice": "now"}, "tool_choice"),
    ],
)
def test_what_thinking_excludes_is_refused_or_left_out_aloud(model: str, options: dict[str, Any], field: str) -> None:
    """Other temperatures than 1, a small top_p, and a forced tool beside a budget can't be had with thinking."""
    with pytest.raises(CapabilityMismatch, match=f"{field}: "):
        body(model, **options)
    sent = body(model, **options, degrade=True)
    assert sent.get(field) in (None, {"type": "auto"})
    assert ["degraded"] == warned(model, **options, degrade=True)


@rows(
    ("model", "options"),
    [
        ("claude-haiku-4-5", {"reasoning": "low", "temperature": 1}),
        ("claude-haiku-4-5", {"reasoning": "low", "top_p": 0.95}),
        ("claude-haiku-4-5", {"reasoning": "off", "temperature": 0.2}),
        ("claude-opus-4-6", {"reasoning": "low", "tools": [TOOL], "tool_choice": "required"}),
        ("claude-haiku-4-5", {"reasoning": "low", "tools": [TOOL], "tool_choice": "none"}),
    ],
)
def test_what_thinking_allows_is_sent(model: str, options: dict[str, Any]) -> None:
    """Temperature 1, a large top_p, and a forced tool beside adaptive thinking are taken."""
    assert "thinking" in body(model, **options)
    assert [] == warned(model, **options)
