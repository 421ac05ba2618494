"""How far a batch has come: a bar on a terminal, a line now and then elsewhere, a summary at the end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from time import monotonic
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from llmswitch._reply import Attempt

__all__ = ["Meter"]

_EVERY = 10.0  # seconds between two lines where there is no terminal


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
        self._bar = Progress(
            TextColumn("batch"), BarColumn(), TextColumn("{task.description}"), console=console, transient=True
        )
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
        for attempt in attempts:
            if attempt.usage is not None:
                self._tokens[0] += attempt.usage.input_tokens or 0
                self._tokens[1] += attempt.usage.output_tokens or 0
            if attempt.cost is not None:
                money = self._money.get(attempt.cost.currency, Decimal(0))
                self._money[attempt.cost.currency] = money + attempt.cost.amount
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self.done + self.failed, description=self._line())
        elif monotonic() - self._said >= _EVERY:
            self._said = monotonic()
            self._console.print(self._line())

    def _line(self, *, over: bool = False) -> str:
        ended = self.done + self.failed
        seconds = monotonic() - self._began
        facts = [f"{self.done:,} of {self._total:,} done", f"{self.failed:,} failed"]
        facts.append(f"tokens {self._tokens[0]:,} in, {self._tokens[1]:,} out")
        facts += [f"{amount.normalize():f} {currency}" for currency, amount in sorted(self._money.items()) if amount]
        if over:
            facts.append(_span(seconds))
        elif ended:
            facts.append(f"{_span(seconds / ended * (self._total - ended))} left")
        return " | ".join(facts)


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"
