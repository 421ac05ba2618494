"""What a cold import costs, and a first call: CPU and memory of fresh interpreters, measured in turn."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

__all__ = ["Footprint", "clients", "footprints", "table"]

_ROOT = Path(__file__).parents[2]
_TELL = """
import json, resource, sys
spent = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(json.dumps([(spent.ru_utime + spent.ru_stime) * 1000, peak / 1024, len(sys.modules)]))
"""
GOAL = 1.25  # times `import httpx, pydantic` with a model
_HTTPX = """
import sys
sys.modules["httpx._main"] = None  # its command line, which brings rich and pygments with it
import httpx, pydantic
class M(pydantic.BaseModel):
    id: str
client = httpx.Client()
"""
_OURS = """
import os
os.environ["KEY"] = "sk-benchmark-0123456789"
from llmswitch import Client
own = {{"dialect": "openai", "base_url": "{url}/whole/v1", "api_key": {{"env": "KEY"}}}}
client = Client.from_config({{"default": "own:m", "providers": {{"own": own}}}})
"""
_MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "How high is the Zugspitze?"}]


@dataclass(frozen=True)
class Footprint:
    """
    Of one import: milliseconds of CPU, less an empty one's; the peak of memory in MB; how many modules there are.

    Needs Linux's /proc.
    """

    name: str
    cpu: float
    memory: float
    modules: int


def _run(python: str, code: str) -> tuple[float, float, int]:
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [python, "-c", code + _TELL]
    run = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, check=False, env=keeping)
    if run.returncode:
        raise RuntimeError(run.stderr[-500:])
    cpu, memory, modules = json.loads(run.stdout.splitlines()[-1])
    return cpu, memory, modules


def footprints(
    python: str, imports: Sequence[tuple[str, str]], *, rounds: int, pythons: Mapping[str, str] | None = None
) -> list[Footprint]:
    """
    `imports`: names and the statements; `pythons`: the interpreters of those names that have another one. The first run
    of each, which writes its bytecode, does not count.
    """
    others = pythons or {}
    codes = [("python", "pass"), *imports]
    for name, code in codes:
        _run(others.get(name, python), code)
    found: dict[str, list[tuple[float, float, int]]] = {}
    for number in range(rounds):
        for name, code in codes if number % 2 == 0 else reversed(codes):
            found.setdefault(name, []).append(_run(others.get(name, python), code))
    empty = median(cpu for cpu, _, _ in found["python"])
    return [
        Footprint(
            name,
            median(cpu for cpu, _, _ in found[name]) - (empty if name != "python" else 0),
            median(memory for _, memory, _ in found[name]),
            found[name][0][2],
        )
        for name, _ in codes
    ]


def clients(url: str) -> list[tuple[str, str]]:
    """The first client of a process, and its first call: of httpx with a pydantic model, and of llmswitch."""
    ours = _OURS.format(url=url)
    key = {"authorization": "Bearer sk-benchmark-0123456789"}
    asked = {"model": "m", "messages": _MESSAGES}
    posted = f"M.model_validate(client.post('{url}/whole/v1/chat/completions', json={asked}, headers={key}).json())"
    return [
        ("httpx, a client", _HTTPX),
        ("llmswitch, a client", ours),
        ("httpx, a client and a call", f"{_HTTPX}{posted}"),
        ("llmswitch, a client and a call", f"{ours}client.chat({_MESSAGES})"),
    ]


def table(found: Sequence[Footprint], *, judged: bool) -> str:
    """
    As Markdown; `judged`: an import of ours that misses its goal stands out. What has a like of httpx's is a ratio to
    that, the rest to httpx's import.
    """
    raws = {_kind(each.name): each.cpu for each in found if each.name.partition(",")[0] == "httpx"}
    lines = ["| import | CPU, ms | ratio | peak memory, MB | modules |", "|---|---|---|---|---|"]
    for each in found:
        raw = raws.get(_kind(each.name), raws[""])
        ratio = f"{each.cpu / raw:.2f}"
        late = judged and each.name == "llmswitch" and each.cpu / raw > GOAL
        ratio = f"**{ratio}**" if late else ratio
        lines.append(f"| {each.name} | {each.cpu:.0f} | {ratio} | {each.memory:.0f} | {each.modules} |")
    return "\n".join(lines)


def _kind(name: str) -> str:
    """Of what a row is, beside whose."""
    return name.partition(",")[2]
