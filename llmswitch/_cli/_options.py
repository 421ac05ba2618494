"""Options that several commands have, and that mean the same in each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["ConfigOption", "MaxTokensOption", "ModelOption", "SystemOption", "TagsOption", "TimeoutOption"]

ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="The configuration, in place of the one found.")
]
MaxTokensOption: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Tokens of the answer, at most.")]
ModelOption: TypeAlias = Annotated[
    str | None, typer.Option("-m", "--model", help="A chain, provider:model, or several targets joined by commas.")
]
SystemOption: TypeAlias = Annotated[str | None, typer.Option(help="Instructions that stand before the question.")]
TagsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tag", help="A tag that budgets may go by; may be given again.")
]
TimeoutOption: TypeAlias = Annotated[
    float | None, typer.Option(help="Seconds for the whole call, all targets together.")
]
