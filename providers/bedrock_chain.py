"""
AWS's own credentials, wherever its tools keep them: botocore looks for them and renews them, this library signs.

Source: botocore 1.44.8 (its chain of providers, when it renews), read 2026-11-27. It sends its own requests, to AWS's
token services and to the metadata of the machine; proxies and certificates for those are the environment's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Refused, Signed
from llmswitch._errand import Send, Unsent
from llmswitch._errors import ConfigError
from llmswitch._secrets import Secret
from llmswitch.providers.bedrock_sigv4 import SERVICE, region_of, signed_headers

__all__ = ["AWSChain"]

_EARLY = 300  # seconds before their end at which they are renewed: by then a machine's metadata has new ones
_RENEWABLE = frozenset(
    {"expiredtoken", "expiredtokenexception", "unrecognizedclientexception", "invalidclienttokenid"},
)
_OWN = re.compile(r"(?:^|\.)(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws)$")


class AWSChain(Credential):
    """
    Each request is signed with what AWS's own chain finds: the environment, a profile (of access keys, single sign-on,
    an assumed role, a process), the role of a container or of the machine.

    `profile`: of which profile; else the chain decides. `region`: which one the signature names where the address does
    not say it. Raises `ConfigError` where botocore is not installed, and for another host than AWS's that was not given
    a profile.
    """

    parts: ClassVar[tuple[str, ...]] = ("profile",)
    optional: ClassVar[tuple[str, ...]] = ("profile",)
    shown: ClassVar[tuple[str, ...]] = ("profile",)
    errand: ClassVar[bool] = True
    _source: Any = None  # what botocore found, which renews itself
    _held: tuple[Secret, Secret, Secret | None] | None = None
    _early = _EARLY
    _dropped = False

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        super().__init__(secrets, base_url, options)
        if find_spec("botocore") is None:
            raise ConfigError(
                "AWS's own credentials are looked for by botocore, which is not installed: pip install 'llmswitch[aws]'"
            )
        if "profile" not in secrets and not _OWN.search((urlsplit(base_url).hostname or "").lower()):
            raise ConfigError(
                "AWS's own credentials sign for AWS's own hosts; name a profile for this base_url with "
                'credentials = { profile = { env = "…" } }'
            )

    @property
    def account(self) -> str:
        return super().account or hashlib.sha256(f"{self.base_url}|chain".encode()).hexdigest()[:16]

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:
        if self._held is None:
            return Signed()
        key_id, secret_key, token = self._held
        region = region_of(base_url, self.options.get("region", "us-east-1"))
        session = token.reveal() if token is not None else None
        service = self.options.get("service", SERVICE)
        return Signed(
            signed_headers(
                request, base_url, key_id.reveal(), secret_key.reveal(), session, region, now, service=service
            )
        )

    def stale(self, now: float) -> bool:  # noqa: ARG002 - botocore has the clock of this machine
        return self._held is None or self._dropped or self._ends_within(self._early)

    def _ends_within(self, seconds: int) -> bool:
        """Whether they end so soon; those that last have no such question."""
        needed = getattr(self._source, "refresh_needed", None)
        return needed is not None and bool(needed(refresh_in=seconds))

    def fetch(self, send: Send, now: float) -> None:  # noqa: ARG002 - botocore sends by itself
        exceptions: Any = import_module("botocore.exceptions")
        try:
            if self._source is None or self._dropped:
                self._source = self._find()
            found = self._source.get_frozen_credentials()
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as problem:
            raise Unsent(_words(problem)) from None
        except (exceptions.BotoCoreError, exceptions.ClientError, RuntimeError) as problem:
            raise Refused(_words(problem)) from None
        token = Secret(found.token, "AWS's session token") if found.token else None
        self._held = (
            Secret(found.access_key, "AWS's access key id"),
            Secret(found.secret_key, "AWS's secret access key"),
            token,
        )
        # what lasts for less than that from the beginning is used to its end
        self._early, self._dropped = 0 if self._ends_within(_EARLY) else _EARLY, False

    def _find(self) -> Any:
        """What the chain finds. Files are read anew: they may have changed since."""
        profile = self.secrets.get("profile")
        session = import_module("botocore.session").Session(profile=profile.reveal() if profile is not None else None)
        found = session.get_credentials()
        if found is None:
            raise Refused(
                "AWS's chain finds none: no access keys, no profile that has any, and no role of this machine; "
                "`aws configure list` shows where it looks"
            )
        return found

    def drop(self, code: str | None) -> bool:
        if (code or "").lower() not in _RENEWABLE:
            return False
        self._dropped = True
        return True


def _words(problem: Exception) -> str:
    """Its message, which says what to do (such as `aws sso login`)."""
    return " ".join(str(problem).split())[:200] or type(problem).__name__
