"""How long a vendor asks to wait, in all its forms."""

from __future__ import annotations

from hypothesis import strategies as st

from llmswitch._retry_after import retry_after, said_in_words
from tests.everyday import examples
from tests.rows import rows


@rows(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after-ms": "soon, 900", "retry-after": "20"}, 0.9),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "86401"}, None),
        ({"retry-after": "soon, 7"}, 7.0),
        ({"retry-after": "3, 9"}, 3.0),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
    ],
)
def test_headers(headers, seconds):
    """Numbers, milliseconds and dates are read; what can't be meant is ignored."""
    assert seconds == retry_after(headers)


@rows(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 7.66s", 7.66),
        ("Please retry after 30 seconds.", 30.0),
        ("try again in 12ms", 0.012),
        ("try again in 2 minutes", 120.0),
        ("wait 1 hour", 3600.0),
        ("Please try again in 1m30.5s.", 90.5),
        ("try again in 6m0s", 360.0),
        ("retry after 1 hour and 5 minutes", 3900.0),
        ("retry in 2 months", None),
        ("limit 10000 tokens per minute", None),
        ("you have 3 seconds", None),
    ],
)
def test_words(text, seconds):
    """A delay is read out of a message only after words that announce one."""
    assert seconds == said_in_words(text)


@examples(20, 100, st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)))
def test_nothing_raises(headers):
    """Any text in these headers gives a number of seconds up to a day, or nothing."""
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= 86_400
