"""An error without what hangs on it: the frames that it came through hold prompts and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import AllTargetsFailed, LLMSwitchError

if TYPE_CHECKING:
    from ._reply import Attempt

__all__ = ["bare"]


def bare(error: LLMSwitchError, trail: list[Attempt] | tuple[()]) -> LLMSwitchError:
    """The error with its trail and without the frames and causes that hold requests."""
    for each in (error, *(error.exceptions if isinstance(error, AllTargetsFailed) else ())):
        each.__traceback__ = None
        each.__context__ = None
        each.attempts = tuple(trail) or each.attempts
    return error
