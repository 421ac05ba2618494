"""An agent with two tools. After its first step the provider that took it goes away, and another goes on from there."""

from llmswitch import Client, Message, ToolCall, ToolResult

ORDERS = {"1042": "two books, in our warehouse"}


def find_order(number: str) -> str:
    """Find out where an order is."""
    return ORDERS[number]


def book_courier(number: str, day: str) -> str:
    """Have an order brought to the customer on a day."""
    return f"order {number} comes on {day}"


TOOLS = {tool.__name__: tool for tool in (find_order, book_courier)}


def run(call: ToolCall) -> ToolResult:
    """What the model asked for; what goes wrong is told to it, so that it can do something else."""
    try:
        return ToolResult(call.id, TOOLS[call.name](**call.arguments))
    except (KeyError, TypeError, ValueError) as problem:
        return ToolResult(call.id, f"{type(problem).__name__}: {problem}", is_error=True)


client = Client()
conversation = [Message("user", "Find my order 1042, and have it brought to me on Friday.")]
for step in range(6):
    reply = client.chat(conversation, tools=list(TOOLS.values()))
    conversation.append(reply.message)
    if not reply.tool_calls:
        print(f"{reply.provider} answers: {reply.text}")
        break
    for call in reply.tool_calls:
        print(f"{reply.provider} calls {call.name}({call.arguments})")
    conversation.append(Message("tool", [run(call) for call in reply.tool_calls]))
    if step == 0:
        print(f"{reply.provider} goes away")
        client.rehearse({reply.provider: "region_blocked"})  # a drill: nothing is sent to it from now on
