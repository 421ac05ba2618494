"""
An unfinished answer that the model is to go on with: how vendors want to be asked for it, and what some say again.

Checked 2026-11-27. DeepSeek: `"prefix": true` in the last message, under /beta alone (its documentation). Mistral: the
same field (SDK 3.7.0), and the answer begins with the prefix (simonw/llm-mistral#18). Qwen at Alibaba and Kimi:
`"partial": true` (their documentation). vLLM: two fields of the body (standardcompletions/rfcs#1); OpenRouter and
llama.cpp's server go on with a last message as it is (the same thread), and the latter says it again in an answer of
one piece, and in no stream (tried with xllamacpp 2026.10.11549).
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Echo", "PrefillOptions"]


class PrefillOptions(BaseModel):
    """
    `last`: fields of the last message; `body`: fields of the body; `base_path`: what stands before the path then.
    `echoes`: the answer begins with the text that it was to go on with; `whole`: it does where it comes in one piece.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    last: dict[str, Any] = {}
    body: dict[str, Any] = {}
    base_path: str = ""
    echoes: bool | Literal["whole"] = False


class Echo:
    """The beginning of an answer that is no part of it. What only looked like that at first is given back."""

    __slots__ = ("_awaited", "_heard")

    def __init__(self, text: str) -> None:
        self._awaited = text
        self._heard = ""

    def without(self, piece: str) -> str:
        """What of the next piece of text is part of the answer, together with what had been taken for an echo."""
        if not self._awaited:
            return piece
        self._heard += piece
        if self._heard.startswith(self._awaited):
            answer = self._heard[len(self._awaited) :]
        elif self._awaited.startswith(self._heard):
            return ""
        else:
            answer = self._heard
        self._awaited = self._heard = ""
        return answer

    def rest(self) -> str:
        """What was kept at the end of the answer: less than the whole of an echo is none."""
        kept, self._heard, self._awaited = self._heard, "", ""
        return kept
