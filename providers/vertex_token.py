"""
Google's access tokens, fetched by google-auth: for a service account, for application default credentials, or from the
metadata server of the machine.

Source: google-auth 2.63.0, and how google-genai 3.4.0 uses it (scope, when a token is renewed); 2026-11-27.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Refused, Renewal, Signed
from llmswitch._errand import Fetched, Send, Unsent
from llmswitch._errors import ConfigError
from llmswitch._secrets import Secret
from llmswitch.providers.fetched_token import FetchedToken

__all__ = ["GoogleToken"]

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_OWN = ".googleapis.com"


class GoogleToken(FetchedToken):
    """
    A bearer token that google-auth fetches, and renews before it ends.

    `credentials_file`: the path of a service account's key, or of other credentials that Google's tools write. Without
    it they are looked for where Google's own libraries do. Raises `ConfigError` where google-auth is not installed, and
    for another host than Google's that was not given a file.
    """

    parts: ClassVar[tuple[str, ...]] = ("credentials_file",)
    optional: ClassVar[tuple[str, ...]] = ("credentials_file",)
    shown: ClassVar[tuple[str, ...]] = ("credentials_file",)
    errand: ClassVar[bool] = True
    granted: ClassVar[bytes] = b'{"access_token":"ya29.0123456789abcdef","expires_in":3600,"token_type":"Bearer"}'
    early: ClassVar[float] = 225.0  # google-auth's own
    _source: Any = None

    def __init__(self, secrets: Mapping[str, Secret], base_url: str, options: Mapping[str, Any]) -> None:
        super().__init__(secrets, base_url, options)
        if find_spec("google") is None or find_spec("google.auth") is None:
            raise ConfigError(
                "tokens of Google's are fetched by google-auth, which is not installed: pip install 'llmswitch[vertex]'"
            )
        host = (urlsplit(base_url).hostname or "").lower()
        if "credentials_file" not in secrets and not host.endswith(_OWN):
            raise ConfigError(
                "Google's default credentials are for Google's own hosts; name a file for this base_url with "
                'credentials = { credentials_file = { env = "…" } }'
            )

    @property
    def account(self) -> str:
        return super().account or hashlib.sha256(f"{self.base_url}|default".encode()).hexdigest()[:16]

    def fetch(self, send: Send, now: float) -> None:
        exceptions = import_module("google.auth.exceptions")
        transport = _Transport(send, exceptions.TransportError)
        try:
            if self._source is None:
                self._source = self._find(transport)
            self._source.refresh(transport)
        except exceptions.GoogleAuthError as problem:
            lost = transport.unsent if isinstance(problem, exceptions.TransportError) else None
            raise lost or Refused(_words(problem)) from None
        self._take(now)

    def _find(self, transport: _Transport) -> Any:
        """Whose token it is: by the file that was named, or as Google's libraries look for it."""
        auth: Any = import_module("google.auth")
        path = self.secrets.get("credentials_file")
        if path is None:
            return auth.default(scopes=[_SCOPE], request=transport)[0]
        with warnings.catch_warnings():
            # a file from elsewhere may lead requests anywhere, it warns; this one is the user's own
            warnings.simplefilter("ignore", DeprecationWarning)
            return auth.load_credentials_from_file(path.reveal(), scopes=[_SCOPE], request=transport)[0]

    def _take(self, now: float) -> None:
        source = self._source
        ends = source.expiry  # in UTC, without saying so
        life = (ends.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if ends is not None else self.usual
        self.keep(source.token or "", now + life)

    def signed(self, token: str) -> Signed:  # noqa: ARG002
        """The project that is billed for it may stand beside it."""
        headers: dict[str, str] = {}
        self._source.apply(headers)
        return Signed({name.lower(): value for name, value in headers.items()})


class _Transport:
    """
    What google-auth sends by: any callable of this form will do. `lost`: what it expects where there is no answer;
    `unsent`: the last request that had none.
    """

    def __init__(self, send: Send, lost: type[Exception]) -> None:
        self._send = send
        self._lost = lost
        self.unsent: Unsent | None = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        content = body.encode() if isinstance(body, str) else body or b""
        plain = {name.lower(): value for name, value in (headers or {}).items()}
        request = HTTPRequest(path, content, plain, method)
        try:
            return _Answer(self._send(Renewal(f"{parts.scheme}://{parts.netloc}", request, seconds=timeout)))
        except Unsent as problem:
            self.unsent = problem
            raise self._lost(str(problem)) from None


class _Answer:
    """An answer as google-auth reads one."""

    def __init__(self, fetched: Fetched) -> None:
        self.status, self.headers, self.data = fetched.status, fetched.headers, fetched.body


def _words(problem: Exception) -> str:
    """Its message alone: what stands beside that is the whole answer of the vendor's."""
    return " ".join(str(problem.args[0] if problem.args else type(problem).__name__).split())[:200]
