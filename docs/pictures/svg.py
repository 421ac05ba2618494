"""A drawing as SVG: a card with boxes, arrows and words on it, that can be read on a light page and on a dark one."""

from __future__ import annotations

from html import escape
from textwrap import wrap

__all__ = ["Picture"]

_STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 12px } .soft { fill: #59636e }
.code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12px }
.card { fill: #ffffff; stroke: #d1d9e0 } .box { fill: #f6f8fa; stroke: #818b98 }
.frame { fill: none; stroke: #818b98; stroke-dasharray: 5 4 } .line { fill: none; stroke: #59636e; stroke-width: 1.5 }
.grid { stroke: #d1d9e0 } .head { fill: #59636e } .good { fill: #1a7f37 } .bad { fill: #cf222e } .wait { fill: #bf8700 }
.good-box { fill: #dafbe1; stroke: #1a7f37 } .bad-box { fill: #ffebe9; stroke: #cf222e }
.wait-box { fill: #fff8c5; stroke: #bf8700 }
""".strip()
_DARK = """
text { fill: #f0f6fc } .soft { fill: #9198a1 } .card { fill: #0d1117; stroke: #3d444d }
.box { fill: #151b23; stroke: #656c76 } .frame { stroke: #656c76 } .line { stroke: #9198a1 } .grid { stroke: #3d444d }
.head { fill: #9198a1 } .good { fill: #3fb950 } .bad { fill: #f85149 } .wait { fill: #d29922 }
.good-box { fill: #12261e; stroke: #3fb950 } .bad-box { fill: #25171c; stroke: #f85149 }
.wait-box { fill: #272115; stroke: #d29922 }
""".strip()
_HEAD = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'


class Picture:
    """`title` is said to those who can't see it. Places are pixels from the left and the top."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box") -> None:
        """A box with round corners."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect {place} rx="6" class="{kind}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> None:
        """Words in one line, which stand on y."""
        self._parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def lines(
        self, x: float, y: float, words: str, letters: int, kind: str = "small soft", *, anchor: str = "start"
    ) -> None:
        """Words in as many lines as they need, of at most so many letters."""
        for number, line in enumerate(wrap(words, letters, break_long_words=False)):
            self.text(x, y + 16 * number, line, kind, anchor=anchor)

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line from point to point, with a head at its end."""
        way = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f'<polyline points="{way}" class="line" marker-end="url(#head)"/>')

    def rule(self, x: float, top: float, bottom: float) -> None:
        """A thin line from top to bottom."""
        self._parts.append(f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}" class="grid"/>')

    def __str__(self) -> str:
        size = f'viewBox="0 0 {self._width} {self._height}" width="{self._width}" height="{self._height}"'
        card = f'<rect x="0.5" y="0.5" width="{self._width - 1}" height="{self._height - 1}" rx="8" class="card"/>'
        style = f"<style>\n{_STYLE}\n@media (prefers-color-scheme: dark) {{\n{_DARK}\n}}\n</style>"
        head = f'<defs>{_HEAD}<path d="M0 0 8 4 0 8z" class="head"/></marker></defs>'
        start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(self._title)}</title>'
        return "\n".join([start, style, head, card, *self._parts, "</svg>"]) + "\n"
