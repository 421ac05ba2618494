"""Finds providers and dialects by name, each read or imported when it is first named."""

from __future__ import annotations

import importlib
import re
import threading
from functools import cache
from typing import TYPE_CHECKING

from ._adapter import Adapter
from ._errors import ConfigError
from ._nearest import nearest
from ._provider import ErrorRule, ModelList, ProviderSpec

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ._classify import ErrorRules

__all__ = [
    "author_of",
    "chooses_dialect",
    "closed_service",
    "dialect",
    "error_rules",
    "head_of",
    "is_provider",
    "model_list",
    "owners_of",
    "provider",
    "provider_names",
]

_PACKAGE = f"{__package__}.providers"
_GROUP = "llmswitch.providers"
_LISTS = r"(?m)^\[\[(?:families|models|prices|errors)\]\]"
_lock = threading.RLock()  # one provider may lead to another
_read: dict[str, ProviderSpec] = {}


def provider(name: str) -> ProviderSpec:
    """
    The provider of that name: built in, or from an installed package with an entry point in `llmswitch.providers`.

    Raises `ConfigError` with the nearest known name where there is none.
    """
    found = _read.get(name)
    if found is None:
        with _lock:
            found = _read.get(name)
            if found is None:
                found = ProviderSpec.read(_text(name), name)
                if found.models_of is not None:
                    found = found.with_models(provider(found.models_of.provider))
                _read[name] = found
    return found


def head_of(name: str) -> ProviderSpec:
    """
    What a built-in provider's file says before its lists of models, prices and errors: to read those takes most of the
    time. Of a provider from outside it is all. Raises `ConfigError` where there is no such provider.
    """
    if name in _read or name not in _builtin():
        return provider(name)
    return ProviderSpec.read(re.split(_LISTS, _text(name), maxsplit=1)[0], name)


def closed_service(word: str) -> str | None:
    """
    What to do in place of a service that its vendor has closed, by one of its hosts or key variables; `None` where no
    built-in provider's file says that it is closed.
    """
    for name in _telling_of_closed():
        if f'"{word}"' in _builtin()[name].read_text("utf-8"):
            for service in provider(name).closed:
                if word in (*service.hosts, *service.key_env):
                    return service.message
    return None


@cache
def _telling_of_closed() -> list[str]:
    # to read all the files takes little, to parse them their time
    return [name for name, entry in _builtin().items() if b"[[closed]]" in entry.read_bytes()]


def is_provider(name: str) -> bool:
    """Whether a provider has that name: installed packages are looked through where it is not a built-in one's."""
    return name in _builtin() or name in _outside()


def provider_names() -> list[str]:
    """All built-in names, and those of installed packages."""
    return sorted({*_builtin(), *_outside()})


@cache
def _builtin() -> dict[str, Traversable]:
    from importlib.resources import files

    return {
        entry.name.removesuffix(".toml"): entry for entry in files(_PACKAGE).iterdir() if entry.name.endswith(".toml")
    }


@cache
def _outside() -> dict[str, str]:
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for package in distributions():
        # `entry_points()` reads the entries of all packages, which takes twice as long
        if _GROUP in (package.read_text("entry_points.txt") or ""):
            for entry in package.entry_points.select(group=_GROUP):
                found.setdefault(entry.name, entry.module)
    return found


def owners_of(variable: str) -> list[ProviderSpec]:
    """The built-in providers whose key is usually in this environment variable."""
    # reading a file is quick, validating all of them is not
    named = [name for name, entry in _builtin().items() if f'"{variable}"' in entry.read_text("utf-8")]
    return [spec for spec in map(provider, named) if variable in _key_variables(spec)]


def _key_variables(spec: ProviderSpec) -> set[str]:
    ways = (spec.auth, *spec.schemes.values())
    names = [site.key_env for site in spec.sites.values()]
    names += [variables for auth in ways if auth is not None for variables in auth.parts.values()]
    return {name for each in names for name in each}


def _text(name: str) -> str:
    entry = _builtin().get(name)
    if entry is None:
        package = _outside().get(name)
        if package is None:
            raise ConfigError(
                f"no provider is named {name!r}{nearest(name, provider_names())}; `llmswitch providers` lists them, "
                f"and [providers.{name}] with dialect and base_url in the configuration makes one"
            )
        from importlib.resources import files

        entry = files(importlib.import_module(package)) / f"{name}.toml"
        if not entry.is_file():
            raise ConfigError(f"the package {package} offers the provider {name!r} but holds no {name}.toml")
    return entry.read_text("utf-8")


@cache
def dialect(name: str) -> type[Adapter]:
    """
    The adapter class of a dialect. A name is a module of `llmswitch.providers`; `package.module:Class` one from
    outside.

    Raises `ConfigError` where there is none.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        module, attribute = f"{_PACKAGE}.{name.replace('-', '_')}", "ADAPTER"
        if not name.replace("-", "_").isidentifier():
            raise ConfigError(f"no dialect is named {name!r}")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as problem:
        if isinstance(problem, ModuleNotFoundError) and problem.name != module:
            raise  # the dialect is there, something that it needs is not
        known = sorted({entry for entry in _builtin() if provider(entry).dialect == entry} | _others())
        raise ConfigError(f"no dialect is named {name!r}{nearest(name, known)}; known: {', '.join(known)}") from None
    assert isinstance(found, type)
    assert issubclass(found, Adapter)
    return found


def _others() -> set[str]:
    return {name for entry in _builtin() for name in provider(entry).dialects}


def author_of(name: str) -> str:
    """The provider whose dialect it is. Raises `ConfigError` where there is no such dialect."""
    return dialect(name).author or name


def chooses_dialect(name: str, wanted: str | None) -> bool:
    """Whether that dialect is one of several of a known provider's: to name it is a choice, and makes no new one."""
    spec = provider(name) if wanted is not None and is_provider(name) else None
    return spec is not None and len(spec.spoken) > 1 and wanted in spec.spoken


def error_rules(spec: ProviderSpec) -> ErrorRules:
    """
    The rules by which a provider's failures are classified: its own, those of whom its errors are like, and so on to
    the author of the dialect, then everybody's.
    """
    from ._classify import ErrorRules, read_defaults

    rules: list[ErrorRule] = [*spec.errors]
    seen: set[str] = set()
    like = spec.errors_like or author_of(spec.dialect)
    while like in _builtin() and like not in seen:
        seen.add(like)
        other = provider(like)
        rules += () if other is spec else other.errors
        like = other.errors_like or author_of(other.dialect)
    return ErrorRules((*rules, *read_defaults()))


def model_list(spec: ProviderSpec) -> ModelList | None:
    """
    Where a provider's models are listed; `None` where they are not. One that says nothing of it is taken to have its
    dialect's author's: whether that holds all, and wants a key, was not looked up.
    """
    if spec.model_list is not None:
        return spec.model_list if spec.model_list.path else None
    author = author_of(spec.dialect)
    theirs = provider(author).model_list if is_provider(author) else None
    return theirs.model_copy(update={"partial": True, "open": True}) if theirs is not None else None
