"""
An endpoint that streams its answer as server-sent events. In this folder:

    uvicorn fastapi_stream:app
    curl -N localhost:8000/chat -H 'content-type: application/json' -d '{"text": "Tell me a story"}'
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from llmswitch import AsyncChatStream, AsyncClient, LLMSwitchError


class Question(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncClient() as client:  # one for the process: it has the connections, and knows who is out
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    stream = app.state.client.stream(question.text)
    pieces = stream.text
    try:
        first = await anext(pieces, "")  # until here a target that fails is replaced, and nobody sees it
    except LLMSwitchError as problem:
        raise HTTPException(503, type(problem).__name__) from problem
    return StreamingResponse(events(stream, first, pieces), media_type="text/event-stream")


async def events(stream: AsyncChatStream, first: str, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    async with stream:  # a reader who goes away ends the call at the vendor
        try:
            yield event(text=first)
            async for text in pieces:
                yield event(text=text)
            yield event(done=stream.reply.provider)
        except LLMSwitchError as problem:
            yield event(error=type(problem).__name__)


def event(**fields: str) -> str:
    return f"data: {json.dumps(fields)}\n\n"
