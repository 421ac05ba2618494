"""Whatever JSON a vendor sends, a dialect's reader gives events or says that it is no answer, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmswitch._adapter import ModelIdentity, NotAnAnswer, StreamDecoder, VendorFault
from llmswitch._assembly import BadArguments
from llmswitch._framing import ServerSentEvent
from llmswitch.providers.anthropic_errors import read_error as read_messages_error
from llmswitch.providers.anthropic_reply import MessagesDecoder, parse_message
from llmswitch.providers.gemini_errors import read_error as read_google_error
from llmswitch.providers.gemini_reply import GeminiDecoder, parse_reply
from llmswitch.providers.openai import ChatCompletionsOptions
from llmswitch.providers.openai_errors import read_error as read_completions_error
from llmswitch.providers.openai_reply import ChatCompletionsDecoder, parse_completion
from tests.everyday import many

SAID = (VendorFault, NotAnAnswer, BadArguments)
WHO = ModelIdentity("vendor", "account", "model")

COMPLETIONS = [
    "id",
    "model",
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "text",
    "role",
    "refusal",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "reasoning_content",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "error",
    "code",
    "type",
]
MESSAGES = [
    "type",
    "message",
    "content",
    "content_block",
    "index",
    "delta",
    "text",
    "thinking",
    "signature",
    "citations",
    "citation",
    "partial_json",
    "id",
    "name",
    "input",
    "stop_reason",
    "usage",
    "input_tokens",
    "output_tokens",
    "output_tokens_details",
    "cache_read_input_tokens",
    "error",
    "details",
    "error_code",
]
CONTENT = [
    "candidates",
    "content",
    "parts",
    "index",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "name",
    "args",
    "id",
    "willContinue",
    "inlineData",
    "finishReason",
    "continuationToken",
    "usageMetadata",
    "promptTokenCount",
    "totalTokenCount",
    "promptFeedback",
    "blockReason",
    "error",
    "status",
    "details",
    "violations",
    "quotaId",
    "retryDelay",
    "reason",
]
WORDS = [
    "STOP",
    "CONTINUATION",
    "MISSING_THOUGHT_SIGNATURE",
    "9s",
    "stop",
    "tool_calls",
    "length",
    "null",
    "look",
    "lo",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "text_delta",
    "thinking_delta",
    "input_json_delta",
    "signature_delta",
    "citations_delta",
    "text",
    "tool_use",
    "thinking",
    "redacted_thinking",
    "server_tool_use",
    "end_turn",
    "max_tokens",
    "error",
]


def some_json(keys: list[str]) -> st.SearchStrategy[Any]:
    """JSON of which most is where a reader looks for something."""
    small = st.integers(-1, 3) | st.sampled_from([10**30, 0.5, 1e300])
    leaves = st.none() | st.booleans() | small | st.sampled_from(["", "0", '{"a": 1}', *WORDS]) | st.text(max_size=3)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, min_size=1, max_size=4)
        ),
        max_leaves=20,
    )


CHUNK = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.dictionaries(st.sampled_from(["delta", "index", "finish_reason", "usage"]), some_json(COMPLETIONS)),
            max_size=2,
        )
    }
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "index": some_json(COMPLETIONS),
            "id": st.sampled_from(["1", "2"]) | some_json(COMPLETIONS),
            "function": st.fixed_dictionaries(
                {}, optional={"name": st.sampled_from(["look", "lo", "ok"]), "arguments": some_json(COMPLETIONS)}
            ),
        },
    ),
    max_size=3,
).map(lambda calls: {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]})
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(WORDS)},
    optional={
        "index": st.integers(0, 2) | some_json(MESSAGES),
        "content_block": some_json(MESSAGES),
        "delta": st.fixed_dictionaries({"type": st.sampled_from(WORDS)}, optional={"text": some_json(MESSAGES)})
        | some_json(MESSAGES),
        "message": some_json(MESSAGES),
        "usage": some_json(MESSAGES),
    },
)
PARTS = st.lists(st.dictionaries(st.sampled_from(CONTENT[4:13]), some_json(CONTENT), max_size=3), max_size=3)
CANDIDATE = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": PARTS}) | some_json(CONTENT)},
    optional={"finishReason": st.sampled_from(WORDS[:4]), "continuationToken": some_json(CONTENT)},
)
CONTENTS = st.fixed_dictionaries(
    {}, optional={"candidates": st.lists(CANDIDATE, max_size=2), "error": some_json(CONTENT)}
)


def read(decoder: StreamDecoder, events: list[Any]) -> None:
    """Read them all, as the core does, and put together what came."""
    try:
        for event in events:
            list(decoder.feed(ServerSentEvent("", json.dumps(event))))
        list(decoder.finish())
        list(decoder.assembly.close_calls())
    except SAID:
        pass  # that is what a reader may say
    assert decoder.assembly.reply().attempts == ()


def whole(parse: Any) -> None:
    try:
        list(parse().close_calls())
    except SAID:
        pass  # as above


def check(examples: int) -> None:
    """Play the vendor so many times, in each dialect."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(CHUNK | CALLS | some_json(COMPLETIONS), max_size=4), st.booleans())
    def completions(chunks: list[Any], held: bool) -> None:
        options = ChatCompletionsOptions()
        read(ChatCompletionsDecoder(options, WHO, tools=["look"], tools_as_schema=held), chunks)
        for chunk in chunks:
            whole(lambda chunk=chunk: parse_completion(chunk, options, WHO, tools_as_schema=held))
            read_completions_error(400, json.dumps(chunk).encode())

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(EVENT | some_json(MESSAGES), max_size=6))
    def messages(events: list[Any]) -> None:
        read(MessagesDecoder(WHO), events)
        for event in events:
            whole(lambda event=event: parse_message(event, MessagesDecoder(WHO)))
            read_messages_error(400, json.dumps(event).encode())

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(CONTENTS | some_json(CONTENT), max_size=4))
    def contents(chunks: list[Any]) -> None:
        read(GeminiDecoder(WHO), chunks)
        for chunk in chunks:
            whole(lambda chunk=chunk: parse_reply(chunk, GeminiDecoder(WHO)))
            read_google_error(400, json.dumps(chunk).encode())

    completions()
    messages()
    contents()


def test_any_json():
    """A few vendors that nobody has met."""
    check(10)


@pytest.mark.slow
def test_very_much_json():
    """Many hundreds."""
    check(many(100))
