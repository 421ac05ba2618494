"""The tables that are one test each: no row is left out, and none fails in silence."""

from __future__ import annotations

import inspect

import pytest

from tests.rows import rows


def played(table, **given):
    """A test over this table, and what it is asked to check."""
    seen = []

    @rows(("number", "word"), table, **given)
    def test(fixture, number, word):
        seen.append((fixture, number, word))
        if word == "skip":
            pytest.skip("not here")
        assert number < 3

    return test, seen


def test_all_rows_are_checked():
    """Each row is given to the test, with the fixtures, which are all that pytest sees of its arguments."""
    test, seen = played([(1, "a"), pytest.param(2, "b")])
    assert ["fixture"] == list(inspect.signature(test).parameters)
    test(fixture="f")
    assert [("f", 1, "a"), ("f", 2, "b")] == seen


def test_a_row_that_fails_is_named():
    """One that fails is raised as it is, with its name and its values; those after it are checked."""
    test, seen = played([(1, "a"), (3, "b"), (2, "c")], ids=["one", "two", "three"])
    with pytest.raises(AssertionError) as caught:
        test(fixture=None)
    assert ["in the row two (number=3, word='b')"] == caught.value.__notes__
    assert 3 == len(seen)


def test_rows_that_fail_are_all_named():
    """Several are raised together."""
    test, _ = played([(3, "a"), (1, "b"), (4, "c")], ids=str)
    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows failed") as caught:
        test(fixture=None)
    notes = [problem.__notes__ for problem in caught.value.exceptions]
    assert [["in the row 3-a (number=3, word='a')"], ["in the row 4-c (number=4, word='c')"]] == notes


def test_what_does_not_apply():
    """A row that is skipped skips no other; a test of none but such rows is skipped, and one without rows fails."""
    test, seen = played([(1, "skip"), (2, "b")])
    test(fixture=None)
    assert 2 == len(seen)
    with pytest.raises(pytest.skip.Exception):
        played([(1, "skip")])[0](fixture=None)
    with pytest.raises(pytest.fail.Exception, match="no row"):
        played([])[0](fixture=None)


def test_what_cannot_be_folded():
    """A row with a mark of its own, and a name that the test does not take, are refused when the test is made."""
    with pytest.raises(TypeError, match="by itself"):
        played([pytest.param(1, "a", marks=pytest.mark.slow)])
    with pytest.raises(TypeError, match="does not take other"):
        rows("other", [1])(lambda number: None)
