"""Every provider found passes the suite: a new one is tested by existing."""

from __future__ import annotations

from typing import Any

import pytest

from llmswitch._registry import provider, provider_names
from llmswitch.testing import ProviderSuite

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


_WHOLE: set[str] = set()  # dialects of which one author has all of the suite every day


def _make(name: str, suffix: str, model: str | None, config: dict[str, Any]) -> None:
    title = f"Test{name.title().replace('-', '').replace('_', '')}{suffix}"
    # Every provider is tested every day, its variants only where it is the author of its dialect: they are many.
    spec = provider(name)
    author = spec.dialect == name
    marks = [pytest.mark.slow] if suffix and not author else []
    chosen = config.get("dialect")
    dialect = chosen if chosen in spec.spoken else spec.dialect_of(model or spec.default_model or "")
    copies = not author or (suffix != "" and dialect in _WHOLE)
    _WHOLE.update(() if copies else {dialect})
    members = {"provider": name, "model": model, "config": config, "copies": copies, "pytestmark": marks}
    globals()[title] = type(title, (ProviderSuite,), members)


# A closed service's dialect is still spoken by others.
_OTHERS = {"dialect": "tencent-native", "base_url": "https://hunyuan.example.com", "jurisdiction": "cn"}
_make("tencent-native", "", "some-model", _OTHERS)

for _name in provider_names():
    if not provider(_name).retired:
        _make(_name, "", None, {})
        for _suffix, _model, _config in VARIANTS.get(_name, []):
            _make(_name, _suffix, _model, _config)
