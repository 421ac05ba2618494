"""Draw the pictures of the docs anew: `python docs/pictures/draw.py`."""

from __future__ import annotations

from pathlib import Path

import call
import failover
import states

HERE = Path(__file__).parent


def main() -> None:
    pictures = {"call": call.draw(), "states": states.draw(), "failover": failover.draw(failover.run())}
    for name, picture in pictures.items():
        (HERE / f"{name}.svg").write_text(str(picture), "utf-8")
        print(HERE / f"{name}.svg")


if __name__ == "__main__":
    main()
