"""The command line: `llmswitch …`, or `python -m llmswitch …`."""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter must not cost the rest of the answer
    try:
        from ._cli import app

        app(prog_name="llmswitch")
    except KeyboardInterrupt:  # before a command was there to say it
        sys.exit(130)


if __name__ == "__main__":
    main()
