"""What is asked of a store that several processes count their allowances in, a batch of orders at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from ._allowance import Allowance, Charge, Denied, Seen, Want
from ._window import Sliding, Window

__all__ = ["CounterStore", "Give", "Order", "Report", "Result", "Shut", "Take", "Taken", "View", "edges"]


@dataclass(slots=True, frozen=True)
class View:
    """
    An allowance that a batch has to do with, or is to look at. `edges`: where its windows begin and end about now.

    `known`: what the process has seen of it, which a store that was set up anew, or from an old copy, may not have.
    """

    allowance: Allowance
    edges: tuple[int, ...]
    known: Seen | None = None


@dataclass(slots=True, frozen=True)
class Take:
    """
    Reserve all that is wanted, or nothing, under a token, for `lease` seconds. Who asks again with the same token is
    told the same again. `look`: say whether it would be reserved, and reserve nothing.
    """

    token: str
    wants: tuple[Want, ...]
    lease: float
    look: bool = False


@dataclass(slots=True, frozen=True)
class Give:
    """
    So much was spent in truth. Without `actuals` it is not known yet: the amounts are to be reserved, room or not.

    A store that has the token counts the actual in place of the reserved amount. One that has not, and could still
    have it before `kept`, has lost it, or never had it, and counts the actual. `mark`: for how many milliseconds it
    remembers that it did.
    """

    token: str
    charges: tuple[Charge, ...]
    actuals: tuple[int, ...] | None
    kept: int
    mark: int


@dataclass(slots=True, frozen=True)
class Shut:
    """Give out nothing more until that moment; 0: go on."""

    allowance: Allowance
    until: int


Order: TypeAlias = Take | Give | Shut


@dataclass(slots=True, frozen=True)
class Taken:
    """It is reserved; and where each amount is kept, which is nowhere for who only looked."""

    charges: tuple[Charge, ...]


# What came of an order; `None`: it is to be repeated, since the edges did not hold the store's own time.
Result: TypeAlias = Taken | Denied | Literal["done"] | None


@dataclass(slots=True)
class Report:
    """
    What came of a batch. `now`: the store's clock, in milliseconds. `processes`: how many use the store. `seen`: the
    state of each allowance after the batch, by its name.
    """

    now: int
    processes: int
    results: list[Result]
    seen: dict[str, Seen] = field(default_factory=dict)


class CounterStore(Protocol):
    """Used by one thread. Any method may raise anything, and takes a fraction of a second at the most."""

    def carry_out(
        self, views: Sequence[View], orders: Sequence[Order], *, beat: bool = False, leave: bool = False
    ) -> Report:
        """
        Do it all, in one step. There is one view of every allowance that an order has to do with. `beat`: this process
        is alive, for the time being. `leave`: it ends.
        """

    def close(self) -> None:
        """Close the connections."""


def edges(window: Window, now: int) -> tuple[int, ...]:
    """Where the windows begin and end about now; nothing for one that slides, one edge for one that is over."""
    if isinstance(window, Sliding):
        return ()
    span = window.span(now)
    if span is None:
        return (now,)
    following = window.span(span[1])
    return (*span, following[1]) if following is not None and following[1] > span[1] else span
