"""A token that was fetched: used until shortly before it ends, or until the vendor refuses it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from llmswitch._adapter import HTTPRequest
from llmswitch._credential import Credential, Refused, Signed
from llmswitch._errors import ConfigError
from llmswitch._json import JSONInvalid, loads
from llmswitch._secrets import Secret

__all__ = ["FetchedToken"]


class FetchedToken(Credential):
    """
    What such credentials have in common; each says who gives its token (`renewal`), or which library (`fetch`).

    `field`: where an answer has the token. `reasons`: where it says why it has none. `usual`, `longest`: how many
    seconds a token lasts that names no end, and the most that is believed. `early`: seconds before its end at which it
    is no longer used. `refusals`: the codes by which the vendor refuses a token alone; without them any refusal may.
    """

    field: ClassVar[str] = "access_token"
    reasons: ClassVar[tuple[str, ...]] = ("error", "error_description")
    usual: ClassVar[float] = 3600.0
    longest: ClassVar[float] = math.inf
    early: ClassVar[float] = 60.0
    refusals: ClassVar[frozenset[str] | None] = None
    _kept: tuple[Signed, float] | None = None  # in one piece, for threads share it
    _dropped = False

    def sign(self, request: HTTPRequest, base_url: str, now: float) -> Signed:  # noqa: ARG002
        return self._kept[0] if self._kept is not None else Signed()

    def stale(self, now: float) -> bool:
        kept = self._kept
        return kept is None or self._dropped or now >= kept[1] - self.early

    def drop(self, code: str | None) -> bool:
        if self.refusals is not None and code not in self.refusals:
            return False
        self._dropped = True
        return True

    def renewed(self, status: int, body: bytes, now: float) -> None:
        try:
            said = loads(body)
        except JSONInvalid:
            raise Refused(f"HTTP {status}, and no JSON") from None
        said = said if isinstance(said, dict) else {}
        token = said.get(self.field)
        if not isinstance(token, str):
            # the first line of a description names what is wrong: "unknown client id", a code of the vendor's
            words = [str(said[name]).splitlines()[0][:160] for name in self.reasons if said.get(name)]
            raise Refused(f"HTTP {status}: {', '.join(words) or 'there is no token in the answer'}")
        self.keep(token, now + self.life(said))

    def life(self, said: Mapping[str, Any]) -> float:
        """For how many seconds the token of that answer lasts."""
        seconds = said.get("expires_in")
        known = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0
        return min(float(seconds), self.longest) if known else self.usual  # type: ignore[arg-type]

    def keep(self, token: str, ends: float) -> None:
        """From now on it is used, and scrubbed. Raises `Refused` where it can't be sent."""
        try:
            self._kept = self.signed(Secret(token, "a token").reveal()), ends
        except ConfigError:
            raise Refused("what it gives can't stand in a request") from None
        self._dropped = False

    def signed(self, token: str) -> Signed:
        """What the token adds to a request."""
        return Signed({"authorization": f"Bearer {token}"})
