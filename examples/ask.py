"""The same program for every provider: which one answers is decided by the configuration."""

import asyncio

from llmswitch import AsyncClient, Client

client = Client()
reply = client.chat("Say hello in five words.")
print(reply.text, "from", reply.provider, "after", [attempt.error for attempt in reply.attempts[:-1]])
for text in client.stream("Count to three.").text:
    print(text, end="", flush=True)


async def main() -> None:
    async with AsyncClient() as client:
        print((await client.chat("Say goodbye.")).text)
        async for text in client.stream("And once more.").text:
            print(text, end="", flush=True)


asyncio.run(main())
