"""Where requests of a program's SDK go that no chain can answer: one address, one key, by the rules of providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ._config import PassthroughConfig, ProviderConfig
from ._config_file import Loaded
from ._endpoint import Endpoint
from ._endpoints import Endpoints
from ._errors import ConfigError
from ._provider import ProviderSpec

__all__ = ["Passthrough", "check_passthrough", "read_passthrough"]

_NAME = "passthrough"
_SPEC = ProviderSpec(name=_NAME, dialect="", key="optional")


@dataclass(slots=True, frozen=True)
class Passthrough:
    """The endpoint, and the beginnings of the paths below it that may be asked; `None` for all."""

    endpoint: Endpoint
    paths: Sequence[str] | None

    @property
    def base_path(self) -> str:
        """The path of the base URL, without a slash at its end."""
        return urlsplit(self.endpoint.base_url).path


class _Ways(Endpoints):
    def _where(self, spec: ProviderSpec) -> str:
        return f"{self._loaded.source}: {spec.name}"


def check_passthrough(loaded: Loaded) -> None:
    """Raises `ConfigError` for an address that can be none, or that is where the policy lets no data go."""
    given = loaded.config.passthrough
    if given is None:
        return
    ways, own = _Ways(loaded), _as_provider(given)
    ways.check(_SPEC, own)
    places = loaded.config.policy.jurisdictions
    place = ways.with_the_way(_SPEC, own, ways.location(_SPEC, own)).jurisdiction
    if places is not None and place not in places:
        raise ConfigError(
            f"{loaded.source}: {_NAME}: policy.jurisdictions allows {', '.join(places)} alone, and base_url is in: "
            f'{place}; where you know it, say it: jurisdiction = "…" under [{_NAME}]'
        )


def read_passthrough(loaded: Loaded) -> Passthrough | None:
    """What the configuration says of it, with its key. Raises `ConfigError` where there is none, or it can be none."""
    given = loaded.config.passthrough
    if given is None:
        return None
    return Passthrough(_Ways(loaded).get(_SPEC, _as_provider(given)), given.paths)


def _as_provider(given: PassthroughConfig) -> ProviderConfig:
    return ProviderConfig(
        base_url=given.base_url,
        api_key=given.api_key,
        auth=given.auth,
        headers=given.headers,
        jurisdiction=given.jurisdiction,
        proxy=given.proxy,
        allow_insecure=given.allow_insecure,
    )
