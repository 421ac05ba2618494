"""Spans and metrics of calls: what they say, under whom they stand, when they end, and what is never in them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llmswitch import AsyncClient, Client, LLMSwitchError, StreamInterrupted, otel
from llmswitch.testing import FakeVendor


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CANARY_KEY", "KEY-CANARY-0123456789")


OK = {
    "id": "r1",
    "model": "m-0613",
    "choices": [{"message": {"content": "ANSWER-CANARY"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
PIECES = (
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


class Silent(FakeVendor):
    """Never answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("nobody waited for this")


class Seen:
    """A client whose telemetry is kept in memory; its first target refuses with a status, where one is given."""

    def __init__(
        self,
        kind: type = Client,
        status: int | None = None,
        body: bytes | None = None,
        able: dict | None = None,
        vendor: type = FakeVendor,
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if status is not None and request.url.host == "a.local":
                return httpx.Response(status, json={"error": {"message": "PROMPT-CANARY KEY-CANARY-0123456789"}})
            if body is not None:
                kind = "application/json" if body.startswith(b"{") else "text/event-stream"
                return httpx.Response(200, headers={"content-type": kind}, content=body)
            return httpx.Response(200, json=OK)

        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        hooks = otel.hooks(tracer_provider=self.tracers, meter_provider=MeterProvider([self._reader]))
        provider = {"dialect": "openai", "api_key": {"env": "CANARY_KEY"}, "capabilities": able or {}}
        config = {
            "providers": {name: {**provider, "base_url": f"http://{name}.local/v1"} for name in "ab"},
            "chains": {"c": {"targets": ["a:m", "b:m"]}},
            "default": "c",
        }
        self.client = kind.from_config(config, http_client=vendor(answer), hooks=hooks)

    def spans(self) -> dict[str, trace.Span]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    def metrics(self) -> dict[str, list]:
        data = self._reader.get_metrics_data()
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}


def test_a_call_is_a_span_and_each_attempt_a_child():
    """A call that moves on is one span of who answered, with a child for each target that was asked."""
    seen = Seen(status=401)
    seen.client.chat("Hi", max_tokens=5)
    spans = seen.spans()
    whole, first, second = spans["chat m"], spans["attempt a:m"], spans["attempt b:m"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "b",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 5,
        "gen_ai.response.model": "m-0613",
        "gen_ai.response.id": "r1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "server.address": "b.local",
        "llmswitch.chain": "c",
        "llmswitch.attempts": 2,
    }
    assert expected == dict(whole.attributes)
    assert trace.SpanKind.CLIENT == whole.kind
    assert {whole.context.span_id} == {first.parent.span_id, second.parent.span_id}
    assert ("AuthInvalid", 401, "first") == tuple(
        first.attributes[name] for name in ("error.type", "http.response.status_code", "llmswitch.attempt.kind")
    )
    assert "fallback" == second.attributes["llmswitch.attempt.kind"]
    assert whole.start_time <= first.start_time <= first.end_time <= second.end_time <= whole.end_time


def test_metrics_count_tokens_time_and_moves():
    """Tokens, the duration and the moves to another target are measured."""
    seen = Seen(status=401)
    seen.client.chat("Hi")
    metrics = seen.metrics()
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in metrics["gen_ai.client.token.usage"]}
    assert {"input": 3, "output": 2} == tokens
    assert [1] == [point.count for point in metrics["gen_ai.client.operation.duration"]]
    assert [1] == [point.value for point in metrics["llmswitch.failover"]]


def test_neither_key_nor_prompt_nor_answer_is_told():
    """No attribute, event, status or metric holds key, prompt or answer, even where a vendor repeats them."""
    seen = Seen(status=400)
    with pytest.raises(LLMSwitchError):
        seen.client.chat("PROMPT-CANARY")
    other = Seen()
    other.client.chat("PROMPT-CANARY")
    told = [span.to_json() for each in (seen, other) for span in each._spans.get_finished_spans()]
    told += [str(each.metrics()) for each in (seen, other)]
    assert len(told) >= 6
    assert "CANARY" not in "".join(told)
    assert "ERROR" == seen.spans()["chat m"].status.status_code.name


@pytest.mark.parametrize("read_on", [True, False])
def test_the_span_of_a_stream_ends_with_it(read_on):
    """A stream's span ends when it is read to its end or closed, and has the time to the first piece."""
    seen = Seen(body=PIECES)
    stream = seen.client.stream("Hi")
    next(stream)
    assert {} == seen.spans()
    if read_on:
        list(stream)
    else:
        stream.close()
    span = seen.spans()["chat m"]
    assert span.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert (None if read_on else True) == span.attributes.get("llmswitch.abandoned")
    assert "UNSET" == span.status.status_code.name


def test_the_parent_is_the_span_in_which_the_call_was_made():
    """Calls of several tasks stand each under the span of its own task, and leave no span current."""
    seen = Seen(AsyncClient)
    tracer = seen.tracers.get_tracer("test")

    async def one(name: str) -> None:
        with tracer.start_as_current_span(name) as outer:
            await seen.client.chat("Hi")
            assert outer is trace.get_current_span()

    async def both() -> None:
        await asyncio.gather(one("x"), one("y"))
        await seen.client.aclose()

    asyncio.run(both())
    finished = seen._spans.get_finished_spans()
    outer = {span.context.span_id for span in finished if span.name in ("x", "y")}
    assert outer == {span.parent.span_id for span in finished if span.name == "chat m"}


def test_what_is_forgotten_or_cancelled_ends_its_span():
    """The span of a stream that nobody holds any more ends, and so does that of a call whose task is cancelled."""
    seen = Seen(body=PIECES)
    next(seen.client.stream("Hi"))  # the stream itself is dropped here
    gc.collect()
    assert seen.spans()["chat m"].attributes["llmswitch.abandoned"]
    other = Seen(AsyncClient, vendor=Silent)

    async def cut_short() -> None:
        task = asyncio.create_task(other.client.chat("Hi"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        await other.client.aclose()

    asyncio.run(cut_short())
    gc.collect()
    assert {"chat m", "attempt a:m"} == other.spans().keys()


def test_a_stream_that_breaks_is_an_error_and_an_embedding_an_operation():
    """A broken stream's span has the class of what broke it; vectors have a span of their own kind."""
    seen = Seen(body=PIECES.partition(b"\n\n")[0] + b"\n\n")
    with pytest.raises(StreamInterrupted):
        list(seen.client.stream("Hi"))
    span = seen.spans()["chat m"]
    assert "ERROR" == span.status.status_code.name
    assert span.attributes["error.type"] == seen.spans()["attempt a:m"].attributes["error.type"]
    other = Seen(
        able={"embeddings": True}, body=b'{"data":[{"index":0,"embedding":[1.0]}],"usage":{"prompt_tokens":1}}'
    )
    other.client.embed("Hi")
    assert "embeddings" == other.spans()["embeddings m"].attributes["gen_ai.operation.name"]


@pytest.mark.parametrize("where", ["on_call", "began", "ended"])
def test_a_watch_that_raises_harms_nothing(where, caplog):
    """Whatever whoever watches does, the call is answered, and it is said once in the log."""

    class Broken:
        def began(self) -> None:
            assert where != "began"

        def ended(self, *_: object) -> None:
            assert where != "ended"

    def on_call(call: object) -> Broken:
        assert where != "on_call"
        return Broken()

    seen = Seen()
    seen.client._hooks.on_call = on_call
    assert ["ANSWER-CANARY"] * 2 == [seen.client.chat("Hi").text for _ in range(2)]
    assert 1 == len(caplog.records)


def test_opentelemetry_is_not_imported_unasked():
    """The library alone does not load OpenTelemetry."""
    program = "import sys, llmswitch; print(any(name.startswith('opentelemetry') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
