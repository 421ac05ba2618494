"""What a process has spent, or reserved by itself, and the store is still to be told."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ._allowance import Charge
from ._counter_store import Give
from ._counters import Reservation
from ._window import DAY, FOREVER, Sliding

__all__ = ["LONGEST", "Outbox"]

LONGEST = 10_000  # entries; of what is more, the oldest are summed up

# For how long the store remembers, in milliseconds, that it was told: an order whose answer was lost is repeated. What
# was reserved in an outage comes late and is little, so it can be remembered for longer.
_MARK = 300_000
_LOCAL_MARK = DAY


@dataclass(slots=True)
class _Entry:
    """`kept`: from then on the store may have forgotten that it was told, and is to count nothing anew."""

    reservation: Reservation
    actuals: tuple[int, ...] | None = None
    kept: int = FOREVER


class Outbox:
    """Guarded by the lock of the counters that it belongs to."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._sums: dict[tuple[str, int], tuple[Charge, int]] = {}
        self._unwritten: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._entries) + len(self._sums)

    def unwritten(self, name: str, start: int) -> int:
        """What this process has spent of an allowance in a window, or reserved, that the store does not know of."""
        return self._unwritten.get((name, start), 0)

    def opened(self, reservation: Reservation, now: int) -> None:
        """Something was reserved without the store."""
        self._entries[reservation.token] = _Entry(reservation)
        for charge in reservation.charges:
            self._count(charge, charge.amount)
        self._bound(now)

    def ended(self, reservation: Reservation, actuals: Sequence[int], now: int) -> None:
        """So much was spent in truth."""
        entry = self._entries.get(reservation.token)
        if entry is None:
            entry = self._entries[reservation.token] = _Entry(reservation, kept=reservation.kept)
        if entry.actuals is not None:
            return
        entry.actuals = tuple(actuals)
        if reservation.local:
            for charge, actual in zip(reservation.charges, actuals, strict=True):
                self._count(charge, actual - charge.amount)
        self._bound(now)

    def batch(self, most: int, now: int) -> list[Give]:
        """What is to be told next. It is told until `written` says that it was."""
        self._unsum(now)
        gives = []
        for entry in islice(self._entries.values(), most):
            reservation = entry.reservation
            mark = _LOCAL_MARK if reservation.local else _MARK
            if entry.actuals is None:
                kept = reservation.kept
            else:
                kept = entry.kept = min(entry.kept, now + mark)
            gives.append(Give(reservation.token, reservation.charges, entry.actuals, kept, mark))
        return gives

    def written(self, gives: Sequence[Give]) -> None:
        """The store knows of these."""
        for give in gives:
            entry = self._entries.get(give.token)
            if entry is None:
                continue
            if entry.reservation.local:
                for charge, actual in zip(give.charges, entry.actuals or _amounts(give.charges), strict=True):
                    self._count(charge, -actual)
                entry.reservation.local = False
            if entry.actuals == give.actuals:
                del self._entries[give.token]
            else:  # it was settled while the store was told that it is open
                entry.kept = entry.reservation.kept

    def _bound(self, now: int) -> None:
        while len(self._entries) > LONGEST:
            token = next((token for token, entry in self._entries.items() if entry.actuals is not None), None)
            if token is None:
                return  # all are calls under way
            self._sum(self._entries.pop(token), now)

    def _sum(self, entry: _Entry, now: int) -> None:
        """
        Keep the sum in place of the entry. Of what the store holds as reserved only what came on top is kept: it
        charges the rest by itself when the lease ends.
        """
        reservation = entry.reservation
        for charge, actual in zip(reservation.charges, entry.actuals or (), strict=True):
            extra = actual if reservation.local else max(0, actual - charge.amount)
            if not reservation.local:
                self._count(charge, extra)
            if extra and not _over(charge, now):
                key = charge.allowance.name, charge.start
                before = self._sums[key][1] if key in self._sums else 0
                self._sums[key] = charge, before + extra

    def _unsum(self, now: int) -> None:
        for charge, total in self._sums.values():
            if not _over(charge, now):
                nothing = Charge(charge.allowance, 0, charge.start, charge.ends)
                summed = Reservation(secrets.token_hex(16), (nothing,), local=True)
                self._entries[summed.token] = _Entry(summed, (total,))
        self._sums.clear()

    def _count(self, charge: Charge, amount: int) -> None:
        key = charge.allowance.name, charge.start
        left = self._unwritten.get(key, 0) + amount
        if left > 0 and not isinstance(charge.allowance.window, Sliding):
            self._unwritten[key] = left
        else:
            self._unwritten.pop(key, None)


def _amounts(charges: Sequence[Charge]) -> tuple[int, ...]:
    return tuple(charge.amount for charge in charges)


def _over(charge: Charge, now: int) -> bool:
    window = charge.allowance.window
    return isinstance(window, Sliding) and (charge.start + 1 + window.seconds) * 1000 <= now
