"""Vectors: what is asked and what comes back, through the same exchange as an answer in a conversation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from llmswitch import (
    AllTargetsFailed,
    AsyncClient,
    AuthInvalid,
    BudgetExceeded,
    CapabilityMismatch,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    MalformedResponse,
    ModelGone,
)
from llmswitch.testing import FakeVendor, instant_waits
from tests.rows import rows

KEY = "CANARY-key-5d41402abc4b2a76"
MODEL = "openai:text-embedding-3-small"
TEXTS = ["CANARY-text one", "two"]
VECTORS = [[0.25, -1.0], [3.0, 0.5]]
Answer = Callable[[httpx.Request], httpx.Response]


def made(vectors: Any = VECTORS, **more: Any) -> httpx.Response:
    """As OpenAI answers; in the other order, for the numbers say whose they are."""
    data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(vectors)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return httpx.Response(200, json={"object": "list", "data": data[::-1], "model": "m-1", "usage": usage, **more})


def client(answer: Answer, model: str = MODEL, **config: Any) -> tuple[Client, FakeVendor]:
    vendor = FakeVendor(answer)
    names = dict.fromkeys(each.partition(":")[0] for each in model.split(","))
    providers = {name: {"api_key": {"env": "ONE_KEY"}} for name in names}
    given = {"providers": {**providers, **config.pop("providers", {})}, "default": model, **config}
    return Client.from_config(given, http_client=vendor), vendor


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ONE_KEY", KEY)
    with instant_waits():
        yield


def test_vectors_in_the_order_of_the_texts():
    """One request for all texts; each gets its own vector, beside usage, attempts, and who made them."""
    asked, vendor = client(lambda request: made())
    reply = asked.embed(TEXTS, dimensions=2, extra={"openai": {"user": "u"}})
    assert VECTORS == reply.vectors
    assert ("openai", "text-embedding-3-small", "m-1", 2) == (
        reply.provider,
        reply.model,
        reply.served_model,
        reply.dimensions,
    )
    assert (5, 0, None) == (reply.usage.input_tokens, reply.usage.output_tokens, reply.cost)
    assert [True] == [attempt.ok for attempt in reply.attempts]
    (request,) = vendor.requests
    body = {"model": "text-embedding-3-small", "input": TEXTS, "dimensions": 2, "user": "u"}
    assert ("/v1/embeddings", body) == (request.url.path, json.loads(request.content))
    assert "CANARY" not in f"{reply!r}{reply.attempts!r}"


def test_one_text_and_async():
    """A bare string is one text; the async client does the same."""

    async def run() -> Any:
        vendor = FakeVendor(lambda request: made([[1, 2]]))
        config = {"providers": {"openai": {"api_key": {"env": "ONE_KEY"}}}}
        async with AsyncClient.from_config(config, http_client=vendor) as asked:
            return await asked.embed("one", model=MODEL)

    assert [[1.0, 2.0]] == asyncio.run(run()).vectors
    assert [[1.0, 2.0]] == client(lambda request: made([[1, 2]]))[0].embed("one").vectors


def test_by_ollama(monkeypatch):
    """Ollama has another path, and takes from its options what concerns vectors."""
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    body = {"model": "m", "embeddings": VECTORS, "prompt_eval_count": 5}
    options = {"num_ctx": 512, "body": {"keep_alive": "1m", "think": True, "options": {"num_gpu": 0}}}
    own = {"ollama": {"options": options}}
    asked, vendor = client(lambda request: httpx.Response(200, json=body), "ollama:m", providers=own)
    reply = asked.embed(TEXTS)
    assert (VECTORS, 5, 0) == (reply.vectors, reply.usage.input_tokens, reply.usage.output_tokens)
    assert "/api/embed" == vendor.requests[0].url.path
    sent = {"model": "m", "input": TEXTS, "truncate": False, "keep_alive": "1m"}
    assert {**sent, "options": {"num_gpu": 0, "num_ctx": 512}} == json.loads(vendor.requests[0].content)


# target -> what says the two settings there, and the vendor's answer
COHERE = {"embeddings": {"float": VECTORS}, "meta": {"billed_units": {"input_tokens": 5.0}}}
GEMINI = {"embeddings": [{"values": each} for each in VECTORS], "usageMetadata": {"promptTokenCount": 5}}
WORDS: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "cohere:embed-v4.0": ("/v2/embed", {"input_type": "search_query", "output_dimension": 2}, COHERE),
    "gemini:gemini-embedding-001": (
        "/v1beta/models/gemini-embedding-001:batchEmbedContents",
        {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2},
        GEMINI,
    ),
    "nvidia:nvidia/nv-embedqa-e5-v5": ("/v1/embeddings", {"input_type": "query", "dimensions": 2}, None),
}


@pytest.mark.parametrize("model", WORDS)
def test_what_texts_are_for(model):
    """Each vendor is told in its own words that they are a query, and how long vectors are to be."""
    path, words, answer = WORDS[model]
    asked, vendor = client(lambda request: made() if answer is None else httpx.Response(200, json=answer), model)
    reply = asked.embed(TEXTS, input_type="query", dimensions=2)
    assert (VECTORS, 5, 0, []) == (reply.vectors, reply.usage.input_tokens, reply.usage.output_tokens, reply.warnings)
    body = json.loads(vendor.requests[0].content)
    for each in body.get("requests", [body]):
        assert words == {name: each[name] for name in words}
    assert path == vendor.requests[0].url.path


def test_what_texts_are_for_has_to_be_said():
    """A vendor that demands it is not asked without; a use of its own goes in its own words."""
    asked, vendor = client(lambda request: httpx.Response(200, json=COHERE), "cohere:embed-v4.0")
    with pytest.raises(CapabilityMismatch, match="'document' for texts that are to be found") as caught:
        asked.embed(TEXTS)
    assert ("cohere:embed-v4.0", []) == (caught.value.target, vendor.requests)
    asked.embed(TEXTS, extra={"cohere": {"input_type": "clustering"}})
    sent = json.loads(vendor.requests[0].content)
    assert ("clustering", "NONE") == (sent["input_type"], sent["truncate"])


def test_what_a_target_cannot_be_told():
    """It is refused before a byte is sent; what texts are for may be left out, with a warning, and no length ever."""
    asked, vendor = client(lambda request: made(), "mistral:mistral-embed")
    with pytest.raises(CapabilityMismatch, match=r"input_type: .* pass degrade=True"):
        asked.embed(TEXTS, input_type="document")
    with pytest.raises(CapabilityMismatch, match="dimensions: the length"):
        asked.embed(TEXTS, dimensions=2, degrade=True)
    assert [] == vendor.requests
    reply = asked.embed(TEXTS, input_type="document", degrade=True)
    assert ["degraded"] == [warning.code for warning in reply.warnings]
    assert {"model": "mistral-embed", "input": TEXTS} == json.loads(vendor.requests[0].content)
    asked.embed(TEXTS, model="mistral:codestral-embed", dimensions=2)
    assert 2 == json.loads(vendor.requests[1].content)["output_dimension"]


def test_a_server_of_ones_own_has_its_own_words():
    """What a copy of OpenAI's calls the two settings is configuration."""
    own = {
        "dialect": "openai",
        "base_url": "http://jina.local/v1",
        "api_key": {"env": "ONE_KEY"},
        "capabilities": {"embeddings": True, "embedding_settings": ["input_type"]},
        "options": {"input_types": {"query": {"task": "retrieval.query"}}},
    }
    asked, vendor = client(lambda request: made(), "jina:m", providers={"jina": own})
    asked.embed(TEXTS, input_type="query")
    asked.embed(TEXTS, input_type="document")
    said = [json.loads(request.content) for request in vendor.requests]
    assert ["retrieval.query", "document"] == [said[0]["task"], said[1]["input_type"]]


def at(host: str, failed: httpx.Response) -> Answer:
    """Who is asked at this host fails, and anybody else answers."""
    return lambda request: failed if request.url.host == host else made()


AZURE = {"azure": {"resource": "r", "api_key": {"env": "ONE_KEY"}}}


@pytest.mark.parametrize("ask", ["embed", "chat"])
@pytest.mark.parametrize("model", [["a:m", "b:m"], [], 7])
def test_a_model_that_is_no_name(ask, model):
    """Several models in one call, or a number, are refused as such before anything is looked for."""
    with pytest.raises(InvalidRequest, match="model must be the name") as caught:
        getattr(client(lambda _: made())[0], ask)("x", model=model)
    assert "model" == caught.value.field


def test_a_chain_of_one_model():
    """The next target that serves the same model is asked, and the trail says so."""
    asked, vendor = client(
        at("api.openai.com", httpx.Response(404)), f"{MODEL},azure:text-embedding-3-small", providers=AZURE
    )
    reply = asked.embed(TEXTS)
    assert "azure" == reply.provider
    assert [False, True] == [attempt.ok for attempt in reply.attempts]
    assert "/openai/v1/embeddings" == vendor.requests[-1].url.path


def test_a_chain_of_several_models():
    """Vectors of two models can't be compared: such a chain is refused, unless its caller knows that it is one."""
    asked, vendor = client(at("api.openai.com", httpx.Response(500)), f"{MODEL},azure:mine", providers=AZURE)
    with pytest.raises(InvalidRequest, match=r"different models \(openai:text-embedding-3-small, azure:mine\)"):
        asked.embed(TEXTS)
    assert [] == vendor.requests
    assert "azure" == asked.embed(TEXTS, same_model=True).provider


def test_whose_vectors_are_not_known():
    """A provider that is not known to make vectors is refused before a byte is sent, unless it is said to."""
    asked, vendor = client(lambda request: made(), "groq:m")
    with pytest.raises(CapabilityMismatch, match="embeddings = true") as caught:
        asked.embed(TEXTS)
    assert ("groq:m", []) == (caught.value.target, vendor.requests)
    able = {"groq": {"capabilities": {"embeddings": True}, "api_key": {"env": "ONE_KEY"}}}
    assert VECTORS == client(lambda request: made(), "groq:m", providers=able)[0].embed(TEXTS).vectors
    able = {"anthropic": {"capabilities": {"embeddings": True}, "api_key": {"env": "ONE_KEY"}}}
    with pytest.raises(CapabilityMismatch, match="this dialect has no vectors"):
        client(lambda request: made(), "anthropic:m", providers=able)[0].embed(TEXTS)


@rows(
    ("texts", "options", "field"),
    [
        ([], {}, "texts"),
        (["a", " "], {}, "texts[1]"),
        (["a", 1], {}, "texts[1]"),
        (TEXTS, {"dimensions": 0}, "dimensions"),
        (TEXTS, {"dimensions": True}, "dimensions"),
        (TEXTS, {"input_type": "passage"}, "input_type"),
        (TEXTS, {"input_type": ["query"]}, "input_type"),
        (TEXTS, {"degrade": 1}, "degrade"),
        (TEXTS, {"dimension": 3}, "dimension"),
        (TEXTS, {"timeout": 0}, "timeout"),
        (TEXTS, {"extra": {"openai": 1}}, "extra"),
    ],
)
def test_a_call_that_is_wrong(texts, options, field):
    """What is wrong is said by its name before anything is sent."""
    asked, vendor = client(lambda request: made())
    with pytest.raises(InvalidRequest) as caught:
        asked.embed(texts, **options)
    assert (field, []) == (caught.value.field, vendor.requests)


@rows(
    ("answer", "options", "said"),
    [
        (made(VECTORS[:1]), {}, "1 vectors came for 2 texts"),
        (made([[1.0], [1.0, 2.0]]), {}, "differ in their length"),
        (made([[1.0], []]), {}, "not a list of numbers"),
        (made([[1.0], "AAAA"]), {}, "not a list of numbers"),
        (made([[1.0], [True]]), {}, "not a list of numbers"),
        (made(), {"dimensions": 3}, "vectors of 2 numbers came, and 3 were asked for"),
        (made(data=[{"index": 1, "embedding": [1.0]}] * 2), {}, "not numbered"),
        (made(data=None), {}, "no data"),
        (httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"data: [DONE]\n\n"), {}, "answer"),
    ],
)
def test_what_are_no_vectors(answer, options, said):
    """One vector for each text, all of one length and of the length that was asked for: anything else is none."""
    with pytest.raises(MalformedResponse, match=said):
        client(lambda request: answer)[0].embed(TEXTS, timeout=3, **options)


@pytest.mark.parametrize(
    ("model", "answer", "said"),
    [
        ("cohere:embed-v4.0", {"embeddings": VECTORS}, "no embeddings of floats"),
        ("cohere:embed-v4.0", {"embeddings": {"float": VECTORS[:1]}}, "1 vectors came for 2 texts"),
        ("gemini:gemini-embedding-001", {"embeddings": VECTORS}, "no embeddings"),
        ("gemini:gemini-embedding-001", {"embeddings": [{}, {}]}, "not a list of numbers"),
    ],
)
def test_what_are_no_vectors_of_a_protocol_of_its_own(model, answer, said):
    """The same of vendors that answer in their own form."""
    with pytest.raises(MalformedResponse, match=said):
        client(lambda request: httpx.Response(200, json=answer), model)[0].embed(TEXTS, input_type="query", timeout=3)


def test_errors_and_health_are_those_of_the_exchange():
    """Refusals are classified, a chain says how each target did, and a refused key is not tried again."""
    refused = httpx.Response(401, json={"error": {"message": f"bad key {KEY}", "code": "invalid_api_key"}})
    asked, vendor = client(lambda request: refused)
    for _ in range(2):
        with pytest.raises(AuthInvalid) as caught:
            asked.embed(TEXTS)
        assert "CANARY" not in f"{caught.value}{caught.value!r}"
    assert 1 == len(vendor.requests)
    gone = httpx.Response(404, json={"error": "model not found"})
    asked, _ = client(lambda request: gone, f"{MODEL},azure:text-embedding-3-small", providers=AZURE)
    with pytest.raises(AllTargetsFailed) as failed:
        asked.embed(TEXTS)
    assert [ModelGone, ModelGone] == [type(each) for each in failed.value.exceptions]


def test_a_budget():
    """Tokens of vectors count against a budget as those of answers do."""
    asked, vendor = client(lambda request: made(), budgets=[{"tokens": 40, "per": "day"}])
    asked.embed(TEXTS)
    assert [Decimal(5)] == [Decimal(each.spent or 0) for each in asked.allowances()]
    with pytest.raises(BudgetExceeded):
        asked.embed(["x" * 200])
    assert 1 == len(vendor.requests)


def test_the_deadline():
    """The call's time holds for vectors as well."""

    def late(_request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return made()

    with pytest.raises(DeadlineExceeded):
        client(late)[0].embed(TEXTS, timeout=0.02)


def test_a_conversation_beside_it():
    """The same client, and the same chain, still answer in conversations."""

    def either(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/embeddings"):
            return made()
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        return httpx.Response(200, json={"id": "1", "model": "m", "choices": [choice]})

    asked, _ = client(either)
    assert ("Hi", VECTORS) == (asked.chat("Hello", model="openai:gpt-4.1").text, asked.embed(TEXTS).vectors)
