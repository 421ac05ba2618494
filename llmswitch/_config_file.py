"""A configuration as it is read: complaints about it name the place, the expectation and the nearest name."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from ._config import Config, GroupConfig, KeyReference, TargetConfig
from ._errors import ConfigError
from ._nearest import nearest
from ._secrets import insist

__all__ = ["Loaded"]


class Loaded(NamedTuple):
    """
    A configuration and where it is from.

    `trusted`: it was named explicitly, or lies in the user's own folder. One that was merely found may come with
    somebody else's repository, so it may not run commands.
    """

    config: Config
    source: str
    trusted: bool = True

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], source: str = "config", *, trusted: bool = True) -> Loaded:
        """Raises `ConfigError` with the path of the offending key and the nearest valid one; never with a value."""
        read = _validated(given)
        del given  # a key in clear under a mistyped name would be shown with the frame
        if isinstance(read, str):
            raise ConfigError(f"{source}: {read}")
        loaded = cls(read, source, trusted)
        if not trusted:
            _check_found(loaded)
        return loaded

    @classmethod
    def from_file(cls, path: Path, *, trusted: bool = True) -> Loaded:
        """From `llmswitch.toml`, or from `[tool.llmswitch]` where the file is a pyproject.toml."""
        loaded = cls.from_mapping(_read(path), str(path), trusted=trusted)
        if _holds_password(loaded.config) and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            insist(
                f"{path} holds a password and can be read by other users; chmod 600 it, or refer to the password with "
                '{ env = "NAME" } or { file = "PATH" }',
                strict=loaded.config.strict,
            )
        return loaded


def _validated(given: Mapping[str, Any]) -> Config | str:
    """The configuration, or what is wrong with it."""
    try:
        return Config.model_validate(dict(given))
    except ValidationError as problem:
        return "; ".join(_complaints(problem))


def _read(path: Path) -> Mapping[str, Any]:
    """The table of a file that is ours."""
    given: Mapping[str, Any] = {}
    said = None
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        said = f"can't be read: {problem.strerror}"
    except UnicodeDecodeError:
        said = "is not UTF-8 text"
    except tomllib.TOMLDecodeError as problem:
        said = f"not valid TOML: {problem}"
    if said is not None:
        raise ConfigError(f"{path}: {said}")
    if path.name == "pyproject.toml":
        given = given.get("tool", {}).get("llmswitch", {})
    return given


def _holds_password(config: Config) -> bool:
    """Whether there is a password in an address that is written out."""
    urls = [config.store.url, config.cache.url, *(own.proxy for own in config.providers.values())]
    urls += [config.passthrough.proxy] if config.passthrough is not None else []
    return any(isinstance(url, str) and "@" in url for url in urls)


def _check_found(loaded: Loaded) -> None:
    """What a file that came with somebody else's repository must not do: run code, or choose whose word is trusted."""
    config = loaded.config
    references: dict[str, str | KeyReference | None] = {"store.url": config.store.url, "cache.url": config.cache.url}
    references.update({f"server.envelope_keys[{at}]": each for at, each in enumerate(config.server.envelope_keys)})
    if config.passthrough is not None:
        references["passthrough.api_key"] = config.passthrough.api_key
        references["passthrough.proxy"] = config.passthrough.proxy
    refused = {"http.ca_file": "choose whose certificates are trusted"} if config.http.ca_file is not None else {}
    if config.telemetry.content:
        refused["telemetry.content"] = "have prompts recorded"
    if config.cache.path is not None:
        refused["cache.path"] = "choose where answers are written"
    for name, own in config.providers.items():
        references[f"providers.{name}.api_key"] = own.api_key
        references[f"providers.{name}.proxy"] = own.proxy
        references.update({f"providers.{name}.credentials.{part}": each for part, each in own.credentials.items()})
        if own.dialect is not None and ":" in own.dialect:
            refused[f"providers.{name}.dialect"] = "name code to load"
        if own.auth is not None and own.auth.signer is not None:
            refused[f"providers.{name}.auth.signer"] = "name code to load"
    for place, reference in references.items():
        if isinstance(reference, KeyReference) and reference.command is not None:
            refused[f"{place}.command"] = "run programs"
    for place, what in refused.items():
        raise ConfigError(
            f"{loaded.source}: {place}: this file was found, not named, so it may not {what}; name it in "
            "LLMSWITCH_CONFIG or Client.from_file(), or set this in the file in your own configuration folder"
        )


def _complaints(problem: ValidationError) -> Iterator[str]:
    errors = problem.errors(include_input=False, include_url=False, include_context=False)
    # where a text or a table may stand, what is wrong inside the table is what counts
    inside = [error["loc"] for error in errors if error["type"] not in ("string_type", "model_type")]
    errors = [error for error in errors if not _beside(error["loc"], inside) and not _for_another(error, inside)]
    for error in errors[:5]:
        steps = [step for step in error["loc"] if not _is_branch(step)]
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        if error["type"] == "extra_forbidden":
            yield f"{place}: unknown key{nearest(str(steps[-1]), _fields(error['loc'][:-1]))}"
        elif steps and steps[-1] == "api_key" and error["type"] != "value_error":
            yield (
                f'{place}: write where the key is, not the key: {{ env = "NAME" }}, {{ file = "PATH" }} or '
                '{ command = ["PROGRAM", …] }'
            )
        else:
            said = error["msg"].removeprefix("Value error, ")
            yield f"{place or 'the whole'}: {said[:1].lower()}{said[1:]}"


def _beside(place: tuple[str | int, ...], others: list[tuple[str | int, ...]]) -> bool:
    return place[-1:] == ("str",) and any(place[:-1] == other[: len(place) - 1] for other in others)


def _for_another(error: Any, others: list[tuple[str | int, ...]]) -> bool:
    """Whether a list is too short only since something is wrong with what stands in it."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        place == other[: len(place)] and len(place) < len(other) for other in others
    )


def _is_branch(step: str | int) -> bool:
    return isinstance(step, str) and (
        step in ("str", "int", *_STEPS) or step.startswith(("literal[", "function-after["))
    )


_STEPS: Mapping[str, type[BaseModel]] = {"TargetConfig": TargetConfig, "GroupConfig": GroupConfig}


def _fields(path: tuple[str | int, ...]) -> list[str]:
    """The keys that are valid at a path."""
    model: Any = Config
    for step in path:
        if step in _STEPS:
            model = _STEPS[str(step)]
        elif _is_branch(step):
            continue
        elif isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field is not None else None
        elif isinstance(step, int):
            model = _table_in(model)
        else:
            model = next((arg for arg in reversed(get_args(model)) if arg is not type(None)), None)
    model = _table_in(model)
    return list(model.model_fields) if model is not None else []


def _table_in(model: Any) -> type[BaseModel] | None:
    """The table that may stand where such a value is expected, alone or in a list."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return model
    return next((found for arg in get_args(model) if (found := _table_in(arg)) is not None), None)
