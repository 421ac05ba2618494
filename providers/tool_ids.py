"""
Ids of tool calls for vendors who refuse some of them: the conversation keeps its own, the request has others.

The mapping is the same in every request, for a call and for its result, and one to one, so the conversation can go
back. An answer needs none: the ids in it are the vendor's own, of calls that are new.
"""

import hashlib
import re
from collections import defaultdict, deque
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ToolIds", "WireIds"]


class ToolIds(BaseModel):
    """
    Which ids a vendor takes.

    `pattern`: what an id has to match as a whole. `length`: of an id that stands for another, made of digits and the
    letters a to f; it has to match the pattern as well. `unique`: where no id may be there twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    pattern: str = "(?s).+"
    length: Annotated[int, Field(ge=9, le=64)] = 32
    unique: Literal["turn", "conversation"] = "turn"

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            fits = self.fits(self.stand_in("", 0))
        except re.error:
            raise ValueError("tool_ids.pattern is no regular expression") from None
        if not fits:
            raise ValueError(f"tool_ids: {self.length} digits and letters do not match the pattern")
        return self

    def fits(self, call_id: str) -> bool:
        """Whether the vendor takes the id."""
        return re.fullmatch(self.pattern, call_id) is not None

    def stand_in(self, call_id: str, again: int) -> str:
        """An id that stands for another, the same in every request; `again` makes it a different one."""
        return hashlib.sha256(f"{again}:{call_id}".encode("utf-8", "surrogatepass")).hexdigest()[: self.length]


class WireIds:
    """
    The ids of one request, in the order of its messages.

    An id that the vendor takes stays as it is, unless it was there before: some vendors number their calls anew in
    every turn. A result belongs to the first call of its id that has none yet.
    """

    def __init__(self, rule: ToolIds) -> None:
        self._rule = rule
        self._used: set[str] = set()
        self._open: defaultdict[str, deque[str]] = defaultdict(deque)
        self._answered: dict[str, str] = {}

    def new_turn(self) -> None:
        """What follows is another assistant message."""
        if self._rule.unique == "turn":
            self._used.clear()

    def of_call(self, call_id: str) -> str:
        """The id of the next call."""
        wire, again = call_id, 0
        while wire in self._used or not self._rule.fits(wire):
            wire, again = self._rule.stand_in(call_id, again), again + 1
        self._used.add(wire)
        self._open[call_id].append(wire)
        return wire

    def of_result(self, call_id: str) -> str:
        """The id by which the next result names its call."""
        if self._open[call_id]:
            self._answered[call_id] = self._open[call_id].popleft()
        return self._answered.get(call_id, call_id)
