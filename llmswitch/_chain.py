"""A chain: who is asked, in which order, and within which limits."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ._policy import Policy
from ._steps import By
from ._target import Target

__all__ = ["Chain", "Group"]


class Group(NamedTuple):
    """
    Targets of a chain of which any may be asked first. `name` tells it from every other group of the configuration.
    `weights`: what each counts, where that matters.
    """

    name: str
    by: By
    members: tuple[Target, ...]
    weights: tuple[float, ...]


class Chain(NamedTuple):
    """
    An ordered list of targets and the policy by which they are tried. `degrade` and `cache` are what a call means by
    default.

    `groups`: those of its targets that stand side by side, and that each call puts into an order of its own. `sticky`:
    seconds for which a session keeps to the member of a group that answered it. `left_out`: targets that it
    names and that are never asked, each with the reason.
    """

    name: str
    targets: tuple[Target, ...]
    policy: Policy
    degrade: bool = False
    groups: tuple[Group, ...] = ()
    sticky: float | None = None
    left_out: Mapping[str, str] = MappingProxyType({})
    cache: bool = False
