"""The same assistant, bound to nobody: who answers is decided by llmswitch.toml."""

from llmswitch import Client, Message, ToolResult

ORDERS = {"1042": "two books, on their way, expected on Friday"}


def find_order(number: str) -> str:
    """Find out where an order is."""
    return ORDERS.get(number, "there is no such order")


client = Client()
messages = [
    Message("system", "You answer customers of a bookshop in one or two sentences."),
    Message("user", "Where is my order 1042?"),
]
reply = client.chat(messages, tools=[find_order])
if not reply.tool_calls:
    print(reply.text)
else:
    messages.append(reply.message)
    messages.append(Message("tool", [ToolResult(call.id, find_order(**call.arguments)) for call in reply.tool_calls]))
    with client.stream(messages, tools=[find_order]) as stream:
        for text in stream.text:
            print(text, end="", flush=True)
    print()
