"""What a library that is compared has to do: ask the first target, and the second where the first fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["GIVEN_UP", "PROMPT", "Asking", "Given", "key"]

PROMPT = "CANARY-prompt-5d21f0 How high is the Zugspitze?"
GIVEN_UP = "the caller of this will not wait"


def key(number: int) -> str:
    """The key of the target of this number, counted from 1."""
    return f"CANARY-key-9b7e13-t{number}"


@dataclass(frozen=True)
class Given:
    """
    What an asker is made with. `urls`: base URLs of the two targets, both of the Chat Completions dialect.

    `seconds`: the limit of each target, to be set wherever the library documents one that fits: connecting, the first
    token, the gap between tokens, a whole answer. `None`: nothing is set but targets and keys.
    """

    urls: tuple[str, str]
    seconds: float | None


class Asking(Protocol):
    """One client of a library. It raises what the library raises."""

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece, and its finish reason."""

    async def stream(self, prompt: str, pieces: list[str]) -> str | None:
        """Append the pieces of the answer as they come; the finish reason."""
