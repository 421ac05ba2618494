"""The configuration: its schema, and complaints about it that name the place, the expectation and the nearest name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, StrictBool, ValidationError, model_validator

from ._errors import ConfigError
from ._nearest import nearest
from ._provider import AuthSpec, HeaderName, Headers, Strict

__all__ = [
    "ChainConfig",
    "Config",
    "HTTPConfig",
    "KeyReference",
    "Loaded",
    "PolicyConfig",
    "ProviderConfig",
    "StoreConfig",
    "TargetConfig",
]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False, strict=True)]


class KeyReference(Strict):
    """Where a key is: exactly one of `env`, `file` and `command`."""

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> KeyReference:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1 or self.command == ():
            raise ValueError("give exactly one of env, file and command")
        return self


class Limits(Strict):
    """
    Time limits in seconds. `timeout` is for the whole call, the others for one attempt.

    What is not given is 120 for a whole answer and 600 for a stream, 30 to the first token (120 where the model was
    asked to reason), 30 between tokens (90), 5 to connect.
    """

    timeout: Seconds | None = None
    first_token_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    connect_timeout: Seconds | None = None


class TargetConfig(Strict):
    """A target with settings of its own, which stand in place of the caller's."""

    target: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    reasoning: Literal["off", "low", "medium", "high"] | int | None = None
    first_token_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None


class ChainConfig(Limits):
    """An ordered list of targets, tried until one answers."""

    targets: Annotated[tuple[str | TargetConfig, ...], Field(min_length=1)]
    max_attempts: Annotated[int, Field(ge=1, le=8)] = 4
    on_stream_failure: Literal["raise", "restart"] = "raise"
    degrade: StrictBool = False


class ProviderConfig(Strict):
    """
    What is set for one provider. With `dialect` it is a provider of its own, on any server that speaks that dialect.

    `credentials`: where the parts of its secret are, for a provider that signs its requests with more than one.
    `optional`: without its key the provider is left out of its chains instead of failing the load. `max_in_flight`: so
    many calls of this process at a time; one more waits up to 2 s for its turn, and then goes to the next target.
    `idempotency_header`: the header by which this server knows a repeated request.
    """

    dialect: str | None = None
    site: str | None = None
    version: str | None = None
    base_url: str | None = None
    api_key: KeyReference | None = None
    credentials: dict[str, KeyReference] = {}
    headers: Headers = {}
    auth: AuthSpec | None = None
    options: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    jurisdiction: str | None = None
    proxy: str | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] | None = None
    idempotency_header: HeaderName | None = None
    allow_insecure: StrictBool = False
    optional: StrictBool = False


class PolicyConfig(Strict):
    """Rules that hold for every chain. `jurisdictions`: the only places where data may go."""

    jurisdictions: tuple[str, ...] | None = None


class HTTPConfig(Strict):
    """
    `ca_file`: root certificates to trust in place of the usual ones, as a PEM file. `engine`: the HTTP library that
    carries the requests; `httpx2` is the extra of that name.
    """

    ca_file: str | None = None
    engine: Literal["httpx", "httpx2"] = "httpx"


class StoreConfig(Strict):
    """
    Where processes share what they know of targets. Without `url` each keeps it to itself.

    `prefix` begins the name of every key. `egress`: a name for the way to the vendors, where machines share one.
    """

    url: str | KeyReference | None = Field(default=None, repr=False)  # it may hold a password
    prefix: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] = "llmswitch"
    egress: Annotated[str, Field(min_length=1)] | None = None


class Config(Strict):
    """The whole configuration, as in `llmswitch.toml`."""

    default: str | None = None
    chains: dict[str, ChainConfig] = {}
    providers: dict[str, ProviderConfig] = {}
    policy: PolicyConfig = PolicyConfig()
    http: HTTPConfig = HTTPConfig()
    store: StoreConfig = StoreConfig()
    drill: dict[str, str] = {}


@dataclass(slots=True, frozen=True)
class Loaded:
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
        try:
            config = Config.model_validate(dict(given))
        except ValidationError as problem:
            raise ConfigError(f"{source}: {'; '.join(_complaints(problem))}") from None
        loaded = cls(config, source, trusted)
        _check_commands(loaded)
        return loaded

    @classmethod
    def from_file(cls, path: Path, *, trusted: bool = True) -> Loaded:
        """From `llmswitch.toml`, or from `[tool.llmswitch]` where the file is a pyproject.toml."""
        try:
            given = tomllib.loads(path.read_text("utf-8"))
        except OSError as problem:
            raise ConfigError(f"{path}: can't be read: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is not UTF-8 text") from None
        except tomllib.TOMLDecodeError as problem:
            raise ConfigError(f"{path}: not valid TOML: {problem}") from None
        if path.name == "pyproject.toml":
            given = given.get("tool", {}).get("llmswitch", {})
        return cls.from_mapping(given, str(path), trusted=trusted)


def _check_commands(loaded: Loaded) -> None:
    references: dict[str, KeyReference | None] = {}
    for name, given in loaded.config.providers.items():
        references[f"providers.{name}.api_key"] = given.api_key
        references.update({f"providers.{name}.credentials.{part}": each for part, each in given.credentials.items()})
    for place, reference in (*references.items(), ("store.url", loaded.config.store.url)):
        if isinstance(reference, KeyReference) and reference.command is not None and not loaded.trusted:
            raise ConfigError(
                f"{loaded.source}: {place}.command: this file was found, not named, so it may not run "
                "programs; name it in LLMSWITCH_CONFIG or Client.from_file(), or use env or file"
            )
    for name, given in loaded.config.providers.items():
        if given.auth is not None and given.auth.signer is not None and not loaded.trusted:
            raise ConfigError(
                f"{loaded.source}: providers.{name}.auth.signer: this file was found, not named, so it may not name "
                "code to load; name it in LLMSWITCH_CONFIG or Client.from_file()"
            )


def _complaints(problem: ValidationError) -> Iterator[str]:
    errors = problem.errors(include_input=False, include_url=False, include_context=False)
    # where a text or a table may stand, what is wrong inside the table is what counts
    inside = [error["loc"] for error in errors if error["type"] not in ("string_type", "model_type")]
    errors = [error for error in errors if not _beside(error["loc"], inside)]
    for error in errors[:5]:
        steps = [step for step in error["loc"] if not _is_branch(step)]
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        if error["type"] == "extra_forbidden":
            yield f"{place}: unknown key{nearest(str(steps[-1]), _fields(steps[:-1]))}"
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


def _is_branch(step: str | int) -> bool:
    branches = ("str", "int", "TargetConfig")
    return isinstance(step, str) and (step in branches or step.startswith(("literal[", "function-after[")))


def _fields(path: list[Any]) -> list[str]:
    """The keys that are valid at a path."""
    model: Any = Config
    for step in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field is not None else None
        elif isinstance(step, (str, int)):
            model = next((arg for arg in reversed(get_args(model)) if arg is not type(None)), None)
            if isinstance(step, int):
                model = TargetConfig
    while not isinstance(model, type) and get_args(model):
        candidates = [arg for arg in get_args(model) if isinstance(arg, type) and issubclass(arg, BaseModel)]
        model = candidates[0] if candidates else get_args(model)[-1]
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
