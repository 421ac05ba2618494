"""Instructor, around OpenAI's SDK. Without a response model, so that it is asked what the others are asked."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import instructor
from openai import AsyncOpenAI, OpenAI

from benchmarks.speed.askers.openai_sdk import Asker as OfTheSDK

DISTRIBUTIONS = ("instructor", "openai", "httpx2")
NAME = "instructor"
IMPORT = "import instructor\nfrom openai import AsyncOpenAI, OpenAI"


class _Untyped:
    """Completions that are not made into a model."""

    def __init__(self, client: Any) -> None:
        self.chat = self.completions = self
        self._create = client.chat.completions.create

    def create(self, **options: Any) -> Any:
        """What the client gives, as it is; to be awaited of an async one."""
        return self._create(response_model=None, **options)


class Asker(OfTheSDK):
    """A patched client of each kind."""

    @cached_property
    def _client(self) -> Any:
        return _Untyped(instructor.from_openai(OpenAI(**self._options)))

    @cached_property
    def _async(self) -> Any:
        return _Untyped(instructor.from_openai(AsyncOpenAI(**self._options)))
