"""The comparison runs where no other library is installed, and survives a library that ends or hangs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.peers.__main__ import OURS, main
from benchmarks.peers.faults import FAULTS
from benchmarks.peers.report import Run, markdown
from benchmarks.peers.run import Cell, Gone, Limits, Worker, play, workers

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """A worker that asks llmswitch."""
    with workers([(OURS, sys.executable)]) as (made,):
        yield made


@pytest.mark.slow
def test_a_lasting_refusal(worker):
    """What a fault came to, and what the first target heard of the first and of the second call."""
    cell = play(worker, BY_NAME["401"], Limits(), stream=False)
    assert ("answered", (1, 0)) == (cell.verdict, cell.first)


def test_a_cut_stream(worker):
    """A stream that ends without a finish is reported, and the page says so."""
    fault = BY_NAME["clean end after 40 tokens, no finish"]
    cell = play(worker, fault, Limits(), stream=True)
    assert ("reported", "StreamInterrupted") == (cell.verdict, cell.error)
    cells = {(fault.name, True): {"llmswitch": cell, "other": Cell("incomplete", finish="stop", first=(1,))}}
    other = Worker(sys.executable, "other", {"missing": "not here"})
    told = markdown(Run([worker, other], Limits(), "COMMAND", "HERE", "TODAY", cells, {}, BY_NAME))
    assert "| ✓ as a caller would want it | 1 | 0 |" in told
    assert "✗ incomplete, as if whole “stop” 0.00 s (1) |" in told


def test_a_redirect(worker):
    """The sink is watched: nothing of the request gets there."""
    cell = play(worker, BY_NAME["307 to another origin"], Limits(), stream=False)
    assert ("answered", ()) == (cell.verdict, tuple(cell.leaked))


@pytest.mark.slow
def test_a_library_that_is_not_there():
    """It is told, and nothing fails."""
    with workers([("nobody", sys.executable)]) as (nobody,):
        assert "nobody" in (nobody.missing or "")


@pytest.mark.slow
def test_a_library_that_hangs():
    """A worker that does not answer in time is ended, and another one begins with the next fault."""
    with workers([(OURS, sys.executable)]) as (made,):
        with pytest.raises(Gone):
            made.do({}, 0.0)
        assert "answered" == play(made, BY_NAME["401"], Limits(), stream=False).verdict


@pytest.mark.slow
def test_all_of_it_for_a_moment(tmp_path):
    """`--quick` writes the page and the CSV, without any other library."""
    page, table = tmp_path / "page.md", tmp_path / "cells.csv"
    main(["--quick", "--only", OURS, "--out", str(page), "--csv", str(table)])
    assert "| connection refused | 4 | whole | ✓ T2" in page.read_text()
    assert 6 == len(table.read_text().splitlines())
