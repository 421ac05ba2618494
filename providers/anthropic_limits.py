"""
What can't stand together in one request to Claude, by Messages or by Converse, and the room that thinking takes of
`max_tokens`.

Checked 2026-11-23 in Anthropic's SDK 2.12.0 and documentation: a budget is at least 1024 and less than `max_tokens`,
which includes it; a forced tool is refused beside a budget. From the API's own error messages in public issue threads:
while the model thinks, temperature may only be 1 and top_p not under 0.95; with a budget, calls that are being answered
have to begin with a thought of the model's own (anomalyco/opencode#3077), which holds for no other way of
thinking (llmmanorg/llmman#507). AWS's documentation says the same of Claude by Converse (2026-11-27).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmswitch._adapter import ModelIdentity
from llmswitch._capabilities import Capabilities
from llmswitch._errors import CapabilityMismatch
from llmswitch._reply import ChatWarning
from llmswitch._request import ChatRequest

__all__ = ["LEAST_BUDGET", "Plan", "Rules", "plan"]

LEAST_BUDGET = 1024


@dataclass(slots=True, frozen=True)
class Rules:
    """
    What a plan goes by. `reasoning`: by level, what is said of thinking. `room`: tokens of an answer beside a budget,
    where the caller gives no `max_tokens`. `lacks_thought`: whether the calls that are being answered began without a
    thought. `one_sampling_value`: temperature and top_p are refused together.
    """

    reasoning: Mapping[Any, Mapping[str, Any]]
    room: int
    lacks_thought: Callable[[ChatRequest], bool]
    one_sampling_value: bool = False


@dataclass(slots=True, frozen=True)
class Plan:
    """
    The request as it can be sent. `max_tokens` is what goes over the wire, `None` where neither the caller nor a budget
    asks for any; `fields` what the body says of thinking, `warnings` what was changed on the way.
    """

    request: ChatRequest
    max_tokens: int | None
    fields: Mapping[str, Any]
    warnings: tuple[ChatWarning, ...]


class _Settling:
    """A request on its way to one that can be sent: what can't be had is refused, or left out where that is allowed."""

    def __init__(self, request: ChatRequest, target: str) -> None:
        self.request = request
        self.refused: list[str] = []
        self.warnings: list[ChatWarning] = []
        self._target = target

    def lack(self, field: str, why: str, instead: str, **change: Any) -> None:
        if not self.request.degrade:
            self.refused.append(f"{field}: {why}")
            return
        self.request = replace(self.request, **change)
        self.warn("degraded", f"{field}: {why}; {instead}")

    def warn(self, code: str, said: str) -> None:
        self.warnings.append(ChatWarning(code, f"{self._target}: {said}"))


def plan(request: ChatRequest, rules: Rules, able: Capabilities, identity: ModelIdentity) -> Plan:
    """
    The request with everything in it that this model takes together.

    Nothing is changed unless the request allows it (`degrade=True`), and never without a warning. Only a budget for
    thinking gives way unasked where the conversation came from elsewhere in the midst of its calls: to go on without it
    is the one way to go on. Raises `CapabilityMismatch` that names every field in the way.
    """
    settling = _Settling(request, f"{identity.provider}:{identity.model}")
    fields, max_tokens = _thinking(settling, rules, able)
    _sampling(settling, rules, fields)
    if settling.refused:
        way_out = "; pass degrade=True to go on without, or choose another model"
        raise CapabilityMismatch("; ".join(settling.refused) + way_out)
    return Plan(settling.request, max_tokens, fields, tuple(settling.warnings))


def _thinking(settling: _Settling, rules: Rules, able: Capabilities) -> tuple[Mapping[str, Any], int | None]:
    """What the body says of thinking, and `max_tokens` with room for it."""
    wanted = settling.request.reasoning
    if isinstance(wanted, int):
        if wanted < LEAST_BUDGET:
            why = f"a budget of {wanted} tokens; the least is {LEAST_BUDGET}"
            settling.lack("reasoning", why, f"{LEAST_BUDGET} was sent", reasoning=LEAST_BUDGET)
            wanted = LEAST_BUDGET
        fields: Mapping[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": wanted}}
    else:
        fields = rules.reasoning.get(wanted, {}) if wanted is not None else {}
    budget = fields.get("thinking", {}).get("budget_tokens")
    limit = settling.request.max_tokens
    if budget is None:
        return fields, limit
    if rules.lacks_thought(settling.request):
        settling.warn("thinking_off", "reasoning: left out, for another model made the calls that are being answered")
        return {}, limit
    if limit is None:
        limit = min(rules.room + budget, able.max_output or rules.room + budget)
    elif isinstance(wanted, str):
        fitting = min(budget, max(LEAST_BUDGET, limit // 2))
        if limit > LEAST_BUDGET and fitting < budget:
            settling.warn("reasoning_cut", f"reasoning {wanted}: {fitting} tokens of thinking, to fit into max_tokens")
        budget = fitting
    if budget >= limit:
        why = f"{budget} tokens of thinking have to be less than max_tokens ({limit}), which includes them"
        settling.lack("reasoning", why, "left out", reasoning=None)
        return {}, limit
    return {**fields, "thinking": {**fields["thinking"], "budget_tokens": budget}}, limit


def _sampling(settling: _Settling, rules: Rules, fields: Mapping[str, Any]) -> None:
    """What thinking excludes, and what excludes each other."""
    request = settling.request
    thinking = fields.get("thinking", {}).get("type")
    if thinking in ("enabled", "adaptive"):
        if request.temperature not in (None, 1):
            settling.lack("temperature", "only 1 while the model thinks", "left out", temperature=None)
        if request.top_p is not None and request.top_p < 0.95:
            settling.lack("top_p", "at least 0.95 while the model thinks", "left out", top_p=None)
    if thinking == "enabled" and request.tool_choice not in (None, "auto", "none"):
        why = "no tool can be forced while the model thinks with a budget"
        settling.lack("tool_choice", why, "auto was sent", tool_choice="auto")
    request = settling.request
    if rules.one_sampling_value and request.temperature is not None and request.top_p is not None:
        settling.lack("top_p", "not together with temperature", "left out", top_p=None)
