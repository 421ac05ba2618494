"""What llmswitch writes to the log `llmswitch`. A handler that raises never harms a call."""

from __future__ import annotations

import logging
import sys

__all__ = ["warn", "warn_once"]

_log = logging.getLogger("llmswitch")
_complained: set[type[Exception]] = set()
_told: set[tuple[str, str]] = set()
_MOST = 1_000  # of it: names of models may be made up


def warn(message: str, *args: object) -> None:
    """One line at WARNING. What a handler raises is said on the standard error, once for each kind."""
    try:
        _log.warning(message, *args, stacklevel=2)
    except Exception as problem:  # noqa: BLE001 - a handler of the caller's can raise anything
        kind = type(problem)
        if kind not in _complained and sys.stderr is not None:
            _complained.add(kind)
            try:
                sys.stderr.write(f"llmswitch: a log handler raised {kind.__name__}; a line of the log is lost\n")
            except (OSError, ValueError):
                pass  # it is closed: there is nowhere left to say it


def warn_once(what: str, who: str, message: str, *args: object) -> None:
    """The same, once in the life of this process for each `what` of each `who`."""
    if (what, who) not in _told:
        if len(_told) >= _MOST:
            _told.pop()
        _told.add((what, who))
        warn(message, *args)
