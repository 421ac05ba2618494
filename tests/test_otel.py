"""Spans and metrics of calls: what they say, under whom they stand, when they end, and what is never in them."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from llmswitch import (
    AsyncClient,
    Client,
    ConfigError,
    Document,
    Hooks,
    Image,
    LLMSwitchError,
    Message,
    StreamInterrupted,
    Text,
    ToolCall,
    ToolResult,
    otel,
)
from llmswitch._config_file import Loaded
from llmswitch._registry import provider, provider_names
from llmswitch.server.app import make_gateway
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
        content: bool | None = None,
        more: dict | None = None,
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
        hooks = otel.hooks(tracer_provider=self.tracers, meter_provider=MeterProvider([self._reader]), content=content)
        provider = {"dialect": "openai", "api_key": {"env": "CANARY_KEY"}, "capabilities": able or {}}
        config = {
            "providers": {name: {**provider, "base_url": f"http://{name}.local/v1"} for name in "ab"},
            "chains": {"c": {"targets": ["a:m", "b:m"]}},
            "default": "c",
            **(more or {}),
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


def test_every_name_is_one_of_the_conventions():
    """Each `gen_ai.` name that is set, and each provider's well-known name, is in the conventions' own package."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    known |= {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_")}
    package = Path(otel.__file__).parent
    said = "".join((package / name).read_text() for name in ("otel.py", "_otel_content.py"))
    used = set(re.findall(r'"(gen_ai\.[a-z_.]+)"', said))
    assert len(used) > 20
    assert set() == used - known
    well_known = {each.value for each in gen_ai_attributes.GenAiProviderNameValues}
    named = {name: spec.telemetry_name for name in provider_names() if (spec := provider(name)).telemetry_name}
    assert set() == set(named.values()) - well_known
    assert ("aws.bedrock", "gcp.gemini", "x_ai") == (named["bedrock"], named["gemini"], named["xai"])
    assert {"openai", "anthropic", "cohere", "groq", "deepseek", "perplexity"} <= well_known & set(provider_names())


CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", [Text("What is it? KEY-CANARY-0123456789"), Image(url="https://u:p@x.test/a.png?sig=SIG")]),
    Message("user", [Document(data="QUJD", media_type="application/pdf")]),
    Message("assistant", [ToolCall("t1", "look", {"at": "KEY-CANARY-0123456789"})]),
    Message("tool", [ToolResult("t1", "a cat")]),
]


def test_content_is_recorded_for_who_chose_it():
    """Prompt and answer stand in the form of the conventions; files are named only, and no key is in it."""
    able = {"images": True, "documents": True, "tools": True}
    seen = Seen(able=able, content=True)
    seen.client.chat(CONVERSATION, degrade=True)
    said = seen.spans()["chat m"].attributes
    assert [{"type": "text", "content": "Be brief."}] == json.loads(said["gen_ai.system_instructions"])
    digest = "sha256:b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78"
    look = {"type": "tool_call", "id": "t1", "name": "look", "arguments": {"at": "[secret]"}}
    expected = [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it? [secret]"},
                {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
            ],
        },
        {
            "role": "user",
            "parts": [{"type": "file", "modality": "document", "mime_type": "application/pdf", "file_id": digest}],
        },
        {"role": "assistant", "parts": [look]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t1", "response": "a cat"}]},
    ]
    assert expected == json.loads(said["gen_ai.input.messages"])
    answer = {"role": "assistant", "parts": [{"type": "text", "content": "ANSWER-CANARY"}], "finish_reason": "stop"}
    assert [answer] == json.loads(said["gen_ai.output.messages"])
    assert not [span for span in seen.spans().values() if "gen_ai.input.messages" in span.attributes and span.parent]


def test_of_a_broken_answer_what_came_is_recorded():
    """An answer that broke off is there as far as it came, and is finished by an error."""
    seen = Seen(body=PIECES.partition(b"\n\n")[0] + b"\n\n", content=True)
    with pytest.raises(StreamInterrupted):
        list(seen.client.stream("Hi"))
    (answer,) = json.loads(seen.spans()["chat m"].attributes["gen_ai.output.messages"])
    assert ([{"type": "text", "content": "a"}], "error") == (answer["parts"], answer["finish_reason"])


@pytest.mark.parametrize(
    ("choice", "variable", "recorded"),
    [
        (None, None, False),
        (None, "SPAN_ONLY", True),
        (None, "true", True),
        (None, "EVENT_ONLY", False),
        (True, "NO_CONTENT", False),
        (False, "true", False),
        (True, "", True),
    ],
)
def test_one_no_is_enough(choice, variable, recorded, monkeypatch):
    """Content is recorded where program or environment says yes, and neither says no."""
    if variable is not None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", variable)
    seen = Seen(content=choice)
    seen.client.chat("PROMPT-CANARY")
    assert recorded == ("gen_ai.input.messages" in seen.spans()["chat m"].attributes)


CONFIG = {
    "providers": {"a": {"dialect": "openai", "base_url": "http://a.local/v1"}},
    "default": "a:m",
    "telemetry": {"otel": True},
}


def test_the_configuration_switches_it_on_beside_the_hooks_of_the_program(monkeypatch):
    """With `otel = true` a call is one span, and the program's own hooks are called as well."""
    seen, told = Seen(), []
    monkeypatch.setattr(otel, "hooks", partial(otel.hooks, tracer_provider=seen.tracers))
    vendor = FakeVendor(lambda _: httpx.Response(200, json=OK))
    own = Hooks(on_attempt=lambda attempt: told.append(attempt.target), on_call=lambda call: told.append(call.stream))
    Client.from_config(CONFIG, http_client=vendor, hooks=own).chat("Hi")
    assert ([False, "a:m"], ["attempt a:m", "chat m"]) == (told, sorted(seen.spans()))
    seen._spans.clear()
    Client.from_config(CONFIG, http_client=vendor, hooks=otel.hooks()).chat("Hi")
    assert 2 == len(seen._spans.get_finished_spans())


def test_the_gateway_makes_spans_beside_its_own_metrics(monkeypatch):
    """What the gateway counts by its own hooks it counts all the same."""
    seen = Seen()
    monkeypatch.setattr(otel, "hooks", partial(otel.hooks, tracer_provider=seen.tracers))
    vendor = FakeVendor(lambda _: httpx.Response(200, json=OK))
    gateway = make_gateway(Loaded.from_mapping(CONFIG), http_client=vendor)
    asyncio.run(gateway.client.chat("Hi"))
    assert ["attempt a:m", "chat m"] == sorted(seen.spans())
    assert 1 == gateway.watch.registry.get_sample_value("llmswitch_attempts_total", {"target": "a:m", "outcome": "ok"})


def test_an_answer_from_the_cache_spends_no_tokens():
    """The span says where it is from; the tokens were counted when the vendor was asked, and are not counted again."""
    seen = Seen(more={"cache": {"kind": "memory"}})
    seen.client.chat("Hi", cache=True)
    before = seen.metrics()["gen_ai.client.token.usage"]
    seen.client.chat("Hi", cache=True)
    span = seen._spans.get_finished_spans()[-1]
    assert span.attributes["llmswitch.from_cache"]
    assert 0 == span.attributes["llmswitch.attempts"]
    assert "gen_ai.usage.input_tokens" not in span.attributes
    assert [each.count for each in before] == [each.count for each in seen.metrics()["gen_ai.client.token.usage"]]


def test_what_is_not_installed_is_said_before_any_call(monkeypatch):
    """Without the extra a client that was to make spans is not made, and the error says how to install it."""
    for name in [*[name for name in sys.modules if name.startswith("opentelemetry")], "opentelemetry"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=re.escape("telemetry.otel: OpenTelemetry is not installed: pip install")):
        Client.from_config(CONFIG)


def test_a_file_that_was_found_may_not_have_prompts_recorded():
    """Who merely opens somebody's folder does not hand over what he asks; and content without spans is a mistake."""
    with pytest.raises(ConfigError, match="may not have prompts recorded"):
        Loaded.from_mapping({"telemetry": {"otel": True, "content": True}}, "x", trusted=False)
    with pytest.raises(ConfigError, match="set otel = true too"):
        Client.from_config({"telemetry": {"content": True}})
