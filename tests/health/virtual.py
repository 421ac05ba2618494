"""A clock that is made up, and chains of targets that share endpoints and accounts as a test needs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

from llmswitch._chain import Chain
from llmswitch._config_file import Loaded
from llmswitch._setup import Setup
from llmswitch._target import Target

KEY = "CANARY-key-0c94d7cf7c1b4d9f8a5e"
PROMPT = "CANARY-prompt-f2a91b3be0774c71"


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> float:
        """Let so many seconds pass; the time it is then."""
        self.now += seconds
        return self.now


def configuration(names: Sequence[str], **settings: Any) -> dict[str, Any]:
    """
    A chain of these targets. A name is `ENDPOINT-ACCOUNT:MODEL`: what has an endpoint in common shares a host, what
    has an account in common as well shares its key there.
    """
    providers = {}
    for name in names:
        provider = name.partition(":")[0]
        endpoint, account = provider.split("-")
        providers[provider] = {
            "dialect": "openai",
            "base_url": f"http://{endpoint}.local/v1",
            "api_key": {"env": f"HEALTH_{account.upper()}"},
        }
    return {"providers": providers, "chains": {"c": {"targets": list(names), **settings}}, "default": "c"}


def keys(names: Sequence[str]) -> dict[str, str]:
    """The environment that `configuration` needs: a key for each account."""
    accounts = {name.partition(":")[0].split("-")[1] for name in names}
    return {f"HEALTH_{account.upper()}": f"{KEY}-{account}" for account in accounts}


@cache
def _chain(names: tuple[str, ...], settings: tuple[tuple[str, Any], ...]) -> Chain:
    with patch.dict(os.environ, keys(names)):
        return Setup(Loaded.from_mapping(configuration(names, **dict(settings)))).chain(None)


def chain(*names: str, **settings: Any) -> Chain:
    """A chain of these targets, with the settings of a chain in the configuration."""
    return _chain(names, tuple(settings.items()))


def targets(*names: str) -> tuple[Target, ...]:
    """These targets, in this order."""
    return chain(*names).targets
