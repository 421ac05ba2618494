"""What vendors really answer (`vendor_errors.toml`), and what it is taken for."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from llmswitch import _errors, explain_error
from llmswitch._adapter import ErrorFacts
from llmswitch._classify import ErrorRules, make_error, read_defaults
from llmswitch._policy import RULES
from llmswitch.providers.openai_errors import facts_of, read_error
from tests.everyday import examples
from tests.rows import rows

DEFAULTS = ErrorRules(read_defaults())
REAL = tomllib.loads((Path(__file__).parent / "vendor_errors.toml").read_text("utf-8"))["answer"]
NAMES = [f"{number}-{answer['from'].split()[0]}-{answer['class']}" for number, answer in enumerate(REAL)]


def facts(status: int, body: str) -> ErrorFacts:
    html = body.lstrip().lower().startswith(("<!doctype", "<html"))
    return replace(read_error(status, body.encode()), html=html)


@rows("answer", REAL, ids=NAMES)
def test_what_vendors_say(answer):
    """By everybody's rules alone, with those of the dialect, and with the vendor's own: the same class and scopes."""
    status, body, kind = answer["status"], answer["body"], answer["class"]
    if answer.get("alone", True):
        assert kind == DEFAULTS.classify(facts(status, body)).__name__
        assert kind == explain_error("openai", status, None, body).kind
    found = explain_error(answer.get("own", "openai"), status, None, body)
    assert (kind, answer["scopes"]) == (found.kind, list(found.scopes))


@rows(
    ("code", "message", "kind"),
    [
        ("1008", "insufficient balance", "Arrears"),
        ("1002", "rate limit exceeded(RPM)", "RateLimited"),
        ("1004", "invalid api key", "AuthInvalid"),
        ("1039", "token limit exceeded", "ContextTooLong"),
        ("1026", "new_sensitive content", "ContentFiltered"),
    ],
)
def test_what_is_said_under_a_200(code, message, kind):
    """Numbers beside an answer (`base_resp`, GoModel#1022) have no status to go by: the words decide."""
    assert kind == DEFAULTS.classify(ErrorFacts(code=code, message=message)).__name__


def test_codes_come_before_words_and_words_before_statuses():
    """A vendor's rule by code wins over everybody's by text, and everybody's by text over a status."""
    both = ErrorFacts(status=401, code="insufficient_quota", message="incorrect api key")
    assert "Arrears" == DEFAULTS.classify(both).__name__
    assert "Arrears" == DEFAULTS.classify(ErrorFacts(status=401, message="insufficient balance")).__name__
    assert "AuthInvalid" == DEFAULTS.classify(ErrorFacts(status=401, message="no")).__name__


def test_no_rule_is_out_of_reach():
    """Every class that a rule names is one that has a rule of what comes next, and every pattern can be compiled."""
    for rule in read_defaults():
        assert getattr(_errors, rule.becomes) in RULES
        for pattern in rule.text:
            assert re.compile(pattern)


WORDS = st.text(max_size=60) | st.sampled_from(["insufficient_quota", "429", "0429", "٤٢٩", "x" * 5000, "rate limit"])


@examples(
    20,
    100,
    st.none() | st.integers(300, 599),
    st.none() | WORDS,
    st.none() | WORDS,
    WORDS,
    st.none() | st.booleans(),
    st.booleans(),
)
def test_whatever_is_said_is_some_class(status, code, kind, message, param, html):
    """Any facts become one error with a rule, whose text is short."""
    given = ErrorFacts(status=status, code=code, type=kind, message=message, html=html)
    error = make_error(given, DEFAULTS, provider="p", model="m")
    assert type(error) in RULES
    assert len(str(error)) < 600


FIELDS = st.sampled_from(["error", "message", "code", "type", "detail", "msg", "id", "param"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
)


@examples(20, 100, JSON)
def test_whatever_the_json_is_there_are_facts(value):
    """Any JSON in place of an error gives facts, and raises nothing."""
    assert isinstance(facts_of(value), ErrorFacts)
