"""The process in which one library is measured, from outside."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.worker_process import Gone, WorkerProcess

__all__ = ["Failed", "Measured", "Worker"]

_MOST_SECONDS = 600.0  # for one task, however slow


@dataclass(frozen=True)
class Measured:
    """Microseconds of CPU for each call or piece of text, or KiB; `made`: how many calls, pieces or streams."""

    value: float
    made: int


@dataclass(frozen=True)
class Failed:
    """A library could not do it. `name`: of the error; `said`: all of it."""

    name: str
    said: str


class Worker(WorkerProcess):
    """It says what it is able to do, which versions it has, and how it is imported."""

    program = "benchmarks.speed.worker"

    @property
    def able(self) -> frozenset[str]:
        """The methods of its asker."""
        return frozenset(self.hello["able"])

    @property
    def imports(self) -> str:
        """The statements by which a program imports the library."""
        return str(self.hello["imports"])

    def first_call(self, url: str) -> str:
        """The statements of a program that imports the library, makes a client, and asks once."""
        asked = (
            f"from benchmarks.speed.asking import MESSAGES\nfrom benchmarks.speed.askers.{self.module} import Asker\n"
        )
        if "call" in self.able:
            return f"{asked}Asker({url!r}).call(MESSAGES, None)"
        return f"{asked}import asyncio\nasyncio.run(Asker({url!r}).acall(MESSAGES))"

    def measure(self, name: str, url: str, count: int, seconds: float) -> Measured | Failed:
        """So many calls or streams, or as many as there is time for."""
        task = {"measure": name, "url": url, "count": count, "seconds": seconds}
        try:
            answer = self.do(task, _MOST_SECONDS)
        except Gone:
            return Failed("silence", f"its process has ended, or took more than {_MOST_SECONDS:.0f} s")
        if "failed" in answer:
            return Failed(answer["failed"], str(answer["said"]))
        return Measured(float(answer["value"]), int(answer["made"]))
