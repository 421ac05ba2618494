"""What the gateway adds to a call: its latency for one client, and calls a second on one core."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx

from .asking import KEY, MESSAGES
from .chains import Line

__all__ = ["gateway"]

_ENGINES = ("httpx", "httptools")
_AT_ONCE = 32


@contextmanager
def _serving(vendor: str, engine: str) -> Iterator[tuple[str, int]]:
    """`llmswitch serve` in a process of its own: its address and its process id."""
    text = f"""
        default = "c"
        http = {{ engine = "{engine}" }}
        chains = {{ c = {{ targets = ["t1:m"] }} }}
        server = {{ port = 0, admin_port = 0 }}
        [providers.t1]
        dialect = "openai"
        base_url = "{vendor}/whole/v1"
        api_key = {{ env = "LLMSWITCH_BENCHMARK_KEY" }}
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gateway.toml")
        config.write_text(text)
        command = [sys.executable, "-m", "llmswitch", "serve", "--config", str(config)]
        environment = {**os.environ, "LLMSWITCH_BENCHMARK_KEY": KEY}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stderr is not None
        try:
            said = ""
            while (found := re.search(r"listening on (http://[^,]+)", said)) is None:
                line = process.stderr.readline()
                if not line:
                    raise RuntimeError(f"the gateway did not start: {said}")
                said += line
            yield found[1], process.pid
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used. Needs Linux's /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gateway(vendor: str, *, count: int) -> list[Line]:
    """Each engine beneath it. `vendor`: the URL of the vendor."""
    return [line for engine in _ENGINES for line in _one(vendor, engine, count)]


def _one(vendor: str, engine: str, count: int) -> list[Line]:
    body: dict[str, object] = {"model": "c", "messages": MESSAGES}
    with _serving(vendor, engine) as (url, pid), httpx.Client() as client:
        places = {"direct": f"{vendor}/whole/v1/chat/completions", "through": f"{url}/v1/chat/completions"}
        took: dict[str, list[float]] = {name: [] for name in places}
        for number in range(count + 5):
            for name, place in places.items():
                start = perf_counter()
                client.post(place, json=body).raise_for_status()
                if number >= 5:
                    took[name].append(perf_counter() - start)
        spent = _cpu(pid)
        asyncio.run(_crowd(places["through"], body, count))
        rate = _AT_ONCE * max(1, count // _AT_ONCE) / max(_cpu(pid) - spent, 0.01)
    added = (median(took["through"]) - median(took["direct"])) * 1000
    return [
        Line(f"the gateway on {engine}: added to a call of {median(took['direct']) * 1000:.2f} ms", f"{added:.2f} ms"),
        Line(f"the gateway on {engine}: calls for each second of its CPU, {_AT_ONCE} at once", f"{rate:.0f}"),
    ]


async def _crowd(url: str, body: dict[str, object], count: int) -> None:
    async with httpx.AsyncClient(timeout=60) as client:

        async def some() -> None:
            for _ in range(max(1, count // _AT_ONCE)):
                (await client.post(url, json=body)).raise_for_status()

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
