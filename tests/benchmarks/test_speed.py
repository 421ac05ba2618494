"""The benchmark of speed runs, and says which goals are missed. Its figures are nobody's test."""

from __future__ import annotations

import pytest

from benchmarks.speed.__main__ import main
from benchmarks.speed.costs import Costs, table
from benchmarks.speed.measures import MEASURES
from benchmarks.speed.worker_process import Worker


def test_the_table_says_what_is_missed():
    """The median of the ratios of the rounds; a goal that is missed stands out, in a run that is one."""
    sync = next(measure for measure in MEASURES if measure.name == "sync")
    costs = Costs({"sync": {"httpx": [100.0, 200.0, 100.0], "llmswitch": [130.0, 220.0, 120.0], "openai": [1000.0]}})
    costs.failed["async", "openai"] = "TypeError: it can't"
    workers = [Worker("python", name) for name in ("httpx", "llmswitch", "openai")]
    assert 1.2 == costs.ratio(sync, "llmswitch")
    shown = table(costs, workers, judged=True)
    assert "| sync call | 100.0 | **1.20** | 10.00 | 1.1, 0.6 |" in shown
    assert "openai, async: TypeError: it can't" in shown
    assert "**" not in table(costs, workers, judged=False)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["costs", "imports", "chains", "gateway"])
def test_each_part_for_a_moment(part, capsys):
    """`--quick` runs every measure, and none fails."""
    main([part, "--quick", "--without-peers"])
    told = capsys.readouterr().out
    assert "failed" not in told
    assert {"costs": "paced, 50", "imports": "modules", "chains": "10,000", "gateway": "httptools"}[part] in told
