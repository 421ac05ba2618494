"""A bookshop's assistant, bound to one vendor: it looks up an order with a tool, then streams its answer."""

import json

from openai import OpenAI

ORDERS = {"1042": "two books, on their way, expected on Friday"}
FIND_ORDER = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Find out where an order is.",
        "parameters": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
    },
}


def find_order(number: str) -> str:
    return ORDERS.get(number, "there is no such order")


client = OpenAI()
messages = [
    {"role": "system", "content": "You answer customers of a bookshop in one or two sentences."},
    {"role": "user", "content": "Where is my order 1042?"},
]
completion = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[FIND_ORDER])
message = completion.choices[0].message
if not message.tool_calls:
    print(message.content)
else:
    messages.append(message)
    for call in message.tool_calls:
        found = find_order(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    stream = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[FIND_ORDER], stream=True)
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
