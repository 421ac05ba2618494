"""The benchmark of failing over runs, and counts what it says it counts. Its figures are nobody's test."""

from __future__ import annotations

import csv

import pytest

from benchmarks.failover.__main__ import main
from benchmarks.failover.outage import _reached
from benchmarks.failover.run import CSV_COLUMNS, WAYS, Figure, Results, Settings, figures, quantile
from benchmarks.failover.times import FAULTS, _compare

QUICK = Settings(quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("way", [WAYS[0], WAYS[3]], ids=str)
def test_a_failure_is_timed_for_both(way, tmp_path):
    """Each call of both is answered by the second target, and timed; the CSV holds every value."""
    results = Results()
    _compare(QUICK, results, next(fault for fault in FAULTS if fault.name == "500"), way)
    results.write(tmp_path / "values.csv")
    with (tmp_path / "values.csv").open() as file:
        header, *values = csv.reader(file)
    assert list(CSV_COLUMNS) == header
    assert ["httpx", "llmswitch"] == [who for figure, _, _, who, *_ in values if "failover" in figure]
    assert [6] * 4 == [len(series.split()) for *_, series in values]
    assert all(float(value) > 0 for *_, series in values for value in series.split())


@pytest.mark.slow
def test_requests_to_a_dead_target_are_counted():
    """What reaches the first target is counted at its server."""
    assert 5 == _reached(QUICK, "reset", WAYS[0], measure="calls", order=["llmswitch"] * 8, pace=0.0)


def test_quantile():
    """A quantile is a value that was measured."""
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert (1.0, 3.0, 5.0, 5.0) == tuple(quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0))


def test_the_table_says_what_is_missed():
    """A goal that is missed stands out; a quick run judges nothing."""
    found = [Figure("time", "500", "sync", "9 ms", "1 ms", met=False)]
    assert "| time | 500 | sync | 9 ms | 1 ms | **no** |" in figures(found)
    assert "**no**" not in figures(found, judged=False)


@pytest.mark.slow
def test_all_of_it_for_a_moment(tmp_path, capsys):
    """`--quick` runs every measure."""
    main(["--quick", "--csv", str(tmp_path / "values.csv")])
    told = capsys.readouterr().out
    for figure in ("failover time", "a hang", "total outage", "dead target", "peak memory"):
        assert figure in told
