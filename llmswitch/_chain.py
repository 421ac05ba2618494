"""A chain: who is asked, in which order, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass

from ._policy import Policy
from ._target import Target

__all__ = ["Chain"]


@dataclass(slots=True, frozen=True)
class Chain:
    """An ordered list of targets and the policy by which they are tried. `degrade` is what a call means by default."""

    name: str
    targets: tuple[Target, ...]
    policy: Policy
    degrade: bool = False
