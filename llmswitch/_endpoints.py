"""Which address a provider is asked at, with whose key: from its file, the configuration and the environment."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ._addresses import is_private
from ._config import KeyReference, ProviderConfig
from ._config_file import Loaded
from ._endpoint import Address, Endpoint, check_base_url
from ._errors import ConfigError, ConnectFailed, KeyMissing
from ._nearest import nearest
from ._provider import AuthSpec, ProviderSpec, SiteSpec, VersionSpec
from ._registry import closed_service, owners_of
from ._scrub import remember
from ._secrets import Secret
from ._sites import named_address, site_name_of, site_url

if TYPE_CHECKING:
    from ._credential import Credential
    from ._proxies import EnvironmentProxies, Proxy

__all__ = ["Endpoints", "Location", "closed_key", "has_key", "same_origin", "signer", "version_of"]


class Location(NamedTuple):
    """
    Where a provider is asked. `jurisdiction`: where what is sent there goes. `moved`: not on the vendor's own host.

    `base_url` is empty where a server is started on this machine.
    """

    site_name: str
    site: SiteSpec | None
    base_url: str
    moved: bool
    jurisdiction: str


class Endpoints:
    """
    The endpoints of one configuration, one for each provider.

    Raises `ConfigError` for proxies of the environment that can be none, where the configuration trusts them.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._made: dict[str, Endpoint] = {}
        self._ways: dict[str, Proxy | None] = {}
        self._proxies: EnvironmentProxies | None = None
        if loaded.config.http.trust_env:
            from ._proxies import EnvironmentProxies

            self._proxies = EnvironmentProxies()

    def get(self, spec: ProviderSpec, own: ProviderConfig) -> Endpoint:
        """The endpoint of a provider. Raises `ConfigError` for a site, an address or a key that is not there."""
        found = self._made.get(spec.name)
        if found is None:
            found = self._made[spec.name] = self._make(spec, own)
        return found

    def check(self, spec: ProviderSpec, own: ProviderConfig) -> None:
        """What can be said of a provider's settings before its key is needed. Raises `ConfigError`."""
        where = self._where(spec)
        version_of(spec, own)
        if own.base_url is not None:
            check_base_url(own.base_url, where, allow_insecure=own.allow_insecure)
        self._check_open(own, where)
        if isinstance(own.proxy, str):
            self._new_proxy(own, "", f"{where}.proxy")

    def _where(self, spec: ProviderSpec) -> str:
        return f"{self._loaded.source}: providers.{spec.name}"

    def location(self, spec: ProviderSpec, own: ProviderConfig) -> Location:
        """Where a provider is asked: found without its key. Raises `ConfigError` for a site or an address."""
        where = self._where(spec)
        if spec.server is not None and own.base_url is None:
            return Location(spec.site, None, "", moved=False, jurisdiction="local")
        site_name = site_name_of(spec, own)
        site = spec.sites.get(site_name)
        if site is None and own.base_url is None:
            known = ", ".join(spec.sites)
            raise ConfigError(
                f"{where}: there is no site {site_name!r} (known: {known})"
                if known
                else f"{where}: base_url is needed: where is this server?"
            )
        variable, told = named_address(site) if site is not None and own.base_url is None else ("", None)
        base_url = check_base_url(
            own.base_url or told or (site_url(site, own, where) if site else ""),
            f"{where} (from {variable})" if told else where,
            allow_insecure=own.allow_insecure,
        )
        named = own.base_url or told
        moved = named is not None and (site is None or not same_origin(named, site.base_url))
        jurisdiction = own.jurisdiction or (site.jurisdiction if site is not None and not moved else "unknown")
        return Location(site_name, site, base_url, moved, jurisdiction)

    def with_the_way(self, spec: ProviderSpec, own: ProviderConfig, at: Location) -> Location:
        """The same with the way to it: a proxy that is not near may be anywhere, unless the user vouches for it."""
        if own.jurisdiction is not None or not at.base_url:
            return at
        proxy = self._proxy(spec, own, at.base_url)
        near = proxy is None or is_private((urlsplit(proxy.name).hostname or "").lower())
        return at if near else at._replace(jurisdiction="unknown")

    def _make(self, spec: ProviderSpec, own: ProviderConfig) -> Endpoint:
        where = self._where(spec)
        version = version_of(spec, own)
        overlay = spec.versions[version] if version is not None else None
        auth = own.auth or self._scheme(spec, own, overlay, where)
        headers = {**spec.headers, **(overlay.headers if overlay else {}), **own.headers}
        # in lower case, so that what is signed stands in the place of what is configured, and not beside it
        headers = {name.lower(): value for name, value in headers.items()}
        _check_headers(headers, auth.header if auth else "", where)
        at = self.location(spec, own)
        if not at.base_url:
            return _local_endpoint(spec, auth.header if auth else "Authorization", auth.prefix if auth else "Bearer ")
        if auth is not None and auth.signer is not None:
            key_env = at.site.key_env if at.site is not None else ()
            secret, credential = None, self._credential(auth, own, at.base_url, key_env, moved=at.moved, where=where)
            account = credential.account
        elif own.credentials:
            raise ConfigError(f"{where}.credentials: nothing is signed with them here; give the key as api_key")
        else:
            secret, credential = self._key(spec, own, at.site, moved=at.moved, base_url=at.base_url), None
            account = secret.fingerprint(at.base_url) if secret else ""
        return Endpoint(
            provider=spec.name,
            site=at.site_name,
            base_url=at.base_url,
            jurisdiction=self.with_the_way(spec, own, at).jurisdiction,
            headers=headers,
            account=account,
            credential=credential,
            auth=auth,
            secret=secret,
            proxy=self._proxy(spec, own, at.base_url),
            follow_redirects=own.follow_same_origin_redirects,
            idempotency_header=own.idempotency_header or spec.idempotency_header,
            max_in_flight=own.max_in_flight,
        )

    @staticmethod
    def _scheme(spec: ProviderSpec, own: ProviderConfig, overlay: VersionSpec | None, where: str) -> AuthSpec | None:
        """The way to prove who asks: that which was chosen, or the usual one; or one whose secrets alone are there."""
        if own.scheme is not None and own.scheme not in spec.schemes:
            known = ", ".join(spec.schemes) or "none"
            raise ConfigError(
                f"{where}.scheme: there is no scheme {own.scheme!r}{nearest(own.scheme, spec.schemes)}; known: {known}"
            )
        if own.credentials and own.scheme is None:  # their names say which
            for auth in spec.schemes.values():
                if own.credentials.keys() <= auth.parts.keys():
                    return auth
        name = own.scheme or spec.scheme
        usual = spec.schemes[name] if name is not None else (overlay.auth if overlay else None) or spec.auth
        given = own.scheme is not None or own.api_key is not None or own.credentials or own.base_url is not None
        if given or _has_secrets(spec, usual):
            return usual
        return next((auth for auth in spec.schemes.values() if _has_secrets(spec, auth)), usual)

    def _credential(
        self,
        auth: AuthSpec,
        own: ProviderConfig,
        base_url: str,
        key_env: tuple[str, ...],
        *,
        moved: bool,
        where: str,
    ) -> Credential:
        """The credential of a provider that signs its requests, with its secrets by the names that it has for them."""
        kind = signer(auth)
        unknown = [part for part in own.credentials if part not in kind.parts]
        if unknown:
            raise ConfigError(
                f"{where}.credentials: there is no part {unknown[0]!r}{nearest(unknown[0], kind.parts)}; "
                f"the parts are {', '.join(kind.parts)}"
            )
        secrets: dict[str, Secret] = {}
        for part in kind.parts:
            variables = auth.parts.get(part, key_env if part == "key" else ())
            reference = own.credentials.get(part) or (own.api_key if len(kind.parts) == 1 else None)
            if reference is not None:
                self._check_reference(reference, base_url, f"{where}.credentials.{part}")
                secrets[part] = self._read(reference, f"{where}.credentials.{part}")
                continue
            found = next((each for each in variables if os.environ.get(each, "").strip()), None)
            if found is not None and not moved:
                secrets[part] = Secret(os.environ[found], f"environment variable {found}")
            elif part not in kind.optional:
                raise KeyMissing(
                    f"{where}: no {part}: set the environment variable {' or '.join(variables) or '…'}, or "
                    f'credentials = {{ {part} = {{ env = "…" }} }}'
                    + ("; a key of the vendor's own is not sent to another base_url" if moved else "")
                )
        region = {"region": own.region} if own.region is not None else {}
        return kind(secrets, base_url, {**auth.options, **region})

    def _key(
        self, spec: ProviderSpec, own: ProviderConfig, site: SiteSpec | None, *, moved: bool, base_url: str
    ) -> Secret | None:
        where = self._where(spec)
        if own.api_key is not None:
            self._check_reference(own.api_key, base_url, f"{where}.api_key")
            return self._read(own.api_key, f"{where}.api_key")
        variables = site.key_env if site is not None else ()
        if moved:
            if spec.key == "required":
                raise KeyMissing(
                    f"{where}: base_url leads away from the vendor's own hosts, so the key in {' or '.join(variables)} "
                    'is not sent there; give this address a key of its own with api_key = { env = "…" }'
                )
            return None
        for name in variables:
            if os.environ.get(name, "").strip():
                return Secret.from_environment(name)
        if spec.key == "required":
            raise KeyMissing(
                f"{spec.name}: no key: set the environment variable {' or '.join(variables)}, or "
                f'api_key = {{ env = "…" }} under [providers.{spec.name}]{closed_key(spec)}'
            )
        return None

    def _read(self, reference: KeyReference, where: str, what: str = "key") -> Secret:
        try:
            return Secret.read(reference, strict=self._loaded.config.strict, what=what)
        except ConfigError as problem:
            # a provider that is optional can do without its key, but not without its proxy
            kind, said = type(problem) if what == "key" else ConfigError, problem.message
        raise kind(f"{where}: {said}")

    def _check_reference(self, reference: KeyReference, base_url: str, where: str) -> None:
        """A file that was merely found can't send a vendor's key, by its usual variable, to anybody else."""
        if self._loaded.trusted or reference.env is None:
            return
        owners = owners_of(reference.env)
        sites = [site for owner in owners for site in owner.sites.values()]
        if sites and not any(same_origin(base_url, site.base_url) for site in sites):
            raise ConfigError(
                f"{where}: {reference.env} is the key of {' or '.join(owner.name for owner in owners)}, and this file "
                f"was found, not named, so it may not send it to {urlsplit(base_url).hostname}; name the file in "
                "LLMSWITCH_CONFIG or Client.from_file(), or use a key of its own"
            )

    def _check_open(self, own: ProviderConfig, where: str) -> None:
        """Raises `ConfigError` where the address, or the variable of a key, is that of a service that was closed."""
        host = (urlsplit(own.base_url or "").hostname or "").lower()
        references = {"api_key": own.api_key, **{f"credentials.{part}": each for part, each in own.credentials.items()}}
        variables = {field: each.env for field, each in references.items() if each is not None}
        for field, word in (("base_url", host), *variables.items()):
            said = closed_service(word) if word else None
            if said is not None:
                raise ConfigError(f"{where}.{field}: {word}: {said}")

    def _proxy(self, spec: ProviderSpec, own: ProviderConfig, base_url: str) -> Proxy | None:
        if spec.name not in self._ways:
            self._ways[spec.name] = self._new_proxy(own, base_url, f"{self._where(spec)}.proxy")
        return self._ways[spec.name]

    def _new_proxy(self, own: ProviderConfig, base_url: str, where: str) -> Proxy | None:
        if own.proxy is None:
            return self._proxies.proxy(base_url) if self._proxies is not None else None
        from ._proxies import Proxy

        if isinstance(own.proxy, str):
            return Proxy(own.proxy, where)
        return Proxy(self._read(own.proxy, where, "proxy's address").reveal(), where)


def closed_key(spec: ProviderSpec) -> str:
    """What to add where no key was found, if one is set that was for a service that the vendor has closed."""
    for service in spec.closed:
        for name in service.key_env:
            if os.environ.get(name, "").strip():
                return f"; {name} is set, but {service.message}"
    return ""


def version_of(spec: ProviderSpec, own: ProviderConfig) -> str | None:
    """Which of a vendor's dated versions is spoken; `None` where it has none. Raises `ConfigError`."""
    version = own.version or spec.version
    if version is not None and version not in spec.versions:
        known = ", ".join(spec.versions) or "none"
        raise ConfigError(f"providers.{spec.name}.version: there is no {version!r} (known: {known})")
    return version


def signer(auth: AuthSpec) -> type[Credential]:
    """The class that signs, where more than a key in a header is needed."""
    assert auth.signer is not None
    module, _, name = auth.signer.partition(":")
    kind: type[Credential] = getattr(importlib.import_module(module), name)
    return kind


def has_key(spec: ProviderSpec) -> bool:
    """Whether the environment holds a provider's key, or the secrets of one of its schemes that are for it alone."""
    ways = spec.schemes.values() if spec.scheme is not None else (spec.auth, *spec.schemes.values())
    return any(_has_secrets(spec, auth) for auth in ways if auth is None or not auth.general)


def _has_secrets(spec: ProviderSpec, auth: AuthSpec | None) -> bool:
    """Whether the environment holds what this way to prove who asks needs, at any of the vendor's sites."""
    if auth is not None and auth.parts:
        missing = {
            part for part, names in auth.parts.items() if not any(os.environ.get(name, "").strip() for name in names)
        }
        return not missing or (len(missing) < len(auth.parts) and missing <= set(signer(auth).optional))
    return any(os.environ.get(name, "").strip() for site in spec.sites.values() for name in site.key_env)


def same_origin(one: str, other: str) -> bool:
    """Whether an address is at a site, whose own may stand for many regions."""
    origin = re.escape("/".join(other.lower().split("/")[:3]))
    origin = origin.replace(r"\{region\}", "[a-z0-9-]+").replace(r"\{resource\}", "[a-z0-9.-]+")
    return re.fullmatch(origin, "/".join(one.lower().split("/")[:3])) is not None


_RESERVED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "proxy-authorization"}
)
_HOLDS_A_KEY = r"(?i)key|token|secret|auth|password|cookie"


def _check_headers(headers: Mapping[str, str], auth_header: str, where: str) -> None:
    for name, value in headers.items():
        if name.lower() in _RESERVED or name.lower() == auth_header.lower():
            raise ConfigError(f"{where}.headers.{name}: this header is set by llmswitch and can't be replaced")
        if re.search(_HOLDS_A_KEY, name):
            remember(value)


def _local_endpoint(spec: ProviderSpec, header: str, prefix: str) -> Endpoint:
    assert spec.server is not None
    module, _, function = spec.server.start.partition(":")

    def start() -> Address:
        try:
            running = getattr(importlib.import_module(module), function)()
        except RuntimeError as problem:
            raise ConnectFailed(str(problem)) from None
        return Address(running.base_url, {header: f"{prefix}{running.api_key}"})

    return Endpoint(
        provider=spec.name,
        site=spec.site,
        base_url=f"http://{spec.name}.localhost",
        jurisdiction="local",
        headers=dict(spec.headers),
        account="",
        start=start,
    )
