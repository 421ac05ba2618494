"""For a fact that is not certain: which settings change what is assumed, and how it is assumed now."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from llmswitch._adapter import Adapter
from llmswitch._provider import ProviderSpec

__all__ = ["in_toml", "settings_block", "ways"]

# Words of a fact, and the settings that bear on it. Options that a dialect has not are left out.
_SETTINGS = (
    (r"keeps? data|data (of|is) .{0,40}kept|jurisdiction", ["jurisdiction"]),
    (r"\bhosts? (lasts|still|with)|spelling of the hosts|overseas host$|newer name", ["base_url"]),
    (r"key variable|keys are accepted", ["api_key"]),
    (r"tool_choice", ["capabilities.tool_choice"]),
    (r"calls? tools|\(tools", ["capabilities.tools"]),
    (r"parallel_tool_calls", ["capabilities.parallel_switch"]),
    (r"json_schema", ["capabilities.json_schema"]),
    (r"response_format", ["capabilities.json_object", "capabilities.json_schema"]),
    (r"schema has to be an object", ["capabilities.schema_root"]),
    (r"images?\b(?! by base64)", ["capabilities.images"]),
    (r"base64", ["options.image_data"]),
    (r"\bstop\b(?! think)|\bseed\b(?!-| model)|top_p|sampling", ["capabilities.settings"]),
    (r"legal temperatures|sampling limits", ["capabilities.temperature_max"]),
    (r"temperature (0|above 0)", ["options.least"]),
    (r"windows? of", ["capabilities.context"]),
    (r"(most|largest) output|limits of max_tokens|max_tokens bounds", ["capabilities.max_output"]),
    (r"max_completion_tokens", ["options.max_tokens_field"]),
    (r"think unasked|always think", ["capabilities.thinks_unasked"]),
    (r"stop thinking|effort|enable_thinking|thinking is switched(?! off for)", ["options.reasoning"]),
    (r"thinking .{0,30}asked for", ["options.reasoning"]),
    (r"tool use and thinking", ["capabilities.thinking_excludes"]),
    (r"unfinished answer", ["capabilities.prefill"]),
    (r"results of tools may hold", ["capabilities.tool_result_images"]),
    (r"vectors are made", ["capabilities.embeddings"]),
    (r"texts are for|length of vectors", ["capabilities.embedding_settings"]),
    (r"reasoning is wanted back", ["options.reasoning_replay"]),
    (r"repeated from its beginning", ["options.reasoning_grows"]),
    (r"usage in streams|asked for usage", ["options.stream_usage"]),
    (r"answer in one piece", ["options.stream_only"]),
    (r"names of the limit headers", ["options.spent_headers"]),
    (r"time of a reset", ["options.reset_clock"]),
    (r"x-ratelimit", ["rate_headers"]),
    (r"system message", ["options.system_turns", "options.one_system"]),
    (r"summar(y|ies) of thoughts", ["options.summary"]),
    (r"content may be null", ["options.calls_content"]),
    (r"no finish reason", ["options.done_ends"]),
)
_NO_SETTING = (
    (r"\bprices?\b|\bcosts\b", "there is no setting: where no price is named here, the cost is `None`, never 0"),
    (
        r"\bcodes?\b|\bstatus\b|\b40[0-9]\b|\b50[0-9]\b|is said for|by their words",
        "there is no setting: `llmswitch.explain_error` tells what a response is taken for",
    ),
)


def ways(fact: str, adapter: Adapter) -> list[str]:
    """The settings that bear on a fact (`capabilities.images`), or a sentence where there is none."""
    found = [setting for words, settings in _SETTINGS if re.search(words, fact) for setting in settings]
    found = [way for way in dict.fromkeys(found) if not way.startswith("options.") or way[8:] in _options(adapter)]
    said = [sentence for words, sentence in _NO_SETTING if re.search(words, fact)]
    return found or said or ["nothing can be set for it"]


def settings_block(spec: ProviderSpec, adapter: Adapter, settings: Collection[str]) -> str:
    """These settings as TOML, with what is assumed now."""
    lines = [f"[providers.{spec.name}]"] if "jurisdiction" in settings else []
    if "jurisdiction" in settings and spec.site in spec.sites:
        lines.append(f'jurisdiction = "{spec.sites[spec.site].jurisdiction}"')
    able = adapter.capabilities.model_dump()
    for table, now in (("capabilities", able), ("options", _options(adapter))):
        names = sorted(way.partition(".")[2] for way in settings if way.startswith(f"{table}."))
        if names:
            lines += ["", f"[providers.{spec.name}.{table}]"] if lines else [f"[providers.{spec.name}.{table}]"]
            lines += [_line(name, now[name]) for name in names]
    return "".join(f"{line}\n" for line in lines)


def _line(name: str, value: Any) -> str:
    return f"# {name} is not set" if value is None else f"{name} = {in_toml(value)}"


def _options(adapter: Adapter) -> Mapping[str, Any]:
    found: Mapping[str, Any] = adapter.options.model_dump()
    return found


def in_toml(value: Any) -> str:
    """A value as it stands in a TOML file, on one line; a list of words in a fixed order."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {in_toml(each)}" for key, each in value.items()) + " }" if value else "{}"
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(in_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
