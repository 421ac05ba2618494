"""The vendors' own SDKs as oracles of vectors: the same path and body leave, and both read the same numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmswitch import Client
from tests.providers.foreign_sdk import Ear, Sent, run_with

pytestmark = pytest.mark.slow

VECTORS = [[0.5, -1.0], [2.0, 3.0]]
TEXTS = ["Oslo", "你好"]

COHERE = """
import sys, cohere
made = cohere.ClientV2(api_key="k", base_url=sys.argv[1]).embed(
    model="embed-v4.0", texts=["Oslo", "你好"], input_type="search_document", embedding_types=["float"],
    truncate="NONE", output_dimension=2)
assert [[0.5, -1.0], [2.0, 3.0]] == made.embeddings.float_, made
assert 4 == made.meta.billed_units.input_tokens
"""
MISTRAL = """
import sys
from mistralai.client import Mistral
made = Mistral(api_key="k", server_url=sys.argv[1]).embeddings.create(
    model="codestral-embed", inputs=["Oslo", "你好"], output_dimension=2)
assert [[0.5, -1.0], [2.0, 3.0]] == [each.embedding for each in made.data], made
assert 4 == made.usage.prompt_tokens
"""
GEMINI = """
import sys
from google import genai
client = genai.Client(api_key="k", http_options={"base_url": sys.argv[1], "api_version": "v1beta"})
config = {"task_type": "RETRIEVAL_QUERY", "output_dimensionality": 2}
made = client.models.embed_content(model="gemini-embedding-001", contents=["Oslo", "你好"], config=config)
assert [[0.5, -1.0], [2.0, 3.0]] == [each.values for each in made.embeddings], made
assert 4 == made.usage_metadata.prompt_token_count
"""
OF_COHERE = {
    "id": "1",
    "response_type": "embeddings_by_type",
    "embeddings": {"float": VECTORS},
    "texts": TEXTS,
    "meta": {"billed_units": {"input_tokens": 4.0}},
}
OF_MISTRAL = {
    "id": "1",
    "object": "list",
    "model": "codestral-embed",
    "data": [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(VECTORS)],
    "usage": {"prompt_tokens": 4, "total_tokens": 4, "completion_tokens": 0},
}
OF_GEMINI = {"embeddings": [{"values": each} for each in VECTORS], "usageMetadata": {"promptTokenCount": 4}}

# target -> the SDK, what it does, the path of our base URL, what is answered, our option
ORACLES: dict[str, tuple[str, str, str, Any, Any]] = {
    "cohere:embed-v4.0": ("cohere==7.3.1", COHERE, "", OF_COHERE, {"input_type": "document"}),
    "mistral:codestral-embed": ("mistralai==3.7.0", MISTRAL, "/v1", OF_MISTRAL, {}),
    "gemini:gemini-embedding-001": ("google-genai==3.4.0", GEMINI, "/v1beta", OF_GEMINI, {"input_type": "query"}),
}


@pytest.mark.parametrize("target", ORACLES)
def test_the_sdk_asks_for_vectors_in_the_same_way(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, target: str
) -> None:
    """Path and body are the SDK's, and both read the vectors and what they cost."""
    requirement, script, path, answer, options = ORACLES[target]
    monkeypatch.setenv("ORACLE_KEY", "k")

    def answered(_sent: Sent) -> tuple[str, bytes]:
        return "application/json", json.dumps(answer).encode()

    ear = Ear(answered)
    try:
        run_with(request.config.cache, requirement, script, ear.url)
        own = {"base_url": ear.url + path, "api_key": {"env": "ORACLE_KEY"}}
        with Client.from_config({"providers": {target.partition(":")[0]: own}, "default": target}) as client:
            reply = client.embed(TEXTS, dimensions=2, **options)
    finally:
        ear.close()
    theirs, mine = ear.heard
    assert (theirs.method, theirs.path, theirs.json) == (mine.method, mine.path, mine.json)
    assert (VECTORS, 4) == (reply.vectors, reply.usage.input_tokens)
