"""
Spans and metrics by OpenTelemetry's conventions for generative AI, named as in the
package opentelemetry-semantic-conventions 0.66b2.

`[telemetry] otel = true` in the configuration switches them on, or `Client(..., hooks=llmswitch.otel.hooks())`. Nothing
of OpenTelemetry is imported before that.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from ._attempt import classified
from ._call import Call
from ._embedding import EmbedReply, EmbedRequest
from ._errors import LLMSwitchError
from ._hooks import Hooks
from ._operation import CHAT, Reply
from ._otel_content import content_wanted, said_of
from ._reply import Attempt, ChatReply
from ._request import ChatRequest
from ._target import Target
from ._version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["hooks"]

_Attributes: TypeAlias = "dict[str, str | int | float | bool | list[str]]"

# The boundaries that the conventions advise (metrics of GenAI clients).
_SECONDS = [0.01 * 2**power for power in range(14)]
_TOKENS = [4.0**power for power in range(14)]


def hooks(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    content: bool | None = None,
) -> Hooks:
    """
    Hooks that make a span of each call and a child of it of each attempt, and the metrics; further hooks can be set on
    them. Without providers the process's own are used. `content`: whether the spans hold prompts and answers; where it
    is not said, `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` decides, which can also forbid it.

    Raises `ImportError` where `llmswitch[otel]` is not installed.
    """
    try:
        telemetry = _Telemetry(tracer_provider, meter_provider, content=content_wanted(content))
    except ModuleNotFoundError as problem:
        raise ImportError("OpenTelemetry is not installed: pip install 'llmswitch[otel]'") from problem
    return Hooks(on_call=telemetry.watch)


def watched(hooks: Hooks) -> bool:
    """Whether these are hooks that were made here: a call is no two spans."""
    return isinstance(getattr(hooks.on_call, "__self__", None), _Telemetry)


class _Telemetry:
    """The instruments, made once."""

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, *, content: bool
    ) -> None:
        from opentelemetry import context, metrics, trace

        self.content = content
        self.trace, self.context = trace, context
        self.tracer = trace.get_tracer("llmswitch", __version__, tracer_provider)
        meter = metrics.get_meter("llmswitch", __version__, meter_provider)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to receive the first chunk of a stream.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.failover = meter.create_counter("llmswitch.failover", "{move}", "Moves of a call to another target.")

    def watch(self, call: Call) -> _Watch | None:
        """What watches this call, under the span that is current now; counting tokens is no operation of its own."""
        if call.operation is CHAT:
            return _Watch(self, call, "chat", self.context.get_current())
        if isinstance(call.request, EmbedRequest):
            return _Watch(self, call, "embeddings", self.context.get_current())
        return None


class _Watch:
    """One call. No context is ever attached, so that nothing of it is seen by another task."""

    def __init__(self, telemetry: _Telemetry, call: Call, operation: str, parent: Context) -> None:
        self._telemetry, self._call, self._operation, self._parent = telemetry, call, operation, parent
        self._span: Span | None = None
        self._began, self._wall = 0.0, 0

    def began(self) -> None:
        """The call is carried out from now on."""
        call, kind = self._call, self._telemetry.trace.SpanKind.CLIENT
        self._began, self._wall = call.clock(), time.time_ns()
        first = call.chain.targets[0]
        attributes = {**self._of(first), "llmswitch.chain": call.chain.name, **_asked(call)}
        name = f"{self._operation} {first.model}"
        self._span = self._telemetry.tracer.start_span(name, self._parent, kind, attributes, start_time=self._wall)

    def ended(self, trail: list[Attempt], reply: Reply | None, error: BaseException | None) -> None:
        """It has an answer or has failed; or was given up by its caller, which is neither."""
        span, call = self._span, self._call
        if span is None:
            return
        took = call.clock() - self._began
        asked = [attempt for attempt in trail if attempt.skipped_because is None]
        last = self._target(asked[-1].target) if asked else call.chain.targets[0]
        if isinstance(reply, (ChatReply, EmbedReply)):
            last = self._target(f"{reply.provider}:{reply.model}")
        common, failed = self._of(last), _kind(error)
        if isinstance(reply, (ChatReply, EmbedReply)) and reply.served_model:
            common["gen_ai.response.model"] = reply.served_model
        outcome: _Attributes = {"error.type": failed} if failed is not None else {}
        first = _first_chunk(asked, self._began) if call.stream else None
        if span.is_recording():
            span.set_attributes({**common, **outcome, **_answered(reply), "llmswitch.attempts": len(asked)})
            if first is not None:
                span.set_attribute("gen_ai.response.time_to_first_chunk", first)
            if isinstance(error, GeneratorExit):
                span.set_attribute("llmswitch.abandoned", True)
            if self._telemetry.content and isinstance(call.request, ChatRequest):
                span.set_attributes(said_of(call.request.messages, reply, error))
            self._children(span, trail, took)
        if failed is not None:
            span.set_status(self._telemetry.trace.StatusCode.ERROR)
        span.end(self._at(took))
        self._measure(span, common, outcome, reply, asked, took, first)

    def _measure(
        self,
        span: Span,
        common: _Attributes,
        outcome: _Attributes,
        reply: Reply | None,
        asked: list[Attempt],
        took: float,
        first: float | None,
    ) -> None:
        telemetry = self._telemetry
        inside = telemetry.trace.set_span_in_context(span, self._parent)  # for exemplars
        telemetry.duration.record(took, {**common, **outcome}, inside)
        if first is not None:
            telemetry.first_chunk.record(first, common, inside)
        if isinstance(reply, EmbedReply) or (isinstance(reply, ChatReply) and not reply.from_cache):
            for kind, tokens in (("input", reply.usage.input_tokens), ("output", reply.usage.output_tokens)):
                if tokens is not None:
                    telemetry.tokens.record(tokens, {**common, "gen_ai.token.type": kind}, inside)
        moves = sum(before.target != after.target for before, after in pairwise(asked))
        if moves:
            telemetry.failover.add(moves, {"llmswitch.chain": self._call.chain.name}, inside)

    def _children(self, span: Span, trail: list[Attempt], took: float) -> None:
        """A span of each attempt that was made, with the times that the trail has of it."""
        telemetry, inside = self._telemetry, self._telemetry.trace.set_span_in_context(span, self._parent)
        for attempt in trail:
            if attempt.skipped_because is not None:
                continue
            start = attempt.started - self._began
            end = took if attempt.end_ms is None else start + attempt.end_ms / 1000
            attributes = {**self._of(self._target(attempt.target)), **_tried(attempt)}
            kind = telemetry.trace.SpanKind.CLIENT
            child = telemetry.tracer.start_span(
                f"attempt {attempt.target}", inside, kind, attributes, start_time=self._at(start)
            )
            if attempt.error is not None:
                child.set_status(telemetry.trace.StatusCode.ERROR)
            child.end(self._at(max(start, end)))

    def _at(self, seconds: float) -> int:
        return self._wall + int(seconds * 1e9)

    def _target(self, name: str) -> Target:
        targets = self._call.chain.targets
        return next((target for target in targets if target.name == name), targets[0])

    def _of(self, target: Target) -> _Attributes:
        """What every span and metric says of whom it is about."""
        said: _Attributes = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": target.spec.telemetry_name or target.provider,
            "gen_ai.request.model": target.model,
        }
        host = urlsplit(target.endpoint.origin).hostname
        if host:
            said["server.address"] = host
        return said


def _asked(call: Call) -> _Attributes:
    """The settings of the request, and nothing of what it says."""
    request = call.request
    if not isinstance(request, ChatRequest):
        return {}
    said: dict[str, Any] = {
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.stream": call.stream or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _answered(reply: Reply | None) -> _Attributes:
    if not isinstance(reply, (ChatReply, EmbedReply)):
        return {}
    if isinstance(reply, ChatReply) and reply.from_cache:
        return {"llmswitch.from_cache": True, "gen_ai.response.finish_reasons": [reply.finish_reason]}
    said: dict[str, Any] = {
        "gen_ai.usage.input_tokens": reply.usage.input_tokens,
        "gen_ai.usage.output_tokens": reply.usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": reply.usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": reply.usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": reply.usage.reasoning_tokens,
    }
    if isinstance(reply, ChatReply):
        said["gen_ai.response.id"] = reply.id
        said["gen_ai.response.finish_reasons"] = [reply.finish_reason]
    return {name: value for name, value in said.items() if value is not None}


def _tried(attempt: Attempt) -> _Attributes:
    """What the trail has of an attempt, without the messages: a vendor may repeat the prompt in his."""
    said: dict[str, Any] = {
        "llmswitch.target": attempt.target,
        "llmswitch.attempt.kind": attempt.kind,
        "llmswitch.attempt.chosen_by": attempt.chosen_by,
        "llmswitch.possibly_billed": attempt.possibly_billed,
        "llmswitch.retry_after": attempt.retry_after,
        "llmswitch.cancelled_by": attempt.cancelled_by,
        "http.response.status_code": attempt.status,
        "error.type": attempt.error,
    }
    return {name: value for name, value in said.items() if value is not None}


def _kind(error: BaseException | None) -> str | None:
    """The class of what went wrong. A caller who goes away is no error."""
    if error is None or isinstance(error, GeneratorExit):
        return None
    return type(classified(error) if isinstance(error, LLMSwitchError) else error).__name__


def _first_chunk(asked: list[Attempt], began: float) -> float | None:
    """Seconds from the call's beginning to the first piece of an answer, whichever attempt it came from."""
    times = [each.started - began + each.ttft_ms / 1000 for each in asked if each.ttft_ms is not None]
    return min(times, default=None)
