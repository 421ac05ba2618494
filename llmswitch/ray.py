"""
A stage for Ray Data: each row of a dataset is asked through a chain.

    from llmswitch.ray import ChatStage

    answers = questions.map_batches(
        ChatStage, fn_constructor_kwargs={"model": "PROVIDER:MODEL", "max_tokens": 200}, concurrency=4, batch_size=256
    )

Ray itself is not imported: a stage is a class that is called with a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._batch import Batch
from ._bulk import BatchResult
from ._client import Client
from ._errors import InvalidRequest
from ._pace import Pace

__all__ = ["ChatStage"]


class ChatStage:
    """
    Made once in each of Ray's workers, then called with its batches.

    `model`, `config` as in `Client`; keys are best left to the environment of the workers. Where `[store]` of the
    configuration names a Redis, the workers share cool-downs, limits and budgets. `prompt` or `messages` names the
    column that is asked: texts, or conversations, each as a list of messages or as the JSON of one. `calls`: in flight
    in this worker, at most. `patience` as in `Client.batch`; the rest are options of `chat()`.

    What comes out has the columns that went in, and `text`, `provider`, `model`, `finish_reason`, `input_tokens`,
    `output_tokens`, `cost`, `currency`, `error` (the class) and `error_message`. A row that fails does not end the job.
    """

    def __init__(
        self,
        model: str | Sequence[str] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        prompt: str | None = None,
        messages: str | None = None,
        calls: int = 16,
        patience: float = 600.0,
        http_client: Any = None,
        **options: Any,
    ) -> None:
        if prompt is not None and messages is not None:
            raise InvalidRequest("name one column, by `prompt` or by `messages`", field="messages")
        self._client = Client(model, config=config, http_client=http_client)
        self._column = messages or prompt or "prompt"
        self._whole = messages is not None
        self._calls = calls
        self._patience = patience
        self._options = options
        self._pace: Pace | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its answers. Raises `InvalidRequest` where it lacks the column."""
        if self._column not in batch:
            raise InvalidRequest(
                f"there is no column {self._column!r}; prompt= or messages= names the one that is asked",
                field=self._column,
            )
        column = batch[self._column]
        rows: list[dict[str, Any]] = [{} for _ in range(len(column))]
        asked = Batch(
            self._client._call,  # noqa: SLF001 - a batch of this client's
            self._client._carry_out,  # noqa: SLF001
            self._requests(column),
            self._calls,
            self._patience,
            self._options,  # type: ignore[arg-type]
            self._pace,
        )
        self._pace = asked.pace
        with asked:
            for result in asked:
                rows[result.index] = _row(result)
        return {**batch, **{name: [row[name] for row in rows] for name in _COLUMNS}}

    def _requests(self, column: Any) -> Iterator[dict[str, Any]]:
        for cell in column:
            yield {"messages": _conversation(cell)} if self._whole else {"prompt": _plain(cell)}


_COLUMNS = (
    "text",
    "provider",
    "model",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "cost",
    "currency",
    "error",
    "error_message",
)


def _row(result: BatchResult) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    reply, error = result.reply, result.error
    if reply is not None:
        row.update(text=reply.text, provider=reply.provider, model=reply.model, finish_reason=reply.finish_reason)
        row.update(input_tokens=reply.usage.input_tokens, output_tokens=reply.usage.output_tokens)
        if reply.cost is not None:
            row.update(cost=f"{reply.cost.amount.normalize():f}", currency=reply.cost.currency)
    elif error is not None:
        row.update(error=type(error).__name__, error_message=error.message)
    return row


def _conversation(cell: Any) -> Any:
    """The messages of a cell; what is no JSON is left for the call to refuse."""
    plain = _plain(cell)
    if isinstance(plain, str):
        try:
            plain = json.loads(plain)
        except ValueError:
            return None
    return plain


def _plain(value: Any) -> Any:
    """The value without arrays, and without the fields that a table fills up where a row has none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
