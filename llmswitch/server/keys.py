"""Who asks: keys of clients, kept as hashes, and what each of them may ask for."""

from __future__ import annotations

import binascii
import hmac
import secrets
from collections.abc import Iterable, Iterator
from hashlib import sha256

from llmswitch._config import Config, ServerKey
from llmswitch._config_file import Loaded
from llmswitch._errors import ConfigError, KeyMissing
from llmswitch._limits import BudgetConfig
from llmswitch._nearest import nearest
from llmswitch._setup import Setup

__all__ = ["ANYBODY", "KeyRing", "Models", "hashed", "new_key", "presented", "with_key_budgets"]

Headers = Iterable[tuple[bytes, bytes]]

_NOBODY = "0" * 64
_MOST = 4  # keys that one request may try

ANYBODY = ServerKey(name="anybody", sha256=_NOBODY, models=("*",))
"""Who asks where no key is configured, which is on this machine alone."""


def new_key() -> str:
    """A key of 256 random bits."""
    return f"sk-llmswitch-{secrets.token_urlsafe(32)}"


def hashed(key: str) -> str:
    """What the configuration holds of a key. A key is random, so its hash needs no salt and no stretching."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRing:
    """The keys that open one listener."""

    def __init__(self, keys: Iterable[ServerKey]) -> None:
        self._by_hash = {key.sha256: key for key in keys}

    def __bool__(self) -> bool:
        return bool(self._by_hash)

    def find(self, key: str) -> ServerKey | None:
        """Whose key it is."""
        wanted = hashed(key)
        found = self._by_hash.get(wanted)
        same = hmac.compare_digest(wanted, _NOBODY if found is None else found.sha256)
        return found if same else None


def presented(headers: Headers, *, basic: bool = False) -> Iterator[str]:
    """
    The keys that a request shows: `Authorization: Bearer …`, `x-api-key: …`; with `basic` also the password of
    `Authorization: Basic …`, which is what a browser asks a person for.
    """
    left = _MOST
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"authorization":
            scheme, _, text = text.partition(" ")
            if basic and scheme.lower() == "basic":
                text = _password(text)
            else:
                text = text.strip() if scheme.lower() == "bearer" else ""
        elif name != b"x-api-key":
            continue
        if text and left:
            left -= 1
            yield text


def _password(text: str) -> str:
    try:
        return binascii.a2b_base64(text.strip()).decode("latin-1").partition(":")[2]
    except ValueError:
        return ""


class Models:
    """Which names a key may ask for. What a key may not ask looks like what there is not."""

    def __init__(self, config: Config, setup: Setup) -> None:
        self._chains = config.chains
        self._aliases = config.aliases
        self._setup = setup
        own = set() if config.default is None and config.chains else {"default"}
        self._chain_names = [*config.chains, *sorted(own - config.chains.keys())]
        for key in config.server.keys:
            self._check(key)

    def _check(self, key: ServerKey) -> None:
        for name in key.models or ():
            if name != "*" and ":" not in name and name not in self._chain_names:
                raise ConfigError(
                    f"server.keys: {key.name}: models: {name!r} is no chain{nearest(name, self._chain_names)}; "
                    "a target is provider:model"
                )

    def names(self, key: ServerKey) -> list[str]:
        """What the key may ask, to be shown to it: chains, then targets that it names."""
        if key.models is None or "*" in key.models:
            return [*self._chain_names, *self._open_aliases(key)]
        named = [name for name in key.models if name not in self._chain_names]
        return [*(name for name in self._chain_names if self.allows(key, name)), *named, *self._open_aliases(key)]

    def _open_aliases(self, key: ServerKey) -> list[str]:
        return [name for name in self._aliases if name != "*" and self.allows(key, name)]

    def allows(self, key: ServerKey, name: str) -> bool:
        """
        Whether the key may ask for this name.

        A chain that the key names stands for all of its targets. Any other is open only where each of its targets is,
        those that it would fall back to as well. A list of targets is a chain that the client would make: that is the
        configuration's to do.
        """
        name = self._led(name)
        if not name or "," in name:
            return False
        if key.models is None:
            return name in self._chain_names or name in self._configured()
        if name in key.models:
            return True
        if "*" in key.models:
            return self._leads_somewhere(name)
        return name in self._chain_names and self._targets(name) <= set(key.models)

    def _leads_somewhere(self, name: str) -> bool:
        """Whether it is a name at all: one that is not is the client's error, and no reason to ask once more."""
        try:
            self._setup.chain(self.asked(name))
        except KeyMissing:
            return True  # which is for whoever runs the gateway to hear of
        except ConfigError:
            return False
        return True

    def asked(self, name: str) -> str | None:
        """The name as the library takes it: `default` is the client's own chain, where no chain is called so."""
        name = self._led(name)
        return None if name == "default" and name not in self._chains else name

    def _led(self, name: str) -> str:
        """Where an alias leads; a key may ask for it where it may ask for that."""
        if name in self._chain_names or name in self._aliases or ":" in name or "," in name:
            return self._aliases.get(name, name)
        return self._aliases.get("*", name)

    def _targets(self, name: str) -> set[str]:
        return {target.name for target in self._setup.chain(self.asked(name)).targets}

    def _configured(self) -> set[str]:
        return {target for name in self._chain_names for target in self._targets(name)}

    def prepare(self) -> None:
        """Make every chain, so that a missing key is said at the start. Raises `ConfigError`."""
        self._configured()


def with_key_budgets(loaded: Loaded) -> Loaded:
    """The configuration with the budgets of keys among the others, each for the tag that is the key's name."""
    config = loaded.config
    own = tuple(
        BudgetConfig(**key.budget.model_dump(), tag=key.name) for key in config.server.keys if key.budget is not None
    )
    return Loaded(
        config.model_copy(update={"budgets": (*config.budgets, *own)}) if own else config,
        loaded.source,
        loaded.trusted,
    )
