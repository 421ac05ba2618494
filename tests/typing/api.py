"""Every public call shape, for the type checkers. It is not meant to be executed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel

from llmswitch import (
    AllTargetsFailed,
    AsyncClient,
    BatchResult,
    ChatReply,
    Client,
    Equivalent,
    ErrorExplanation,
    Finish,
    Hooks,
    Image,
    Message,
    Plan,
    ReasoningDelta,
    StreamInterrupted,
    StreamReset,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallDone,
    equivalents,
    explain_error,
)


class Invoice(BaseModel):
    total: float


def get_weather(city: str) -> str:
    """The weather."""
    return city


def sync() -> None:
    client = Client("zhipu:glm-4.6")
    client = Client(["openai:gpt-5", "zhipu:glm-4.6"], timeout=30)
    client = Client()
    client = Client.from_file("llmswitch.toml")
    client = Client.from_config({"default": "openai:gpt-5"})
    messages: list[Message | dict[str, object]] = [
        Message("user", [Text("Look"), Image(url="https://example.com/a.png")]),
        {"role": "user", "content": "Hi"},
    ]
    stored: list[dict[str, object]] = [Message("user", "Hi").to_dict()]
    messages.extend(Message.from_dict(each) for each in stored)
    plan: Plan = client.explain(messages, model="fast", stream=True, max_tokens=5)
    print(plan.first.target if plan.first is not None else plan.message, [each.left for each in client.allowances()])
    reply: ChatReply = client.chat("Say hello")
    reply = client.chat(
        messages,
        model="fast",
        tools=[get_weather, Tool("now", "The time")],
        tool_choice="auto",
        parallel_tool_calls=True,
        response_format=Invoice,
        max_tokens=500,
        temperature=0.2,
        top_p=1.0,
        stop=["END"],
        seed=7,
        reasoning="low",
        timeout=30,
        extra={"zhipu": {"do_sample": False}},
        degrade=True,
        prefill=False,
        cache=True,
    )
    kept: bool = reply.from_cache
    text: str = reply.text + reply.reasoning + reply.finish_reason
    tokens: int | None = reply.usage.input_tokens
    stitched: bool = reply.stitched
    ok: list[bool] = [attempt.ok for attempt in reply.attempts]
    print(
        text, tokens, ok, stitched, kept, reply.cost, reply.provider, reply.model, reply.warnings, reply.id, reply.raw
    )
    with client.stream("Tell me a story") as stream:
        for event in stream:
            match event:
                case TextDelta() | ReasoningDelta():
                    print(event.text)
                case ToolCallDelta():
                    print(event.arguments)
                case ToolCallDone():
                    print(event.call.arguments)
                case StreamReset():
                    print(event.reason)
                case Finish():
                    print(event.reason, event.usage.output_tokens)
        print(stream.reply.text)
    for piece in client.stream("…").text:
        print(piece.upper())
    try:
        client.chat("Hi")
    except StreamInterrupted as error:
        print(error.partial, error.incomplete_tool_calls)
    except AllTargetsFailed as error:
        print([each.target for each in error.exceptions], error.retry_after)
    client.clear_cache()
    client.close()


async def asynchronous() -> None:
    async with AsyncClient(["openai:gpt-5", "zhipu:glm-4.6"]) as client:
        await client.clear_cache()
        plan: Plan = await client.explain("Say hello")
        print(plan.targets)
        reply: ChatReply = await client.chat("…", model="fast", max_tokens=5)
        async with client.stream("…") as stream:
            async for event in stream:
                print(event)
        async for piece in client.stream("…").text:
            print(piece.upper())
        print(reply.text, stream.reply.text)


def errors() -> None:
    client = Client("openai:gpt-5", hooks=Hooks(account_needs_human=print, on_attempt=lambda attempt: attempt.error))
    client.close()
    found: ErrorExplanation | None = explain_error("openai", 429, {"retry-after": "20"}, {"error": {"code": "x"}})
    found = explain_error("openai", 500, body=b"", model="gpt-5")
    if found is not None:
        seconds: float | None = found.cooldown
        print(found.kind, found.error.code, found.again, found.move, found.scopes, found.breaker, seconds)


def elsewhere() -> None:
    found: list[Equivalent] = equivalents("openai:gpt-5", jurisdictions=["cn"], providers="zhipu")
    found = equivalents("openai:gpt-5", jurisdictions="cn")
    for each in found:
        window: int | None = each.context
        rates = [(price.currency, price.input, price.output) for price in each.prices]
        print(each.target, each.tier, window, rates, [(loss.field, loss.message) for loss in each.lost], each.sites)


def bulk() -> None:
    for result in Client("openai:gpt-5").batch(["a", {"id": "b", "prompt": "c"}], concurrency=8, max_tokens=5):
        reply: ChatReply | None = result.reply
        print(result.index, result.id, result.ok, reply, result.error)


async def async_bulk(requests: AsyncIterator[str]) -> None:
    async with AsyncClient("openai:gpt-5").batch(requests, patience=60) as batch:
        first: BatchResult = await anext(batch)
        batch.stop()
        print(first, batch.in_flight, batch.room)
