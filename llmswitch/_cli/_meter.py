"""How far a batch has come: a bar on a terminal, a line now and then elsewhere, a summary at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from time import monotonic
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from llmswitch._reply import Attempt

__all__ = ["Meter"]

_EVERY = 10.0  # seconds between two lines where there is no terminal
_RECENT = 60.0  # seconds of which the speed is: limits are for a minute, so it is one with all their ups and downs


class Meter:
    """
    Counts what came of `total` requests, and shows it. What failed attempts cost counts too, and currencies are never
    added up.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._began = self._said = monotonic()
        self._tokens = [0, 0]
        self._money: dict[str, Decimal] = {}
        self._wait = 0.0
        self._ends = deque([self._began], maxlen=1000)
        self._bar = Progress(BarColumn(bar_width=10), TextColumn("{task.description}"), console=console, transient=True)
        self.done = 0
        self.failed = 0
        self._task = self._bar.add_task(self._line(), total=total)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        self._console.print(self._line(over=True))

    def count(self, attempts: Sequence[Attempt], *, ok: bool) -> None:
        """One request has ended, after these attempts."""
        self.done += ok
        self.failed += not ok
        self._ends.append(monotonic())
        for attempt in attempts:
            if attempt.usage is not None:
                self._tokens[0] += attempt.usage.input_tokens or 0
                self._tokens[1] += attempt.usage.output_tokens or 0
            if attempt.cost is not None:
                money = self._money.get(attempt.cost.currency, Decimal(0))
                self._money[attempt.cost.currency] = money + attempt.cost.amount
        self._show()

    def wait(self, seconds: float) -> None:
        """Nothing has ended; so long it is until the next call may begin, where nobody may be asked now."""
        self._wait = seconds
        self._show()

    def _show(self) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self.done + self.failed, description=self._line())
        elif monotonic() - self._said >= _EVERY:
            self._said = monotonic()
            self._console.print(self._line())

    def _line(self, *, over: bool = False) -> str:
        """What matters most stands first: a narrow terminal cuts the end."""
        facts = [f"{self.done:,} of {self._total:,} done", f"{self.failed:,} failed"]
        if over:
            facts.append(f"in {_span(monotonic() - self._began)}")
        elif self.done + self.failed:
            facts.append(f"{_span(self._left())} left")
        if self._wait >= 1 and not over:
            facts.append(f"at the limit, next call in {_span(self._wait)}")
        facts += [f"{_short(amount)} {currency}" for currency, amount in sorted(self._money.items()) if amount]
        facts.append(f"tokens {self._tokens[0]:,} in, {self._tokens[1]:,} out")
        return " | ".join(facts)

    def _left(self) -> float:
        """Seconds that it will take at the speed of the last minute."""
        now = monotonic()
        while len(self._ends) > 2 and self._ends[0] < now - _RECENT:
            self._ends.popleft()
        return (now - self._ends[0]) / (len(self._ends) - 1) * (self._total - self.done - self.failed)


def _short(amount: Decimal) -> str:
    """To a ten-thousandth, or where it is less to two digits that count."""
    places = max(4, 1 - amount.adjusted())
    return f"{amount.quantize(Decimal(1).scaleb(-places)).normalize():f}"


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"
