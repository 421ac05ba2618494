"""How many tokens a request comes to, over HTTP, in the words of Anthropic's `/v1/messages/count_tokens`."""

from __future__ import annotations

from typing import Any

from llmswitch._config import ServerKey
from llmswitch._errors import LLMSwitchError
from llmswitch.doors import Refusal
from llmswitch.doors.counting import counted, headers_of_count
from llmswitch.doors.messages import MessagesDoor

from .answering import Asking, Gateway, Out, askable
from .watch import Entry

__all__ = ["TokenCounting"]


class TokenCounting(Asking):
    """A count by the vendor of the chain's first target where it counts, else an estimate. It spends no budget."""

    def __init__(self, gateway: Gateway, door: MessagesDoor) -> None:
        super().__init__(gateway)
        self._door = door
        self.name = "messages/count_tokens"

    def refusal(self, error: LLMSwitchError) -> Refusal:
        """As the door of the messages says it."""
        return self._door.refusal(error)

    async def ask(self, body: Any, caller: ServerKey, out: Out, entry: Entry, session: str) -> None:  # noqa: ARG002
        """The number; a header says where it is an estimate."""
        asked = self._door.read_count(body)
        del body
        options = askable(asked, self.model(asked.model, caller, entry), caller)
        count = await self.gateway.client.count_tokens(asked.messages, **options)
        entry.target = f"{count.provider}:{count.model}"
        await out.whole(200, counted(count), dict(headers_of_count(count)))
