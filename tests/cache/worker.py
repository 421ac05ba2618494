"""A process that writes and reads answers in a folder that others use too, until it is killed or has done enough."""

from __future__ import annotations

import sys
from pathlib import Path

from llmswitch._disk_answers import DiskAnswers


def answer(key: str) -> bytes:
    """What belongs under a key."""
    return f"{key};".encode() * 400


def main(folder: str, rounds: int, seed: int) -> None:
    """Prints a line when the first answers are there; fails where an answer is not what it has to be."""
    disk = DiskAnswers(Path(folder), 60, 300_000)
    for number in range(rounds):
        keys = [str((number * 7 + each + seed) % 200) for each in range(5)]
        disk.write([(key, answer(key)) for key in keys])
        for key, found in zip(keys, disk.read(keys), strict=True):
            assert found in (None, answer(key)), key
        if number == 3:
            print("begun", flush=True)
    disk.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
