"""A provider as data: the schema of its TOML file, and of the same facts given in a configuration."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, field_validator, model_validator

from . import _errors
from ._errors import ConfigError
from ._prices import Price
from ._rate_headers import USUAL, RateHeaders
from ._strict import HeaderName, Headers, Place, Strict, first_problem

__all__ = [
    "AuthSpec",
    "BalanceSpec",
    "ErrorRule",
    "ModelList",
    "ModelTier",
    "ProviderSpec",
    "SiteSpec",
    "VersionSpec",
]


class AuthSpec(Strict):
    """
    The header that carries the key, and what stands before the key in it.

    Where a key in a header is not enough, `signer` is `module:Class` of a `Credential`, `parts` are the environment
    variables of its secrets by their names, best first, and `options` are the signer's own. `general`: the secrets are
    those of a whole cloud, so that they are set does not say that this service of it is meant.
    """

    header: str = "Authorization"
    prefix: str = "Bearer "
    signer: str | None = None
    parts: dict[str, tuple[str, ...]] = {}
    options: dict[str, Any] = {}
    general: bool = False


class SiteSpec(Strict):
    """
    One of a vendor's sites. `jurisdiction` says where data goes that is sent there: an ISO country code, `global` where
    the vendor does not say or uses several places, `local`, or `unknown`.

    `key_env`: the environment variables that usually hold its key, best first. `account`: sites of one account take
    each other's keys; where it is not said, a site takes its own alone. `region` stands for `{region}` in `base_url`
    where neither the configuration nor a variable of `region_env` names another. `resource_env`: the variables that may
    name what stands for `{resource}`, for which there is no usual one. `regions`: those that have this site for an
    address of their own; any other is at the site whose address names it. `address_env`: the variables that may name a
    server of the user's own in place of `base_url`, as that server itself is told where to listen.
    """

    base_url: str
    region: str | None = None
    region_env: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    resource_env: tuple[str, ...] = ()
    address_env: tuple[str, ...] = ()
    jurisdiction: Place = "unknown"
    key_env: tuple[str, ...] = ()
    account: str = ""
    note: str = ""


class ClosedSpec(Strict):
    """
    A service that the vendor has closed, known by its hosts and by the variables that held its keys.

    `message` says since when, and what to use now.
    """

    hosts: tuple[str, ...] = ()
    key_env: tuple[str, ...] = ()
    message: str


class VersionSpec(Strict):
    """One dated version of a vendor's API: what it changes."""

    headers: Headers = {}
    auth: AuthSpec | None = None
    capabilities: dict[str, Any] = {}
    options: dict[str, Any] = {}
    note: str = ""


# A model's place in its vendor's line when it came out, by the vendor's own words and prices.
ModelTier: TypeAlias = Literal["flagship", "standard", "small"]


class DialectSpec(Strict):
    """
    Another dialect in which the provider can be asked, beside its usual one. `options` are those of this dialect, which
    hold in place of all others; lists of `capabilities` can only take away from what a model does.
    """

    capabilities: dict[str, Any] = {}
    options: dict[str, Any] = {}
    note: str = ""


class ModelSpec(Strict):
    """
    One model: what it can do beyond its family. `source` and `checked` say where the facts are from.

    `tier`: its place in the vendor's line when it came out. `retires`: the day from which the vendor no longer serves
    it. `dialect`: the one of the provider's dialects in which it is asked, where that is not the usual one.
    """

    id: str
    dialect: str | None = None
    capabilities: dict[str, Any] = {}
    options: dict[str, Any] = {}
    tier: ModelTier | None = None
    retires: date | None = None
    source: str = ""
    checked: date | None = None


class FamilySpec(Strict):
    """
    What the models whose names match have in common; `tier`, `retires` and `dialect` as of a model.

    `jurisdiction`: where the site sends on what they are asked, if they are not served there.
    """

    match: tuple[str, ...]
    dialect: str | None = None
    capabilities: dict[str, Any] = {}
    options: dict[str, Any] = {}
    tier: ModelTier | None = None
    retires: date | None = None
    jurisdiction: Place | None = None
    note: str = ""


def _known_class(name: str) -> str:
    if name not in _errors.__all__:
        raise ValueError(f"no error class is named {name}")
    return name


class ErrorRule(Strict):
    """
    All conditions that are given must hold. `code` and `type` are the vendor's own words (`*` stands for any ending),
    `text` a regular expression that is searched in its message, without regard to case; `html` asks for (or against) a
    page in place of an API error. `hint`: what to do about it, where the class alone does not say.
    """

    becomes: Annotated[str, AfterValidator(_known_class), Field(alias="class")]
    code: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    text: tuple[str, ...] = ()
    html: bool | None = None
    hint: str = ""
    note: str = ""


class ServerSpec(Strict):
    """
    A server that is started on this machine when the provider is first used: `start` is `module:function`.

    `needs`: the package without which it can't start. `warning`: what is said when nobody asked for it by name.
    """

    start: str
    needs: str | None = None
    warning: str = ""


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as problem:
        raise ValueError(f"not a regular expression: {problem}") from None
    return text


def _fits(model: str, pattern: str) -> bool:
    """Whether a pattern stands for a model. Most are the beginnings of names."""
    beginning = pattern.removesuffix("*")
    if any(special in beginning for special in "*?["):
        return fnmatchcase(model, pattern)
    return model == pattern if beginning == pattern else model.startswith(beginning)


class ModelsOf(Strict):
    """
    Another provider whose models these are. `name`: a regular expression that matches a whole model name here, whose
    first group is the name there.
    """

    provider: str
    name: str = "(.+)"

    @field_validator("name")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as problem:
            raise ValueError(f"not a regular expression: {problem}") from None
        if groups != 1:
            raise ValueError("has to have one group")
        return value


class ModelList(Strict):
    """
    The request that lists the models which a key may ask: a GET of `path` below the site's address, free of charge.

    `items`: where the list is in the answer, as a JSON pointer. `names`: the fields of an entry that may be its name;
    `trim`: what a name begins with there, and not here. `more`: the field that is set where the list goes on.
    `partial`: a model that is not in it may be served all the same. `open`: anybody may be given it, so it is no proof
    of the key. An empty path: there is no such list.
    """

    path: str
    items: str = "/data"
    names: tuple[str, ...] = ("id",)
    trim: str = ""
    more: str = ""
    partial: bool = False
    open: bool = False


class BalanceSpec(Strict):
    """
    The request that tells what is left of the money: a GET of `path`, from the root of the site's host.

    `amount`: where it is in the answer, as a JSON pointer, or in each entry of the list at `each`. `currency`: that of
    each site; sites that are not named do not tell. `currency_at`: where the answer names it. `of`: what it is left of.
    """

    path: str
    amount: str
    each: str = ""
    currency: dict[str, str] = {}
    currency_at: str = ""
    of: str = "the account"


class ProviderSpec(Strict):
    """
    One provider. `options` are the ways in which it departs from its dialect; the dialect validates them. `dialects`:
    others in which it can be asked, by their names.

    `errors_like` names the provider whose error rules hold after its own; by default the one that the dialect is
    named for. `idempotency_header`: the header by which it knows a request that is repeated. `request_id_headers`:
    headers, in lower case, in which it names a request beside the usual ones. `schemes`: ways to prove who asks, by the
    names by which a configuration chooses one; `scheme` is the usual one, by default `auth`. `unreachable`: what to do
    where nothing answers at its address. `first_token_timeout`: seconds to the first piece of a stream, where nobody
    sets another limit and it may take long, as with a server that loads its model first. `models_of`: another provider
    whose models are served here too: what is said of them there holds, where nothing else is said here. `model_list`:
    where its models are listed; by default as at the dialect's author, if they are. `balance`: where it tells what is
    left of the money. `key_format`: a regular expression for how its keys begin, or look as a whole.
    `telemetry_name`: its well-known name in OpenTelemetry's conventions, where that is not `name`. `rate_headers`:
    those by which its answers say what is left of a limit, where they are not the usual ones.
    """

    name: str = ""
    title: str = ""
    docs: str = ""
    checked: date | None = None
    dialect: str
    dialects: dict[str, DialectSpec] = {}
    site: str = "default"
    sites: dict[str, SiteSpec] = {}
    version: str | None = None
    versions: dict[str, VersionSpec] = {}
    auth: AuthSpec | None = AuthSpec.model_construct()
    scheme: str | None = None
    schemes: dict[str, AuthSpec] = {}
    key: Literal["required", "optional", "none"] = "required"
    headers: Headers = {}
    idempotency_header: HeaderName | None = None
    capabilities: dict[str, Any] = {}
    options: dict[str, Any] = {}
    default_model: str | None = None
    models: tuple[ModelSpec, ...] = ()
    families: tuple[FamilySpec, ...] = ()
    models_of: ModelsOf | None = None
    model_list: ModelList | None = None
    balance: BalanceSpec | None = None
    key_format: Annotated[str, AfterValidator(_expression)] = ""
    prices: tuple[Price, ...] = ()
    errors: tuple[ErrorRule, ...] = ()
    errors_like: str | None = None
    request_id_headers: tuple[str, ...] = ()
    rate_headers: tuple[RateHeaders, ...] = USUAL
    server: ServerSpec | None = None
    unreachable: str = ""
    telemetry_name: str = ""
    first_token_timeout: Annotated[float, Field(gt=0)] | None = None
    retired: str | None = None
    closed: tuple[ClosedSpec, ...] = ()
    unsure: tuple[str, ...] = ()

    _theirs: "ProviderSpec | None" = PrivateAttr(None)

    @model_validator(mode="after")
    def _scheme_is_there(self) -> Self:
        if self.scheme is not None and self.scheme not in self.schemes:
            raise ValueError("scheme names none of the schemes")
        return self

    @model_validator(mode="after")
    def _dialects_are_there(self) -> Self:
        named = {entry.dialect for entry in self.families} | {entry.dialect for entry in self.models}
        if self.dialect in self.dialects or not named - {None} <= self.spoken:
            raise ValueError("dialects names the usual one, or lacks one that a family or a model names")
        return self

    @classmethod
    def read(cls, text: str, name: str) -> Self:
        """From a TOML file's text. Raises `ConfigError` that names the file and the place in it."""
        try:
            return cls.model_validate({"name": name, **tomllib.loads(text)})
        except tomllib.TOMLDecodeError as problem:
            raise ConfigError(f"provider file {name}.toml: {problem}") from None
        except ValidationError as problem:
            raise ConfigError(f"provider file {name}.toml: {first_problem(problem)}") from None

    @property
    def spoken(self) -> frozenset[str]:
        """The dialects in which it can be asked."""
        return frozenset({self.dialect, *self.dialects})

    def dialect_of(self, model: str) -> str:
        """The dialect in which a model is asked where nobody chose one."""
        named = (entry.dialect for entry in reversed(self._about(model)) if entry.dialect is not None)
        return next(named, self.dialect)

    def layers(self, model: str, dialect: str | None = None) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """(capabilities, options) from the most general to the most particular for one model in that dialect."""
        other = self.dialects.get(self.dialect_of(model) if dialect is None else dialect)
        if self._theirs is not None:
            yield self._theirs.capabilities, self._theirs.options if other is None else {}
        yield self.capabilities, self.options if other is None else other.options
        for entry in self._about(model):
            yield entry.capabilities, entry.options if other is None else {}

    def tier(self, model: str) -> ModelTier | None:
        """The model's place in the vendor's line; `None` where it is not known."""
        return next((entry.tier for entry in reversed(self._about(model)) if entry.tier is not None), None)

    def retires(self, model: str) -> date | None:
        """The day from which the model is no longer served; `None` where none has been announced."""
        return next((entry.retires for entry in reversed(self._about(model)) if entry.retires is not None), None)

    def sent_on_to(self, model: str) -> Place | None:
        """Where a site sends on what this model is asked; `None` where the model is served at the site."""
        places = (entry.jurisdiction for entry in self._about(model) if isinstance(entry, FamilySpec))
        return next((place for place in places if place is not None), None)

    def _about(self, model: str) -> list[FamilySpec | ModelSpec]:
        """What the file says of a model by its name, from the most general to the most particular."""
        there = re.fullmatch(self.models_of.name, model) if self.models_of is not None else None
        theirs = self._theirs._about(there[1]) if self._theirs is not None and there is not None else []  # noqa: SLF001 - of its own class
        families = [one for one in self.families if any(_fits(model, pattern) for pattern in one.match)]
        return [*theirs, *families, *(entry for entry in self.models if entry.id == model)]

    def with_models(self, theirs: Self) -> Self:
        """The same, with what the provider that `models_of` names says of its models."""
        self._theirs = theirs
        return self

    def price(self, model: str, site: str) -> Price | None:
        """The price of a model at a site, or `None` where it is not known."""
        for price in self.prices:
            if price.model == model and price.site in (None, site):
                return price
        return None
