"""LiteLLM: a Router with fallbacks from one model group to the next."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # its import asks the internet for prices otherwise

from litellm import Router

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("litellm", "openai", "httpx", "aiohttp")
NAME = "LiteLLM Router"
SETTINGS = (
    "`fallbacks=[{'t1': ['t2']}]`, `num_retries=0`; `timeout` and `stream_timeout` are the limit "
    "(docs.litellm.ai/docs/proxy/timeout). Cool-downs as they come. `enable_mid_stream_fallback_continuation` is left "
    "off, which is its default."
)


class Asker:
    """The router."""

    def __init__(self, given: Given) -> None:
        models = [
            {
                "model_name": f"t{number}",
                "litellm_params": {"model": "openai/m", "api_base": url, "api_key": key(number)},
            }
            for number, url in enumerate(given.urls, 1)
        ]
        options: dict[str, Any] = {}
        if given.seconds is not None:
            options = {"num_retries": 0, "timeout": given.seconds, "stream_timeout": given.seconds}
        self._router = Router(model_list=models, fallbacks=[{"t1": ["t2"]}], **options)

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece."""
        answer: Any = await self._router.acompletion(model="t1", messages=[{"role": "user", "content": prompt}])
        return answer.choices[0].message.content or "", answer.choices[0].finish_reason

    async def stream(self, prompt: str, pieces: list[str]) -> str | None:
        """The answer as it comes."""
        messages = [{"role": "user", "content": prompt}]
        stream: Any = await self._router.acompletion(model="t1", messages=messages, stream=True)
        finish = None
        async for chunk in stream:
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                if choice.delta.content:
                    pieces.append(choice.delta.content)
        return finish
