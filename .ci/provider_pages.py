"""
The pages of docs/providers, from the providers' files: `python .ci/provider_pages.py` writes all of them anew.

It also runs the commands whose output stands in other pages (`<!-- output of: llmswitch … -->`), so that this is the
one thing to do after a provider's file has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from command_output import refreshed
from unsure_facts import in_toml, settings_block, ways

from llmswitch._adapter import ModelIdentity
from llmswitch._capabilities import Capabilities
from llmswitch._catalog import find_model, models_of
from llmswitch._catalog_words import prices_in_words
from llmswitch._config import ProviderConfig
from llmswitch._provider import ErrorRule, FamilySpec, ProviderSpec
from llmswitch._registry import author_of, dialect, provider, provider_names
from llmswitch._speaking import make_adapter

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "providers"
WITH_OUTPUT = ("leaving-openai.md", "leaving-openai.zh.md")
MADE = "<!-- from providers/{}: python .ci/provider_pages.py -->\n"
LEVELS = ("off", "low", "medium", "high", "budget")
SETTINGS = ("temperature", "top_p", "stop", "seed")


def pages() -> dict[Path, str]:
    """Every page that there should be, by its path."""
    names = (entry.name for entry in files("llmswitch.providers").iterdir())
    specs = [provider(name.removesuffix(".toml")) for name in sorted(names) if name.endswith(".toml")]
    made = {FOLDER / "index.md": index(specs), **{FOLDER / f"{spec.name}.md": page(spec) for spec in specs}}
    return made | {DOCS / name: refreshed(DOCS / name) for name in WITH_OUTPUT if (DOCS / name).is_file()}


def page(spec: ProviderSpec) -> str:
    """One provider's page."""
    parts = [f"# {spec.title or spec.name}\n\n{MADE.format(spec.name + '.toml')}\n{_introduction(spec)}"]
    if spec.retired:
        return f"{parts[0]}\n**Closed.** {spec.retired}\n"
    sections = {
        "Start": _start(spec),
        "Sites": _sites(spec),
        "Proving who asks": _proofs(spec),
        "API versions": _versions(spec),
        "Closed services": "".join(f"- {each.message}\n" for each in spec.closed),
        "Models": _models(spec),
        "Abilities": _abilities(spec),
        "Errors": _errors(spec),
        "Departures from the dialect": _departures(spec),
        "What is not certain": _unsure(spec),
    }
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n".join(parts)


def _introduction(spec: ProviderSpec) -> str:
    author = author_of(spec.dialect)
    speaks = f"the dialect [`{spec.dialect}`]({author}.md)" if author != spec.name else "a dialect of its own"
    others = "".join(f", and to some of its models `{name}`" for name in spec.dialects)
    text = f"`{spec.name}` speaks {speaks}{others}. [The vendor's documentation]({spec.docs})."
    if spec.checked is not None:
        text += f" The facts were checked on {spec.checked}."
    return f"{text}\n{_said_at_the_top(spec.name)}"


def _said_at_the_top(name: str) -> str:
    """The comment with which the provider's file begins: whose it is, and where its facts are from."""
    lines = (files("llmswitch.providers") / f"{name}.toml").read_text("utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return f"\n{' '.join(comment)}\n" if comment else ""


def _start(spec: ProviderSpec) -> str:
    if spec.server is not None:
        return "```sh\npip install 'llmswitch[local]'\nllmswitch local install\n```\n"
    site = spec.sites.get(spec.site)
    if site is None or not site.key_env:
        return ""
    model = spec.default_model or next((model.id for model in models_of(spec.name)), "MODEL")
    proof = spec.schemes[spec.scheme] if spec.scheme is not None else spec.auth
    secrets = [names[0] for names in proof.parts.values() if names] if proof is not None else []
    exports = " ".join(f"{name}=…" for name in (*(secrets or site.key_env[:1]), *site.resource_env[:1]))
    text = ""
    if "{resource}" in site.base_url and not site.resource_env:
        text = f'```toml\n[providers.{spec.name}]\nresource = "my-workspace"\n```\n\n'
    text += f'```sh\nexport {exports}\nllmswitch chat "Say hello" -m {spec.name}:{model}\n```\n'
    if len(site.key_env) > 1 and not secrets:
        text += f"\nThe key is looked for in {_codes(site.key_env)}, in this order.\n"
    other = next((name for name, each in spec.sites.items() if each.key_env not in ((), site.key_env)), None) or next(
        (name for name in spec.sites if name != spec.site), None
    )
    if other is not None:
        keys = _codes(spec.sites[other].key_env)
        text += f"\nFor another site than `{spec.site}`, here with a key in {keys}:\n\n"
        text += f'```toml\n[providers.{spec.name}]\nsite = "{other}"\n```\n'
    return text


def _sites(spec: ProviderSpec) -> str:
    rows = [
        (
            f"`{name}`{' (default)' if name == spec.site else ''}",
            site.jurisdiction,
            f"`{site.base_url}`",
            _codes(site.key_env),
            site.note,
        )
        for name, site in spec.sites.items()
    ]
    return _table(("site", "data goes to", "address", "key", "note"), rows) if rows else ""


def _proofs(spec: ProviderSpec) -> str:
    """The ways to prove who asks, where a key in a header is not the only one."""
    ways = {"": spec.auth, **spec.schemes} if spec.scheme is None else dict(spec.schemes)
    rows = [
        (
            f'`scheme = "{name}"`{" (default)" if name == spec.scheme else ""}' if name else "default",
            "; ".join(f"{part}: {_codes(names)}" for part, names in auth.parts.items()) or "the key",
            f"`{auth.signer.partition(':')[2]}`" if auth.signer else f"header `{auth.header}`",
        )
        for name, auth in ways.items()
        if auth is not None
    ]
    signed = any(auth is not None and auth.signer for auth in ways.values())
    return _table(("way", "secrets, and the variables that hold them", "sent as"), rows) if signed else ""


def _versions(spec: ProviderSpec) -> str:
    rows = [
        (
            f"`{name}`{' (default)' if name == spec.version else ''}",
            ", ".join(f"`{header}: {value}`" for header, value in version.headers.items()),
            f"`{version.auth.header}`" if version.auth is not None else "",
            f"`{in_toml(version.capabilities)}`" if version.capabilities else "",
            version.note,
        )
        for name, version in spec.versions.items()
    ]
    if not rows:
        return ""
    other = next((name for name in spec.versions if name != spec.version), spec.version)
    choice = f'\n```toml\n[providers.{spec.name}]\nversion = "{other}"\n```\n'
    return _table(("version", "headers", "the key is in", "takes at most", "note"), rows) + choice


def _models(spec: ProviderSpec) -> str:
    rows = [
        (
            f"`{model.id}`{' (default)' if model.is_default else ''}",
            model.tier or "-",
            _count(model.capabilities.context),
            _count(model.capabilities.max_output),
            "<br>".join(prices_in_words(model.prices)) or "-",
            model.source or "-",
            f"{model.checked or '-'}{f'<br>retires {model.retires}' if model.retires else ''}",
        )
        for model in models_of(spec.name)
    ]
    heads = ("model", "tier", "context", "output", "price per million tokens", "source", "checked")
    others = "Other models of this vendor can be named as well.\n\n" if spec.server is None else ""
    return f"{others}{_table(heads, rows)}" if rows else ""


def _abilities(spec: ProviderSpec) -> str:
    models = list(models_of(spec.name))
    if spec.server is None:
        models.append(find_model(f"{spec.name}:any other model"))
    rows = [(f"`{model.id}`" if model.listed else "any other", *_able(model.capabilities)) for model in models]
    note = "Settings are those beside `max_tokens`. A request that asks for more is refused before it is sent."
    makers = [model.capabilities for model in models if model.capabilities.embeddings]
    if makers:
        taken = sorted({f"`{name}`" for able in makers for name in able.embedding_settings})
        takes = f"; it takes {' and '.join(taken)} here" if taken else ""
        note += f" [`client.embed()`](../vectors.md) is for its models that make vectors{takes}."
    note += "\n\n"
    return note + _table(("model", *ABLE), rows)


ABLE = ("images", "documents", "audio", "tools", "tool choice", "JSON", "schema", "reasoning", "settings")


def _able(able: Capabilities) -> tuple[str, ...]:
    reasoning = ", ".join(level for level in LEVELS if level in able.reasoning)
    if able.thinks_unasked:
        reasoning = "; ".join(filter(None, ("unasked" if "off" in able.reasoning else "always", reasoning)))
    return (
        *(_mark(flag) for flag in (able.images, able.documents, able.audio, able.tools)),
        ", ".join(form for form in ("auto", "none", "required", "named") if form in able.tool_choice and able.tools),
        _mark(able.json_object),
        _mark(able.json_schema),
        reasoning or "-",
        ", ".join(name for name in SETTINGS if name in able.settings),
    )


def _errors(spec: ProviderSpec) -> str:
    rows = [(_conditions(rule), f"[`{rule.becomes}`](../errors.md)", rule.hint or rule.note) for rule in spec.errors]
    like = spec.errors_like or author_of(spec.dialect)
    after = f"the rules of {_link(like)}, then " if like != spec.name else ""
    note = f"The first that fits decides; what none of them knows is read by {after}the rules for everybody.\n\n"
    return note + _table(("what the vendor says", "class", "note"), rows) if rows else ""


def _conditions(rule: ErrorRule) -> str:
    parts = []
    for name in ("code", "type", "status"):
        values = getattr(rule, name)
        if values:
            parts.append(f"{name} {_codes(map(str, values))}")
    if rule.text:
        parts.append(f"words {_codes(rule.text)}")
    if rule.html is not None:
        parts.append("a page" if rule.html else "no page")
    return "; ".join(parts)


def _departures(spec: ProviderSpec) -> str:
    entries: list[tuple[str, Mapping[str, Any], str]] = [("all", spec.options, "")]
    entries += [(_codes(family.match), family.options, _of(family)) for family in spec.families]
    entries += [(f"`{model.id}`", model.options, "") for model in spec.models]
    table = _options(entries, spec.dialect)
    for name, other in spec.dialects.items():
        takers = [family.match for family in spec.families if family.dialect == name]
        asked = ", ".join(_codes(match) for match in takers) or "those for which it is chosen"
        departs = _options([("all", other.options, other.note)], name)
        text = f"`{name}` is spoken to {asked}, {'so' if departs else 'without departures'}"
        table += f"{chr(10) if table else ''}{text}{':' + chr(10) * 2 + departs if departs else '.' + chr(10)}"
    return table


def _options(entries: Sequence[tuple[str, Mapping[str, Any], str]], name: str) -> str:
    meanings = _meanings(name)
    rows = [
        (f"`{option}`", f"`{in_toml(value)}`", models, meanings.get(option, "") if option not in seen else "")
        for seen, (option, value, models) in _seen_before(
            (option, value, f"{models}{note}") for models, options, note in entries for option, value in options.items()
        )
    ]
    return _table(("option", "value", "models", "what it means"), rows) if rows else ""


def _of(family: FamilySpec) -> str:
    return f": {family.note}" if family.note else ""


def _seen_before(rows: Iterable[tuple[str, Any, str]]) -> Iterator[tuple[frozenset[str], tuple[str, Any, str]]]:
    """Each row with the options that stood above it: what an option means is said once."""
    seen: frozenset[str] = frozenset()
    for row in rows:
        yield seen, row
        seen |= {row[0]}


@cache
def _meanings(name: str) -> Mapping[str, str]:
    """What each option of a dialect means: the sentences of its class's docstring."""
    text = " ".join((dialect(name).Options.__doc__ or "").split())
    found = re.finditer(r"(?:^|[.;] )`(\w+)`: (.*?)(?=[.;] `\w+`: |$)", text)
    return {match[1]: match[2].rstrip(".") for match in found}


def _unsure(spec: ProviderSpec) -> str:
    if not spec.unsure:
        return ""
    model = spec.default_model or next((model.id for model in models_of(spec.name)), "any")
    identity = ModelIdentity(spec.name, "", model)
    adapter = make_adapter(spec, ProviderConfig(), identity, f"providers.{spec.name}")
    lines = []
    settings: set[str] = set()
    for fact in spec.unsure:
        found = ways(fact, adapter)
        settings |= {way for way in found if "." in way or way == "jurisdiction"}
        said = any(words in fact for words in ("set capabilit", "set jurisdiction", "set dialect"))
        way_out = "" if said else f" {_way_out(found)}"
        lines.append(f"- {_sentence(fact)}{way_out}\n")
    text = "".join(lines)
    if settings:
        text += (
            f"\nWhere you know better, say it, for all models at once; this is what is assumed of `{model}` now:\n\n"
        )
        text += f"```toml\n{settings_block(spec, adapter, settings)}```\n"
    return text


def _way_out(found: Sequence[str]) -> str:
    settings = [way for way in found if " " not in way]
    rest = [_sentence(way) for way in found if " " in way]
    return " ".join(([f"Set {_codes(settings)}."] if settings else []) + rest)


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name in code."""
    return f"{text if '_' in text.split(maxsplit=1)[0] else text[:1].upper() + text[1:]}."


def index(specs: Sequence[ProviderSpec]) -> str:
    """The matrix of all providers."""
    living = [spec for spec in specs if not spec.retired]
    text = f"# Providers\n\n{MADE.format('')}\n"
    text += f"{len(living)} providers, {sum(len(models_of(spec.name)) for spec in living)} models with known facts. "
    text += "Any other server that speaks a dialect is [three lines of configuration](../configuration.md).\n\n"
    text += _table(("provider", "data goes to: sites", "key", "dialect", "models", "checked"), map(_line, living))
    text += "\n## What their default models can do\n\n"
    text += _table(("model", *ABLE), [_default(spec) for spec in living if spec.default_model])
    closed = [spec for spec in specs if spec.retired]
    if closed:
        text += "\n## Closed\n\n"
        text += "".join(f"- [{spec.title or spec.name}]({spec.name}.md): {spec.retired}\n" for spec in closed)
    return text


def _line(spec: ProviderSpec) -> tuple[str, ...]:
    places: dict[str, list[str]] = {}
    for name, site in spec.sites.items():
        places.setdefault(site.jurisdiction, []).append(name)
    where = "; ".join(f"{place}: {', '.join(names)}" for place, names in places.items())
    keys = list(dict.fromkeys(site.key_env[0] for site in spec.sites.values() if site.key_env))
    return (
        f"[{spec.title}]({spec.name}.md)<br>`{spec.name}`",
        where or "this machine: local",
        "<br>".join(f"`{key}`" for key in keys) or spec.key,
        f"`{spec.dialect}`",
        str(len(models_of(spec.name))),
        str(spec.checked),
    )


def _default(spec: ProviderSpec) -> tuple[str, ...]:
    model = find_model(spec.name)
    return (f"`{model.target}`", *_able(model.capabilities))


# Markdown


def _link(name: str) -> str:
    """A provider's name, with its page; a dialect may be named for nobody."""
    return f"[`{name}`]({name}.md)" if name in provider_names() else f"`{name}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _mark(flag: bool) -> str:
    return "yes" if flag else "-"


def _count(number: int | None) -> str:
    return f"{number:,}" if number is not None else "-"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for stale in set(FOLDER.glob("*.md")) - made.keys():
        stale.unlink()
    for path, text in made.items():
        path.write_text(text, "utf-8")
