"""The way of a call: each station with what its module says of itself."""

from __future__ import annotations

import importlib
from itertools import pairwise

from svg import Picture

__all__ = ["draw"]

WIDTH, HEIGHT, GAP, TOP, BELOW = 208, 148, 34, 74, 324
# From the caller to the vendor, and back from the right to the left.
THERE = (
    ("The question", "_request"),
    ("Who is asked", "_decision"),
    ("In his words", "_adapter"),
    ("Sent", "_drive"),
)
BACK = (("The reply", "_reply"), ("Put together", "_assembly"), ("Read", "_reading"), ("Into events", "_framing"))


def said(module: str) -> str:
    """The first sentence of a module's docstring."""
    words = " ".join((importlib.import_module(f"llmswitch.{module}").__doc__ or "").split())
    return words.partition(". ")[0].rstrip(".") + "."


def draw() -> Picture:
    """The picture."""
    picture = Picture(1140, 524, "The way of a call: over the chain to the vendor, and back to the reply")
    left = [24 + number * (WIDTH + GAP) for number in range(4)]
    picture.text(24, 36, "The way of a call", "title")
    picture.box(left[1] - 16, TOP - 24, 2 * WIDTH + GAP + 32, BELOW + HEIGHT - TOP + 58, "frame")
    for row, top in ((THERE, TOP), (BACK, BELOW)):
        for x, (title, module) in zip(left, row, strict=True):
            picture.box(x, top, WIDTH, HEIGHT)
            picture.text(x + 12, top + 24, title, "title")
            picture.lines(x + 12, top + 48, said(module), 27)
            picture.text(x + WIDTH - 12, top + HEIGHT - 10, f"{module}.py", "code soft", anchor="end")
    vendor = left[3] + WIDTH + GAP
    picture.box(vendor, TOP, 1140 - 24 - vendor, BELOW + HEIGHT - TOP)
    picture.text((vendor + 1116) / 2, (TOP + BELOW + HEIGHT) / 2, "vendor", "title", anchor="middle")
    ends = [*left, vendor]
    for here, there in pairwise(ends):
        picture.arrow((here + WIDTH, TOP + HEIGHT / 2), (there, TOP + HEIGHT / 2))
        picture.arrow((there, BELOW + HEIGHT / 2), (here + WIDTH, BELOW + HEIGHT / 2))
    middle = (TOP + HEIGHT + BELOW) / 2
    turn, up = left[2] + WIDTH / 2, left[1] + 40
    picture.arrow((turn, BELOW), (turn, middle + 22), (up, middle + 22), (up, TOP + HEIGHT))
    picture.lines(up + 12, middle - 14, "an error of the taxonomy: again, the next one, or give up with the trail", 50)
    picture.text(
        left[1] - 4, BELOW + HEIGHT + 24, "the exchange: a generator, which decides and never waits", "small soft"
    )
    return picture
