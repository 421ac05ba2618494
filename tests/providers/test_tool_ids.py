"""Ids of tool calls for vendors who refuse some: the same in every request, one to one, and only where it must be."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from llmswitch.providers.tool_ids import ToolIds, WireIds
from tests.everyday import examples
from tests.rows import rows

NINE = ToolIds(pattern="[a-zA-Z0-9]{9}", length=9, unique="conversation")  # Mistral's
SAFE = ToolIds(pattern="[a-zA-Z0-9_-]{1,64}", unique="conversation")
RULES = [NINE, SAFE, ToolIds(pattern="(?s).{1,40}"), ToolIds()]


def of_calls(rule: ToolIds, *turns: list[str]) -> list[list[str]]:
    """The ids on the wire of the calls of each turn."""
    ids, out = WireIds(rule), []
    for turn in turns:
        ids.new_turn()
        out.append([ids.of_call(call_id) for call_id in turn])
        assert out[-1] == [ids.of_result(call_id) for call_id in turn]
    return out


def test_an_id_that_is_taken_stays_as_it_is():
    """Nothing is replaced that the vendor takes: ids of its own come back to it untouched."""
    legal = ["toolu_01A09q90qw90lq917835lq9", "call_1", "A-b_" + "9" * 60]
    assert [legal] == of_calls(SAFE, legal)
    assert [["abcDEF123"]] == of_calls(NINE, ["abcDEF123"])


def test_a_vendor_may_number_its_calls_anew():
    """An id that is there twice becomes two, each with its result; by turn where the vendor asks for no more."""
    (first,), (second,) = of_calls(SAFE, ["f0"], ["f0"])
    assert ("f0", True) == (first, second != "f0")
    assert [["f0"], ["f0"]] == of_calls(ToolIds(), ["f0"], ["f0"])
    ((one, two),) = of_calls(ToolIds(), ["f0", "f0"])
    assert ("f0", True) == (one, two != "f0")


@examples(12, 60, st.sampled_from(RULES), st.lists(st.lists(st.text(max_size=6), max_size=4), max_size=4))
def test_one_to_one_and_the_same_every_time(rule, turns):
    """Every id is one that is taken, no two calls share one, and the same conversation has the same ones again."""
    wire = of_calls(rule, *turns)
    assert wire == of_calls(rule, *turns)
    groups = [[call_id for turn in wire for call_id in turn]] if rule.unique == "conversation" else wire
    for group in groups:
        assert len(group) == len(set(group))
        assert all(rule.fits(call_id) for call_id in group)


def test_what_was_said_before_keeps_its_ids():
    """More turns change nothing in those before, so a cached prompt stays one."""
    turns = [["天气"], ["天气", "x" * 70], ["c"]]
    assert of_calls(SAFE, *turns)[:2] == of_calls(SAFE, *turns[:2])


@rows("wrong", [{"pattern": "["}, {"pattern": "[g-z]+"}, {"pattern": ".{9}", "length": 10}, {"length": 8}])
def test_a_rule_that_can_not_be_kept_is_refused(wrong):
    """A rule by which no stand-in could be made is said when the configuration is read."""
    with pytest.raises(ValidationError):
        ToolIds(**wrong)
