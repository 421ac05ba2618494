"""The process in which one library is measured, from outside."""

from __future__ import annotations

from benchmarks.worker_process import Gone, WorkerProcess

__all__ = ["Worker"]

_MOST_SECONDS = 900.0  # for one task: the slowest of peers takes minutes for a thousand streams


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

    def measure(self, name: str, url: str, count: int) -> float | str:
        """Microseconds of CPU for each call or piece of text, or KiB; or what went wrong."""
        try:
            answer = self.do({"measure": name, "url": url, "count": count}, _MOST_SECONDS)
        except Gone:
            return "its process has ended, or took too long"
        if "failed" in answer:
            return str(answer["failed"]).strip().splitlines()[-1][:200]
        return float(answer["value"])
