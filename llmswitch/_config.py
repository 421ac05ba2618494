"""The schema of the configuration: every table, and what may stand in it."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from ._limits import BudgetConfig, GrantConfig, KeyBudget, RateConfig
from ._provider import AuthSpec
from ._rate_headers import RateHeaders
from ._steps import GroupConfig, Limits, Seconds, Step, TargetConfig
from ._strict import HeaderName, Headers, Place, Strict

__all__ = [
    "CacheConfig",
    "ChainConfig",
    "Config",
    "GroupConfig",
    "HTTPConfig",
    "KeyReference",
    "PassthroughConfig",
    "PolicyConfig",
    "ProviderConfig",
    "ServerConfig",
    "ServerKey",
    "StoreConfig",
    "TargetConfig",
    "TelemetryConfig",
]

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,63}"


def _variable_name(name: str) -> str:
    """A name that can be printed: what stands here by mistake may be the key itself."""
    mixed = len(name) >= 24 and name != name.upper() and any(letter.isdigit() for letter in name)
    if mixed or not re.fullmatch(_VARIABLE, name):
        raise ValueError("env is the name of an environment variable, not the key")
    return name


class KeyReference(Strict):
    """Where a key is: exactly one of `env`, `file` and `command`."""

    env: Annotated[str, AfterValidator(_variable_name)] | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1 or self.command == ():
            raise ValueError("give exactly one of env, file and command")
        return self


def _stickiness(given: object) -> object:
    if isinstance(given, bool) or (isinstance(given, (int, float)) and 0 < given <= 86_400):
        return given
    raise ValueError("true, false, or for how many seconds a session is remembered, up to 86400")


class ChainConfig(Limits):
    """
    An ordered list of targets, tried until one answers.

    `hedge`: where a target is slower than it usually is (its 95th percentile, or `hedge_after` seconds; never less than
    1 s), the same request goes to the next one as well, and the first to answer wins. Both are billed; at most one call
    in twenty is hedged.
    `commit_on`: what binds a stream to its target, once it is handed over: the first word of any kind, or the first
    of the answer (the model's thinking then comes late). `min_tokens_per_second`: a stream that begins more slowly is
    left, as long as there is another target to ask; its first words are kept back for that. `lenient`: how many broken
    events of a stream may be skipped once the caller has some of it. `fallback_on`: what moves on that otherwise would
    not: `content_filter`. `sticky`: a session keeps to the target of a group that answered it, as long as that is well;
    it is remembered for an hour after its last call, or for so many seconds. `cache`: its answers are kept and given
    again, as `[cache]` says.
    """

    targets: Annotated[tuple[Step, ...], Field(min_length=1)]
    max_attempts: Annotated[int, Field(ge=1, le=8)] = 4
    on_stream_failure: Literal["raise", "restart", "continue"] = "raise"
    commit_on: Literal["reasoning", "text"] = "reasoning"
    min_tokens_per_second: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False, strict=True)] | None = None
    lenient: Annotated[int, Field(ge=0, le=1, strict=True)] = 0
    fallback_on: frozenset[Literal["content_filter"]] = frozenset()
    hedge: StrictBool = False
    hedge_after: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] | None = None
    degrade: StrictBool = False
    cache: StrictBool = False
    sticky: Annotated[bool | float, BeforeValidator(_stickiness)] = False

    @classmethod
    def of(cls, *names: str) -> Self:
        """A chain of these targets, with nothing else said of it."""
        return (
            cls.model_construct(targets=names) if all(isinstance(name, str) for name in names) else cls(targets=names)
        )

    @model_validator(mode="after")
    def _balanced(self) -> Self:
        groups = [step for step in self.targets if isinstance(step, GroupConfig)]
        if self.sticky and not groups:
            raise ValueError(
                "sticky is for a chain with a group, such as { group = [A, B], by = 'weighted' }; targets that stand "
                "alone are asked in their order, whoever asks"
            )
        for step in self.targets:
            if isinstance(step, TargetConfig) and step.weight is not None:
                raise ValueError(f"{step.target}: weight is for a member of a group by weighted or by least_busy")
        return self

    @property
    def entries(self) -> list[tuple[int, TargetConfig]]:
        """Every target in the order in which they are written, each with the number of its step."""
        return [
            (number, TargetConfig.model_construct(target=each) if isinstance(each, str) else each)
            for number, step in enumerate(self.targets)
            for each in (step.group if isinstance(step, GroupConfig) else (step,))
        ]


# What may become a part of an address: nothing that could lead to another one.
ADDRESS_PARTS = {"region": r"[a-z0-9]+(-[a-z0-9]+)*", "resource": r"[A-Za-z0-9]+([.-][A-Za-z0-9]+)*"}
Region = Annotated[str, Field(pattern=f"^{ADDRESS_PARTS['region']}$", max_length=40)]
Resource = Annotated[str, Field(pattern=f"^{ADDRESS_PARTS['resource']}$", max_length=100)]


class ProviderConfig(Strict):
    """
    What is set for one provider. With `dialect` it is a provider of its own, on any server that speaks that dialect;
    for a known one that speaks several, it chooses one of them for all models.

    `credentials`: where the parts of its secret are, for a provider that signs its requests with more than one.
    `region`, `resource`: for a provider whose address names one; a resource is an account, a workspace, or what the
    vendor calls one.
    `scheme`: which of the provider's ways to prove who asks, where it offers several.
    `optional`: without its key the provider is left out of its chains instead of failing the load. `max_in_flight`: so
    many calls of this process at a time; one more waits up to 2 s for its turn, and then goes to the next target.
    `idempotency_header`: the header by which this server knows a repeated request. `proxy`: its URL, or where that is.
    `follow_same_origin_redirects`: a 307 or 308 that stays at the same scheme, host and port is followed, three times
    at most. `rate_headers`: those by which its answers say what is left of a limit, in place of the known ones.
    """

    dialect: str | None = None
    site: str | None = None
    version: str | None = None
    base_url: str | None = None
    region: Region | None = None
    resource: Resource | None = None
    api_key: KeyReference | None = None
    credentials: dict[str, KeyReference] = {}
    headers: Headers = Field(default={}, repr=False)  # they may hold a second key
    auth: AuthSpec | None = None
    scheme: str | None = None
    options: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    jurisdiction: Place | None = None
    proxy: str | KeyReference | None = Field(default=None, repr=False)  # it may hold a password
    follow_same_origin_redirects: StrictBool = False
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] | None = None
    idempotency_header: HeaderName | None = None
    rate_headers: tuple[RateHeaders, ...] | None = None
    allow_insecure: StrictBool = False
    optional: StrictBool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.auth is not None and self.scheme is not None:
            raise ValueError("give auth or scheme, not both: each says how to prove who asks")
        return self

    limits: RateConfig = RateConfig.model_construct()
    grants: tuple[GrantConfig, ...] = ()


class PolicyConfig(Strict):
    """Rules that hold for every chain. `jurisdictions`: the only places where data may go."""

    jurisdictions: Annotated[tuple[Place, ...], Field(min_length=1)] | None = None


class HTTPConfig(Strict):
    """
    `ca_file`: root certificates to trust in place of the usual ones, as a PEM file. `engine`: the HTTP library that
    carries the requests; `httpx2` and `httptools` are extras of those names.

    `trust_env`: providers without a proxy of their own use that of the environment (`HTTPS_PROXY` and its like). No
    variable changes which certificates are trusted.
    """

    ca_file: str | None = None
    engine: Literal["httpx", "httpx2", "httptools"] = "httpx"
    trust_env: StrictBool = False


class StoreConfig(Strict):
    """
    Where processes share what they know of targets. Without `url` each keeps it to itself.

    `prefix` begins the name of every key. `egress`: a name for the way to the vendors, where machines share one.
    """

    url: str | KeyReference | None = Field(default=None, repr=False)  # it may hold a password
    prefix: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] = "llmswitch"
    egress: Annotated[str, Field(min_length=1)] | None = None


class CacheConfig(Strict):
    """
    Where answers are kept, to be given again to the same request. A chain has to ask for it with `cache = true`, or a
    call.

    `kind`: in the `memory` of this process, on its `disk`, or in `redis`; without it nothing is kept. `ttl`: for so
    many seconds. `max_bytes`: of memory or disk; a Redis has a bound of its own. `path`: the folder on the disk, in
    place of the user's own. `url`: of the Redis, in place of the store's. `shared`: calls with other tags, which in the
    gateway are those of other keys, are given the same answers.
    """

    kind: Literal["memory", "disk", "redis"] | None = None
    ttl: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False, strict=True)] = 3600
    max_bytes: Annotated[int, Field(ge=100_000, le=2**40, strict=True)] = 64 * 1024 * 1024
    path: Annotated[str, Field(min_length=1)] | None = None
    url: str | KeyReference | None = Field(default=None, repr=False)  # it may hold a password
    shared: StrictBool = False

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.path is not None and self.kind != "disk":
            raise ValueError('path is for kind = "disk"')
        if self.url is not None and self.kind != "redis":
            raise ValueError('url is for kind = "redis"')
        return self


def _beginning(path: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path) or {".", ".."} & set(path.split("/")):
        raise ValueError("a path is one below base_url, such as /files, without a slash at its end")
    return path


class PassthroughConfig(Strict):
    """
    Where requests of a program's SDK go that no chain can answer, such as files and images: to one vendor, as they are.

    `base_url`: where that is; no other host is ever asked. `api_key`: what is sent in place of the program's own key;
    without it none is. `auth`: the header that carries it. `paths`: the beginnings of what may be asked below
    `base_url`, such as `/files`; without it all may. `headers` are added, in place of the program's own.
    `jurisdiction`, `proxy` and `allow_insecure` as for a provider.
    """

    base_url: str
    api_key: KeyReference | None = None
    auth: AuthSpec = AuthSpec.model_construct()
    paths: tuple[Annotated[str, AfterValidator(_beginning)], ...] | None = None
    headers: Headers = Field(default={}, repr=False)  # they may hold a second key
    jurisdiction: Place | None = None
    proxy: str | KeyReference | None = Field(default=None, repr=False)  # it may hold a password
    allow_insecure: StrictBool = False

    @model_validator(mode="after")
    def _a_key_in_a_header(self) -> Self:
        if self.auth.signer is not None or self.auth.parts:
            raise ValueError("auth names the header of a key here; what has to be signed can't be passed through")
        return self


def _hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(
            "sha256 is the SHA-256 of the key in hexadecimal, not the key; `llmswitch serve key` writes it"
        )
    return text


class ServerKey(Strict):
    """
    A key by which a client of the gateway proves itself; the key itself stands nowhere.

    `models`: what it may ask, by names of chains and of targets; `"*"` is everything. Without it the chains of the
    configuration, and their targets. `budget`: what it may spend, counted under its name as a tag. `admin`: it opens
    the administration instead, and asks no model.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, AfterValidator(_hash)]
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    budget: KeyBudget | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None
    admin: StrictBool = False


Port = Annotated[int, Field(ge=0, le=65_535, strict=True)]


class ServerConfig(Strict):
    """
    The gateway. Beyond this machine it listens only where there is a key, the administration where there is one for it.

    `max_body_bytes`: of a request, undone from gzip. `max_concurrent`: requests under way; one more is told to come
    back. `shutdown_timeout`: seconds that answers under way are given when the process is to end. `envelope_keys`:
    secrets that sign what only a vendor understands on its way through clients; the first signs, the others are taken
    as well.
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    admin_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    admin_port: Port = 8081
    keys: tuple[ServerKey, ...] = ()
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**30, strict=True)] = 32 * 1024 * 1024
    max_concurrent: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 256
    shutdown_timeout: Seconds = 30
    envelope_keys: tuple[KeyReference, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        by_name: dict[str, ServerKey] = {}
        by_hash: dict[str, ServerKey] = {}
        for key in self.keys:
            if key.name in by_name:
                raise ValueError(f"two keys are named {key.name}")
            same = by_hash.setdefault(key.sha256, key)
            if same is not key:
                raise ValueError(f"{same.name} and {key.name} have the same sha256, so they are one key")
            by_name[key.name] = key
        return self


class TelemetryConfig(Strict):
    """
    `otel`: every client makes spans and metrics by OpenTelemetry; needs the extra of that name. `content`: whether the
    spans hold prompts and answers; where it is not said, OpenTelemetry's own variable decides.
    """

    otel: StrictBool = False
    content: StrictBool | None = None

    @model_validator(mode="after")
    def _spans_are_made(self) -> Self:
        if self.content and not self.otel:
            raise ValueError("content is what spans hold, and none are made: set otel = true too")
        return self


class Config(Strict):
    """
    The whole configuration, as in `llmswitch.toml`.

    `strict`: what is amiss with a file that holds a secret is an error instead of a warning. `aliases`: other names for
    chains and targets, as the old models of a program; `*` stands for every name that a program under whose SDK this
    library lies may give, and that leads nowhere else.
    """

    strict: StrictBool = False
    default: str | None = None
    aliases: dict[str, str] = {}
    chains: dict[str, ChainConfig] = {}
    providers: dict[str, ProviderConfig] = {}
    policy: PolicyConfig = PolicyConfig.model_construct()
    http: HTTPConfig = HTTPConfig.model_construct()
    store: StoreConfig = StoreConfig.model_construct()
    cache: CacheConfig = CacheConfig.model_construct()
    passthrough: PassthroughConfig | None = None
    budgets: tuple[BudgetConfig, ...] = ()
    drill: dict[str, str] = {}
    server: ServerConfig = ServerConfig.model_construct()
    telemetry: TelemetryConfig = TelemetryConfig.model_construct()
