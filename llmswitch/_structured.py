"""The form an answer is asked to have, and how it is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from ._errors import InvalidRequest
from ._json import JSONInvalid, dumps, loads
from ._optional_nulls import without_nulls
from ._schema_check import can_check, check

__all__ = ["ResponseFormat"]

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(slots=True, frozen=True)
class ResponseFormat:
    """
    What `response_format` asked for.

    `schema` is JSON Schema, or `None` for JSON of any shape. `model` is the pydantic model it came from, if it did.
    """

    name: str
    schema: Mapping[str, Any] | None = None
    model: type[BaseModel] | None = None

    @classmethod
    def read(cls, value: object) -> ResponseFormat | None:
        """From a pydantic model, a JSON schema as a dict, or `"json"`. Raises `InvalidRequest` for anything else."""
        if value is None or isinstance(value, cls):
            return value
        if isinstance(value, type) and issubclass(value, BaseModel):
            return _from_model(value)
        if isinstance(value, Mapping):
            schema = dict(value)
            if not {"type", "properties", "$ref", "anyOf", "enum", "const"} & schema.keys():
                raise InvalidRequest(
                    "response_format as a dict must be a JSON schema such as {'type': 'object', 'properties': …}",
                    field="response_format",
                )
            return cls(_NOT_A_NAME.sub("_", str(schema.get("title", "answer")))[:64], schema)
        if value == "json":
            return cls("json")
        raise InvalidRequest(
            "response_format must be a pydantic model, a JSON schema as a dict, or 'json'",
            field="response_format",
        )

    @property
    def in_words(self) -> str:
        """What a target is told that can't be told it in a field of its own."""
        if self.schema is None:
            return "Answer with one JSON value, and nothing else."
        schema = dumps(dict(self.schema)).decode()
        return f"Answer with one JSON value, and nothing else, that fits this JSON schema:\n{schema}"

    @property
    def checked(self) -> bool:
        """Whether an answer is checked on arrival: against the model, or the schema where there is a library for it."""
        return self.model is not None or self.schema is None or can_check()

    def parse(self, text: str) -> Any:
        """The answer as an instance of the model, or as JSON. Raises `ValueError` that names places, not values."""
        text = _without_fence(text)
        if self.model is not None:
            return self._instance(self.model, text)
        try:
            value = loads(text)
        except JSONInvalid as problem:
            raise ValueError(str(problem)) from None
        if self.schema is None:
            return value
        value = without_nulls(value, self.schema)
        check(value, self.schema)
        return value

    def _instance(self, model: type[BaseModel], text: str) -> BaseModel:
        try:
            return model.model_validate_json(text)
        except ValidationError as problem:
            wrong = problem
        try:
            return model.model_validate_json(dumps(without_nulls(loads(text), self.schema or {})))
        except (ValidationError, JSONInvalid):
            raise ValueError(_places(wrong)) from None


@lru_cache(maxsize=256)
def _from_model(model: type[BaseModel]) -> ResponseFormat:
    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema as problem:
        raise InvalidRequest(
            f"response_format {model.__name__} has no JSON schema: {problem.message}", field="response_format"
        ) from None
    return ResponseFormat(_NOT_A_NAME.sub("_", model.__name__)[:64], schema, model)


def _without_fence(text: str) -> str:
    """Some models wrap their JSON in a Markdown fence even when asked not to."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3].strip()
    return text


def _places(problem: ValidationError) -> str:
    lines = [
        f"{'.'.join(str(step) for step in error['loc']) or 'the answer'}: {error['type'].replace('_', ' ')}"
        for error in problem.errors(include_input=False, include_url=False, include_context=False)
    ]
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    return "; ".join(lines[:5]) + more
