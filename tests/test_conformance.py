"""Every provider found passes the suite: a new one is tested by existing."""

from __future__ import annotations

from typing import Any

from llmswitch._registry import provider, provider_names
from llmswitch.testing import ProviderSuite

# Models whose records differ from the default one's, and settings that change the wire.
VARIANTS: dict[str, list[tuple[str, str | None, dict[str, Any]]]] = {
    "anthropic": [
        ("Sampling", "claude-haiku-4-5", {}),
        ("NewVersion", "claude-sonnet-4-6", {"version": "2026-10-21"}),
    ],
    "openai": [("Reasoning", "gpt-5", {}), ("Plain", "gpt-4.1", {})],
    "zhipu": [("Intl", "glm-5.3", {"site": "intl"}), ("Vision", "glm-4.6v", {})],
}


def _make(name: str, suffix: str, model: str | None, config: dict[str, Any]) -> None:
    title = f"Test{name.title().replace('-', '').replace('_', '')}{suffix}"
    globals()[title] = type(title, (ProviderSuite,), {"provider": name, "model": model, "config": config})


for _name in provider_names():
    if not provider(_name).retired:
        _make(_name, "", None, {})
        for _suffix, _model, _config in VARIANTS.get(_name, []):
            _make(_name, _suffix, _model, _config)
