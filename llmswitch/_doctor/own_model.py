"""The model that is started on this machine: whether its engine and its weights are there. Nothing is started."""

from __future__ import annotations

import importlib.util

from llmswitch._provider import ProviderSpec
from llmswitch.providers.local_weights import WeightsError, find_weights

from .report import Check

__all__ = ["own_model_checks"]


def own_model_checks(spec: ProviderSpec) -> list[Check]:
    """The lines of a provider whose server is started here."""
    assert spec.server is not None
    needs = spec.server.needs
    engine = needs is None or importlib.util.find_spec(needs) is not None
    extra = f"pip install 'llmswitch[{spec.name}]'"
    return [
        Check("engine", "ok", f"{needs} is installed" if needs else "nothing is needed")
        if engine
        else Check("engine", "fail", f"{needs} is not installed", extra),
        _weights(spec),
    ]


def _weights(spec: ProviderSpec) -> Check:
    todo = f"llmswitch {spec.name} install"
    try:
        found = find_weights()
    except WeightsError as problem:
        return Check("model", "fail", str(problem), todo)
    if found is None:
        return Check("model", "fail", "its weights are not on this machine", todo)
    return Check("model", "ok", f"its weights are on this machine ({found.stat().st_size / 1_000_000:.0f} MB)")
