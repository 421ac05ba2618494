"""What a caller may be told while calls go on, for alerts of his own. A hook that raises never harms a call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._errors import Arrears, AuthInvalid, LLMSwitchError, RedirectRefused, TLSInvalid
from ._reply import Attempt

__all__ = ["Hooks"]

_log = logging.getLogger("llmswitch")

_NEEDS_HUMAN = (Arrears, AuthInvalid)
_SECURITY = (TLSInvalid, RedirectRefused)


@dataclass(slots=True)
class Hooks:
    """
    Functions to be called, each in the thread or task of the call. They must not block.

    `on_attempt(attempt)`: an attempt has ended, or a target was passed over. `on_switch(from_target, to_target,
    error)`: the chain moves on. `account_needs_human(error)`: a key is refused or an account is out of money.
    `security(error)`: a certificate or a redirect is not to be trusted.
    """

    on_attempt: Callable[[Attempt], object] | None = None
    on_switch: Callable[[str, str, LLMSwitchError], object] | None = None
    account_needs_human: Callable[[LLMSwitchError], object] | None = None
    security: Callable[[LLMSwitchError], object] | None = None
    _broken: set[str] = field(default_factory=set)

    def attempted(self, attempt: Attempt, error: LLMSwitchError | None) -> None:
        """An attempt has ended."""
        self._tell("on_attempt", attempt)
        if isinstance(error, _NEEDS_HUMAN) and attempt.skipped_because is None:
            self._tell("account_needs_human", error)
        if isinstance(error, _SECURITY) and attempt.skipped_because is None:
            self._tell("security", error)

    def switched(self, before: str, after: str, error: LLMSwitchError) -> None:
        """The chain moves on."""
        self._tell("on_switch", before, after, error)

    def _tell(self, name: str, *given: Any) -> None:
        hook = getattr(self, name)
        if hook is None:
            return
        try:
            hook(*given)
        except Exception as problem:  # noqa: BLE001 - whatever a caller's function does, the call goes on
            if name not in self._broken:  # said once, or a broken hook would fill the log
                self._broken.add(name)
                _log.warning("the hook %s raised %s; it is called on, and this is not said again", name, type(problem))
