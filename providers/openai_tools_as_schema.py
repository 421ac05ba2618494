"""
Tools for a model that can't call any but holds to a JSON schema: it fills in a form that names the tool.

Used for the embedded model, whose chat template ignores tools (tried 2026-11-23 with llama.cpp and SmolLM2-135M).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from llmswitch._assembly import ReplyAssembly
from llmswitch._events import ChatEvent
from llmswitch._json import JSONInvalid, dumps, loads
from llmswitch._request import ChatRequest

__all__ = ["OFFER", "offer_tools", "read_held", "tool_schema"]

OFFER = "You can call these tools:"


def offer_tools(request: ChatRequest) -> str:
    """What the model is told of the tools; the schema alone only binds it."""
    tools = [
        f"- {tool.name}: {tool.description} Arguments: {dumps(dict(tool.parameters)).decode()}"
        for tool in request.tools
    ]
    form = 'To call one, answer {"name": its name, "arguments": its arguments}.'
    words = "" if request.tool_choice not in (None, "auto") else ' To speak instead, answer {"answer": your words}.'
    return "\n".join([OFFER, *tools, form + words])


def tool_schema(request: ChatRequest) -> dict[str, Any]:
    """A form for one call of one of the tools; with `auto`, or no choice, also for an answer in words."""
    choice = request.tool_choice
    wanted = [tool for tool in request.tools if choice in (None, "auto", "required", tool.name)]
    forms: list[dict[str, Any]] = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": dict(tool.parameters)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in wanted
    ]
    if choice in (None, "auto"):
        forms.append(
            {
                "type": "object",
                "properties": {"answer": {"type": "string"}},
                "required": ["answer"],
                "additionalProperties": False,
            }
        )
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def read_held(text: str, assembly: ReplyAssembly) -> list[ChatEvent]:
    """The call, or the answer in words, that the filled-in form stands for; text that is no form stays text."""
    try:
        form = loads(text)
    except JSONInvalid:
        form = None
    if isinstance(form, Mapping):
        if isinstance(form.get("name"), str) and isinstance(form.get("arguments"), Mapping):
            raw = dumps(dict(form["arguments"])).decode()
            return [assembly.tool_call(0, f"call_{secrets.token_hex(12)}", form["name"], raw)]
        if isinstance(form.get("answer"), str):
            text = form["answer"]
    return [assembly.text(text)] if text else []
