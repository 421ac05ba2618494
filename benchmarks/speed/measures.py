"""What is measured of each library, and the ratios to raw httpx that are to be reached."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """
    One column of the table. `name`: what the worker calls it; `serves`: what the vendor answers; `needs`: what an asker
    has to be able to do. `count`: calls or streams in a round; `quick`: where it is only to be seen that it works.

    `goals`: at most so many times what raw httpx takes, on the plain engine and on the fast one; for `memory` KiB.
    """

    name: str
    title: str
    serves: str
    needs: str
    count: int
    quick: int
    goals: tuple[float, float]


MEASURES = (
    Measure("sync", "sync call", "whole", "call", 200, 3, (1.1, 0.6)),
    Measure("async", "async call", "whole", "acall", 200, 3, (0.9, 0.5)),
    Measure("in-flight", "100 in flight", "whole", "acall", 12, 1, (0.8, 0.2)),
    Measure("burst-sync", "chunk, burst, sync", "burst", "stream", 3, 1, (0.9, 0.4)),
    Measure("burst-async", "chunk, burst, async", "burst", "astream", 3, 1, (0.9, 0.4)),
    Measure("burst-many", "chunk, burst, 50 streams", "burst", "astream", 1, 0, (0.9, 0.4)),
    Measure("paced-sync", "chunk, paced, sync", "paced", "stream", 3, 1, (1.0, 0.6)),
    Measure("paced-async", "chunk, paced, async", "paced", "astream", 3, 1, (1.0, 0.6)),
    Measure("paced-many", "chunk, paced, 50 streams", "paced", "astream", 1, 1, (1.0, 0.4)),
    Measure("messages", "1 MB of messages", "whole", "call", 5, 1, (0.6, 0.3)),
    Measure("tools", "100 tools", "whole", "call", 20, 1, (1.0, 1.0)),
    Measure("memory", "KiB per open stream", "idle", "aopen", 1000, 20, (40.0, 30.0)),
)
