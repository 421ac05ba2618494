"""A chat at the terminal. When a provider goes away between two questions, the next goes on with the conversation."""

from llmswitch import Client, LLMSwitchError, Message

client = Client()
conversation = [Message("system", "Answer in one or two sentences.")]
while True:
    try:
        question = input("\n> ").strip()
    except (EOFError, KeyboardInterrupt):
        break
    if not question:
        continue
    asked = [*conversation, Message("user", question)]
    try:
        with client.stream(asked) as stream:
            for text in stream.text:
                print(text, end="", flush=True)
    except LLMSwitchError as problem:
        print(f"\n{problem}\nNothing of this is kept: ask again.")
        continue
    reply = stream.reply
    conversation = [*asked, reply.message]
    print(f"\n[{reply.provider}:{reply.model}, {reply.cost or 'price not known'}]")
