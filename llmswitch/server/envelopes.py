"""The secret that signs what only a vendor understands, on its way through the gateway's clients."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence

from llmswitch._config_file import Loaded
from llmswitch._errors import ConfigError
from llmswitch._log import warn
from llmswitch._secrets import Secret
from llmswitch._target import Target
from llmswitch.doors import Envelopes

__all__ = ["envelopes_of"]

_PURPOSE = "llmswitch envelopes"
_LEAST = 32  # characters of a secret that was made for this
_GUESSED = 20  # a vendor's key that is shorter is a placeholder, as servers of one's own take it


def envelopes_of(loaded: Loaded, targets: Sequence[Target]) -> Envelopes:
    """
    The envelopes of a gateway that asks these targets.

    They are signed by `envelope_keys`; else by what the keys of the vendors come to, which every gateway of the same
    configuration has, and no client; else by a secret of this process. Where no client needs a key, whoever asks is on
    this machine, and nothing is signed. Raises `ConfigError` for a secret that is missing or too short.
    """
    settings = loaded.config.server
    if settings.envelope_keys:
        return Envelopes([_given(loaded, at) for at in range(len(settings.envelope_keys))])
    if all(key.admin for key in settings.keys):
        return Envelopes()
    known = sorted({secret.derived(_PURPOSE) for secret in _secrets(targets) if secret.is_long(_GUESSED)})
    if known:
        return Envelopes([hashlib.sha256(b"".join(known)).digest()])
    warn(
        "no vendor's key to derive a secret from: sealed thoughts that clients hold are signed by one of this process, "
        "and are lost with it; set envelope_keys under [server]"
    )
    return Envelopes([secrets.token_bytes(32)])


def _given(loaded: Loaded, at: int) -> bytes:
    where = f"{loaded.source}: server.envelope_keys[{at}]"
    try:
        secret = Secret.read(loaded.config.server.envelope_keys[at], strict=loaded.config.strict, what="secret")
        problem = None if secret.is_long(_LEAST) else f"has to have {_LEAST} characters or more: `openssl rand -hex 32`"
    except ConfigError as wrong:
        problem = wrong.message
    if problem is not None:
        raise ConfigError(f"{where}: {problem}")
    return secret.derived(_PURPOSE)


def _secrets(targets: Sequence[Target]) -> Iterator[Secret]:
    """What proves to the vendors who asks, without what stands in requests as it is."""
    for endpoint in {target.endpoint for target in targets}:
        if endpoint.secret is not None:
            yield endpoint.secret
        if endpoint.credential is not None:
            credential = endpoint.credential
            yield from (secret for part, secret in credential.secrets.items() if part not in credential.shown)
