"""The benchmark of speed runs, and says which goals are missed. Its figures are nobody's test."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from benchmarks.speed.__main__ import main
from benchmarks.speed.asking import PACED
from benchmarks.speed.costs import Costs, measured, peers_table, table
from benchmarks.speed.measures import MEASURES
from benchmarks.speed.vendor import serving
from benchmarks.speed.worker import Turns
from benchmarks.speed.worker_process import Failed, Measured, Worker
from benchmarks.worker_process import newest

BY_NAME = {measure.name: measure for measure in MEASURES}
SDKS = {"raw_httpx2": "httpx2", "openai_sdk": "openai", "anthropic_sdk": "anthropic"}


def test_the_table_says_what_is_missed():
    """The median of the ratios of the rounds; a goal that is missed stands out, in a run that is one."""
    costs = Costs({"sync": {"httpx": [100.0, 200.0, 100.0], "llmswitch": [130.0, 220.0, 120.0], "openai": [1000.0]}})
    costs.failed["async", "openai"] = Failed("TypeError", "Traceback\nTypeError: it can't")
    workers = [Worker("python", name) for name in ("httpx", "llmswitch", "openai")]
    assert 1.2 == costs.ratio(BY_NAME["sync"], "llmswitch")
    shown = table(costs, workers, judged=True)
    assert "| sync call | 100.0 | **1.20** | 10.00 | 1.1, 0.6 |" in shown
    assert "openai, async: TypeError: it can't" in shown
    assert "**" not in table(costs, workers, judged=False)


def test_the_table_of_the_peers_says_what_a_library_can_not_do():
    """A line for each library: a ratio, that it does not offer it, or what it raised; and what was cut short."""
    costs = Costs({"sync": {"httpx": [100.0], "openai": [250.0]}, "paced-sync": {"httpx": [9.0]}})
    costs.failed["paced-sync", "openai"] = Failed("TypeError", "TypeError: it can't")
    costs.notes["sync", "openai"] = "1 of 3 rounds"
    versions = {"httpx": "0.28", "openai": "3.1", "aiohttp": "3.2"}
    workers = [Worker("python", name, {"versions": {name: version}}) for name, version in versions.items()]
    shown = peers_table(costs, workers)
    assert "| openai 3.1 | 2.50 | failed: TypeError |" in shown
    assert "| aiohttp 3.2 | - | - |" in shown
    assert "openai, sync: 1 of 3 rounds" in shown


def test_a_slow_library_is_given_fewer_rounds():
    """One at least, and no more once its seconds are over; its ratio is to the same rounds of the others."""

    @dataclass
    class Timed(Worker):
        def measure(self, name, url, count, seconds):
            return Measured(200.0 if self.module == "slow" else 100.0, count)

    workers = [Timed("python", name, {"able": ["call"]}) for name in ("httpx", "slow")]
    costs = measured(workers, "http://vendor", rounds=3, quick=True, seconds=-1.0, only=["sync"])
    assert {"httpx": [100.0], "slow": [200.0]} == costs.values["sync"]
    assert "1 of 3 rounds" == costs.notes["sync", "slow"]


def test_turns():
    """As many as were asked for, or as there is time for, and one at least."""
    assert [1, 2, 3] == list(Turns(3, 60.0))
    assert [1] == list(Turns(3, -1.0))


def test_the_newest_version_is_asked():
    """Of several interpreters; one without the library is passed over, and of equals the first is taken."""
    there = {"a": "1.9.0", "b": "1.10.0", "c": "1.10.0"}

    @dataclass
    class There(Worker):
        def start(self):
            found = there.get(self.python)
            self.hello = {"versions": {"library": found}} if found else {"missing": "no such library"}

    assert "b" == newest(There, "library", ["nothing", "a", "b", "c"]).python
    assert "no such library" == newest(There, "library", ["nothing"]).missing


@pytest.mark.slow
@pytest.mark.parametrize("module", SDKS)
def test_an_asker_gets_all_of_an_answer(module):
    """Whole and streamed, sync and awaited, held open; the vendor speaks the protocol of each, and loses no piece."""
    pytest.importorskip(SDKS[module])
    worker = newest(Worker, module, [sys.executable])
    asked = {"tools": "whole", "async": "whole", "paced-sync": "paced", "paced-async": "paced", "memory": "idle"}
    try:
        with serving() as url:
            found = {name: worker.measure(name, f"{url}/{kind}", 2, 30.0) for name, kind in asked.items()}
    finally:
        worker.stop()
    made = {"tools": 2, "async": 2, "paced-sync": 2 * PACED, "paced-async": 2 * PACED, "memory": 2}
    assert made == {name: each.made for name, each in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("part", ["costs", "imports", "chains", "gateway"])
def test_each_part_for_a_moment(part, capsys):
    """`--quick` runs every measure, and none fails."""
    main([part, "--quick", "--without-peers"])
    told = capsys.readouterr().out
    assert "failed" not in told
    assert {"costs": "paced, 50", "imports": "modules", "chains": "by hand (httpx", "gateway": "httptools"}[
        part
    ] in told
