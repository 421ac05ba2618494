"""
Every provider found passes the suite: a new one is tested by existing.

Every day each is one test, of what can differ between vendors; all of the suite, a test for each check, is slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import pytest

from llmswitch._registry import provider, provider_names
from llmswitch.testing import ProviderSuite, instant_waits
from llmswitch.testing._suite import suite_keys
from tests.rows import each

# Models whose records differ from the default one's, and settings that change the wire.
VARIANTS: dict[str, list[tuple[str, str | None, dict[str, Any]]]] = {
    "anthropic": [
        ("Sampling", "claude-haiku-4-5", {}),
        ("OldVersion", "claude-sonnet-4-6", {}),
        ("NewVersion", "claude-sonnet-4-6", {"version": "2026-10-21"}),
        ("Thinks", "claude-opus-5", {}),
    ],
    "azure": [("Reasoning", "gpt-5.2", {}), ("Responses", "gpt-5.2", {"dialect": "openai-responses"})],
    "bedrock": [
        ("Effort", "openai.gpt-oss-120b-1:0", {}),
        ("Signed", "eu.anthropic.claude-sonnet-4-6", {"scheme": "sigv4"}),
        ("Budget", "us.anthropic.claude-haiku-4-5-20251001-v1:0", {}),
    ],
    "cohere": [
        ("NoThoughts", "command-r-plus-08-2024", {"options": {"body": {"safety_mode": "STRICT"}}}),
        ("NoTools", "command-a-vision-07-2025", {}),
    ],
    "dashscope": [
        ("Thinking", "qwen3.7-plus", {"site": "intl"}),
        ("Effort", "qwen3.8-max", {"site": "us"}),
        ("Open", "qwen3-235b-a22b", {}),
        ("StreamOnly", "qwq-plus", {}),
        ("DeepSeek", "deepseek-v4-pro", {}),
    ],
    "dashscope-native": [
        ("Grown", "qwen3.7-plus", {"options": {"incremental": False}}),
        ("StreamOnly", "qwen3-omni-flash", {"site": "intl"}),
    ],
    "deepseek": [("Retired", "deepseek-reasoner", {"site": "cn"})],
    "gemini": [("Budget", "gemini-2.5-flash", {})],
    "minimax": [("AlwaysThinks", "MiniMax-M2.7", {"site": "intl"}), ("RolePlay", "M2-her", {})],
    "mistral": [("Hears", "voxtral-small-latest", {}), ("Code", "codestral-2508", {})],
    "modelscope": [("OpenQwen", "Qwen/Qwen3-32B", {}), ("Vision", "Qwen/Qwen3-VL-8B", {})],
    "moonshot": [("Latest", "kimi-k3.1-pro", {"site": "intl"}), ("AlwaysThinks", "kimi-k2.7-code", {})],
    "openai": [("Plain", "gpt-4.1", {}), ("Chat", "gpt-5", {"dialect": "openai"})],
    "qianfan": [
        ("Thinking", "ernie-5.0", {}),
        ("AlwaysThinks", "ernie-x1-turbo-32k", {"site": "cn-coding"}),
        ("Hosted", "deepseek-v4-pro", {}),
        ("R1", "deepseek-r1", {}),
    ],
    "sensenova": [("Older", "SenseNova-V6-Turbo", {"site": "cn-compatible"}), ("Hosted", "deepseek-v4-flash", {})],
    "siliconflow": [("Budget", "Qwen/Qwen3-8B", {"site": "intl"}), ("Vision", "zai-org/GLM-4.5V", {})],
    "spark": [
        ("NoTools", "lite", {}),
        ("Thinking", "spark-x", {"site": "cn-x2"}),
        ("Hosted", "xop3", {"site": "astron"}),
    ],
    "stepfun": [("Plan", "step-3.5-flash-2603", {"site": "intl-plan"})],
    "streamlake": [("Coder", "kat-coder-pro-v2.5", {"site": "cn-coding"}), ("Hosted", "GLM-5.3-Flash", {})],
    "tencent": [
        ("Adaptive", "minimax-m3", {"site": "intl"}),
        ("Fixed", "kimi-k2.6", {}),
        ("Replay", "deepseek-v4-pro", {}),
    ],
    "volcengine": [
        ("Endpoint", "ep-20261127000000-abcde", {"site": "intl"}),
        ("Switch", "doubao-seed-1-6-251015", {}),
        ("Hosted", "deepseek-v4-pro-ga-260813", {}),
    ],
    "wenxin": [("Signed", "ernie-speed-8k", {"scheme": "bce"})],
    "xai": [("Chat", "grok-4.20-0309-non-reasoning", {})],
    "zhipu": [("Intl", "glm-5.3", {"site": "intl"}), ("Vision", "glm-4.6v", {"scheme": "jwt"})],
}


_WHOLE: set[str] = set()  # dialects of which one author has nearly all of the suite every day
_EVERY_DAY: dict[str, type[ProviderSuite]] = {}


def _make(name: str, suffix: str, model: str | None, config: dict[str, Any]) -> None:
    title = f"Test{name.title().replace('-', '').replace('_', '')}{suffix}"
    # Every provider is tested every day, its variants only where it is the author of its dialect: they are many.
    spec = provider(name)
    author = spec.dialect == name
    chosen = config.get("dialect")
    dialect = chosen if chosen in spec.spoken else spec.dialect_of(model or spec.default_model or "")
    copies = not author or (suffix != "" and dialect in _WHOLE)
    _WHOLE.update(() if copies else {dialect})
    members = {"provider": name, "model": model, "config": config, "copies": copies, "pytestmark": [pytest.mark.slow]}
    globals()[title] = made = type(title, (ProviderSuite,), members)
    if author or not suffix:
        chosen_checks = _of_an_author if not copies else _of_a_variant if suffix else _of_a_copy
        made.every_day = staticmethod(chosen_checks)
        _EVERY_DAY[f"{name}-{suffix}" if suffix else name] = type(title, (made,), {"byte_by_byte": not copies})


# What vendors who copy a dialect depart from it in, as it is asked for and as it comes back, and what they can't do.
_SAID = {"audio", "form", "image_data", "max_tokens", "reasoning_high", "reasoning_off", "tool_results", "tools"}
_STREAMED = {"hard_characters", "reasoning", "text_then_two_calls"}


def _of_a_copy(check: str, given: dict[str, Any]) -> bool:
    """Whether it is checked every day of a provider that copies a dialect: the rest is the same code for them all."""
    match check:
        case "test_the_vendor_hears_what_the_caller_said":
            return given["stream"] is False and given["name"] in _SAID
        case "test_a_whole_answer_comes_back_as_it_was_given":
            return given["name"] in ("text", "reasoning", "text_then_two_calls")
        case "test_a_stream_is_the_same_however_it_is_cut":
            return given["name"] in ("text", "text_then_two_calls")
    return check in (
        "test_every_code_of_the_provider_gives_its_class",
        "test_the_key_goes_where_it_belongs",
        "test_an_error_inside_a_stream_is_an_error",
    )


def _of_a_variant(check: str, given: dict[str, Any]) -> bool:
    """The same for another model of a provider that has been checked: its table of errors is the same."""
    return check != "test_every_code_of_the_provider_gives_its_class" and _of_a_copy(check, given)


def _of_an_author(check: str, given: dict[str, Any]) -> bool:
    """Whether it is checked every day of who wrote a dialect: all but what a stream shares with a whole answer."""
    match check:
        case "test_the_vendor_hears_what_the_caller_said":
            return given["stream"] is False or given["name"] in _SAID
        case "test_a_stream_is_the_same_however_it_is_cut":
            return given["name"] in _STREAMED
    return True


def _checks(suite: type[ProviderSuite]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tests of a suite, each with all its parameters."""
    for name in sorted(member for member in dir(suite) if member.startswith("test_")):
        axes = [_axis(*mark.args) for mark in getattr(getattr(suite, name), "pytestmark", ())]
        for given in product(*axes):
            yield name, {argument: value for part in given for argument, value in part.items()}


def _axis(names: str | tuple[str, ...], values: Iterable[Any]) -> list[dict[str, Any]]:
    if isinstance(names, str):
        return [{names: value} for value in values]
    return [dict(zip(names, value, strict=True)) for value in values]


# A closed service's dialect is still spoken by others.
_OTHERS = {"dialect": "tencent-native", "base_url": "https://hunyuan.example.com", "jurisdiction": "cn"}
_make("tencent-native", "", "some-model", _OTHERS)

for _name in provider_names():
    if not provider(_name).retired:
        _make(_name, "", None, {})
        for _suffix, _model, _config in VARIANTS.get(_name, []):
            _make(_name, _suffix, _model, _config)


@pytest.mark.parametrize("title", _EVERY_DAY)
def test_what_is_checked_every_day(title: str) -> None:
    """Request bytes, replies, a stream, the provider's own errors, and what it has to refuse."""
    suite = _EVERY_DAY[title]()
    chosen = [(check, given) for check, given in _checks(type(suite)) if suite.every_day(check, given)]
    with suite_keys(), instant_waits():
        each(
            ((f"{check} {given}", (check, given)) for check, given in chosen),
            lambda row: getattr(suite, row[0])(**row[1]),
        )
