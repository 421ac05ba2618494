"""The schema of a chain's steps: a target, or a group of targets of which any may be asked first."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from ._strict import Strict

__all__ = ["By", "GroupConfig", "Limits", "Seconds", "Step", "TargetConfig"]

By: TypeAlias = Literal["order", "weighted", "cheapest", "fastest", "least_busy"]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False, strict=True)]


class Limits(Strict):
    """
    Time limits in seconds. `timeout` is for the whole call, the others for one attempt.

    What is not given is 120 for a whole answer and 600 for a stream, 30 to the first token (120 where the model was
    asked to reason), 30 between tokens (90), 5 to connect.
    """

    timeout: Seconds | None = None
    first_token_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    connect_timeout: Seconds | None = None


class TargetConfig(Strict):
    """
    A target with settings of its own, which stand in place of the caller's. `dialect`: one of its provider's. `weight`:
    of a member of a group, its share of the calls.
    """

    target: str
    dialect: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    reasoning: Literal["off", "low", "medium", "high"] | int | None = None
    first_token_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    weight: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None


def _is(given: object) -> str:
    """What a step is meant to be, so that a complaint is about that alone."""
    if isinstance(given, Mapping):
        return "GroupConfig" if "group" in given or "by" in given else "TargetConfig"
    return type(given).__name__ if isinstance(given, Strict) else "str"


_Name = Annotated[str, Tag("str")]
_Target = Annotated[TargetConfig, Tag("TargetConfig")]
Member: TypeAlias = Annotated[_Name | _Target, Discriminator(_is)]


class GroupConfig(Strict):
    """
    One step of a chain that is several targets: all of them are asked before the next step is, whoever comes first.

    `by`: who that is. `order`: the first one that is well. `weighted`: by chance, each as often as its `weight` says (1
    where it has none). `cheapest`: whom this request would cost the least by the catalog. `fastest`: who was the first
    to begin his answers of late. `least_busy`: who has the fewest calls of this process in flight for his `weight`, or
    for his `max_in_flight` where all have one.
    """

    group: tuple[Member, ...]
    by: By

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        members = given.get("group") if isinstance(given, Mapping) else None
        if isinstance(members, (list, tuple)) and any(_is(each) == "GroupConfig" for each in members):
            raise ValueError("a group holds targets, and no other group")
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.group:
            raise ValueError("a group needs a target, such as 'provider:model'")
        heavy = next((each for each in self.group if isinstance(each, TargetConfig) and each.weight is not None), None)
        if heavy is not None and self.by not in ("weighted", "least_busy"):
            raise ValueError(f"{heavy.target}: a weight is heeded by weighted and by least_busy, not by {self.by}")
        return self


Step: TypeAlias = Annotated[_Name | _Target | Annotated[GroupConfig, Tag("GroupConfig")], Discriminator(_is)]
