"""The states of a target, with the numbers that the breaker has."""

from __future__ import annotations

from svg import Picture

from llmswitch._breaker import BreakerNumbers

__all__ = ["draw"]

WIDTH, HEIGHT = 176, 62
# Each state as `client.health()` names it: its place, its colour, and what it means.
STATES = {
    "ok": (412, 214, "good-box", "calls pass"),
    "cooling": (30, 70, "wait-box", "no packet is sent"),
    "open": (794, 70, "bad-box", "no packet is sent"),
    "half_open": (794, 358, "wait-box", "one call at a time"),
    "isolated": (30, 358, "bad-box", "by hand"),
    "excluded": (412, 420, "box", "its place is not allowed"),
}


def draw() -> Picture:
    """The picture."""
    numbers = BreakerNumbers()
    times = ", ".join(f"{numbers.first * 2**power:g}" for power in range(3))
    picture = Picture(1000, 520, "The states of a target, and what leads from one to another")
    picture.text(24, 36, "The states of a target", "title")
    for name, (x, y, kind, meaning) in STATES.items():
        picture.box(x, y, WIDTH, HEIGHT, kind)
        picture.text(x + WIDTH / 2, y + 26, name, "title", anchor="middle")
        picture.text(x + WIDTH / 2, y + 46, meaning, "small soft", anchor="middle")
    picture.arrow((588, 228), (794, 110))
    share = f"{numbers.share:.0%} of the last {numbers.window} (of at least {numbers.enough})"
    picture.lines(560, 86, f"{numbers.consecutive} failures in a row, or {share}", 26)
    picture.arrow((850, 132), (850, 358))
    picture.lines(838, 236, f"after {times} … at most {numbers.longest:g} s", 18, anchor="end")
    picture.arrow((910, 358), (910, 132))
    picture.lines(922, 236, "a failure", 9)
    picture.arrow((794, 389), (588, 262))
    picture.lines(606, 356, f"{numbers.successes} good answers", 20)
    picture.arrow((412, 228), (206, 110))
    picture.lines(300, 86, "a rate limit, no money, a wrong key, a blocked region", 28)
    picture.arrow((150, 132), (412, 248))
    picture.lines(120, 190, "its time is over, or reset()", 16)
    picture.arrow((412, 256), (206, 372))
    picture.lines(284, 306, "isolate()", 20, anchor="end")
    picture.arrow((206, 398), (446, 276))
    picture.lines(340, 356, "reset()", 20)
    picture.text(500, 502, "[policy] jurisdictions: never asked", "small soft", anchor="middle")
    return picture
