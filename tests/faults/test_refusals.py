"""T1 refuses: what each refusal is, who is asked next, how long somebody asks to wait, and redirects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import trustme

from llmswitch import _log
from llmswitch.testing import instant_waits
from llmswitch.testing.fault_server import Hang, ReadRequest, Received, Respond, Send, response, sse
from tests.everyday import first_of_each, some
from tests.faults.bench import (
    DONE,
    JSON,
    KEY,
    PATIENT,
    Bench,
    Script,
    answering,
    completion,
    delta,
    refusing,
    streamed,
    text,
)


def error(message: str = "no", code: Any = None, kind: str | None = None) -> JSON:
    """The body of a refusal."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# How long to wait


def http_date(seconds: float, of: datetime | None = None) -> str:
    return format_datetime((of or datetime.now(UTC)) + timedelta(seconds=seconds), usegmt=True)


HOUR_OFF = datetime.now(UTC) - timedelta(hours=1)
WAITS: dict[str, tuple[list[tuple[str, str]], float | None]] = {
    "seconds": ([("Retry-After", "20")], 20),
    "fraction": ([("Retry-After", "1.5")], 1.5),
    "spaces": ([("Retry-After", "  20  ")], 20),
    "zero": ([("Retry-After", "0")], 0),
    "milliseconds": ([("Retry-After-Ms", "1500"), ("Retry-After", "20")], 1.5),
    "vendor-milliseconds": ([("x-ms-retry-after-ms", "250")], 0.25),
    "bad-milliseconds": ([("Retry-After-Ms", "soon"), ("Retry-After", "20")], 20),
    "two-milliseconds": ([("Retry-After-Ms", "500"), ("Retry-After-Ms", "900")], 0.5),
    "date": ([("Date", http_date(0)), ("Retry-After", http_date(30))], 30),
    "date-past": ([("Date", http_date(0)), ("Retry-After", http_date(-600))], 0),
    "date-clock-off": ([("Date", http_date(0, HOUR_OFF)), ("Retry-After", http_date(30, HOUR_OFF))], 30),
    "date-without-date": ([("Retry-After", http_date(-600))], 0),
    "date-bad-date": ([("Date", "yesterday"), ("Retry-After", "20")], 20),
    "obsolete-date": ([("Date", http_date(0)), ("Retry-After", "Sunday, 06-Nov-94 08:49:37 GMT")], 0),
    "two-dates": ([("Date", http_date(0)), ("Retry-After", http_date(30)), ("Retry-After", http_date(60))], 30),
    "negative": ([("Retry-After", "-5")], None),
    "NaN": ([("Retry-After", "NaN")], None),
    "inf": ([("Retry-After", "inf")], None),
    "1e99": ([("Retry-After", "1e99")], None),
    "huge": ([("Retry-After", "9" * 400)], None),
    "over-a-day": ([("Retry-After", "86401")], None),
    "a-day": ([("Retry-After", "86400")], 86_400),
    "empty": ([("Retry-After", "")], None),
    "soon": ([("Retry-After", "soon")], None),
    "year-100000": ([("Date", http_date(0)), ("Retry-After", "Fri, 31 Dec 100000 23:59:59 GMT")], None),
    "nonsense": ([("Retry-After", ",,;=\xe9 GMT")], None),
    "two": ([("Retry-After", "5"), ("Retry-After", "9")], 5),
    "bad-and-good": ([("Retry-After", "soon"), ("Retry-After", "9")], 9),
    "two-bad": ([("Retry-After", "soon"), ("Retry-After", "-1")], None),
}


@pytest.mark.parametrize(("headers", "seconds"), some(WAITS.values(), 5), ids=WAITS)
def test_rows_67_and_68_what_a_wait_may_look_like(
    whole: Bench, headers: list[tuple[str, str]], seconds: float | None
) -> None:
    """Numbers and dates are read, a date by the server's own clock; what can't be meant is passed over."""
    outcome = whole.ask(refusing(429, error("no"), headers))
    whole.moved(outcome, "RateLimited", billed=None, closed=False)
    found = outcome.attempts[0].retry_after
    if seconds is None:
        assert found is None
    else:
        assert seconds == pytest.approx(found, abs=1.1)


def test_row_68_it_is_said_once(whole: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A wait that can't be meant is logged once for a provider, without what else the vendor wrote there."""
    _log._told.discard(("wait", "t1"))
    for _ in range(2):
        whole.ask(refusing(429, error("no"), {"Retry-After": f"soon {KEY}-t1"}))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "llmswitch"]
    assert "t1: retry-after 'soon [secret]' can't be meant; it is ignored" == line


def test_row_69_a_wait_of_two_hours(bench: Bench) -> None:
    """With nobody else to ask, a wait that no call sleeps through is handed to the caller at once."""
    with instant_waits() as slept:
        outcome = bench.ask(refusing(429, error(), {"retry-after": "7200"}), alone=True)
    failed = bench.raised(outcome, "RateLimited")
    assert 7200 == failed.retry_after
    assert [] == slept
    assert outcome.seconds < 1


def test_row_69_a_wait_that_fits(bench: Bench) -> None:
    """The other half of the row: 20 seconds fit into the limit of 30, so the call sleeps once and asks again."""
    with instant_waits() as slept:
        outcome = bench.ask(refusing(429, error(), {"retry-after": "20"}), answering("from T1"), alone=True)
    assert "from T1" == outcome.text
    assert [("t1:m", "RateLimited"), ("t1:m", None)] == outcome.trail
    assert 20 <= sum(slept) < 23


def test_row_69_a_wait_that_does_not_fit(bench: Bench) -> None:
    """Twenty seconds do not fit into ten."""
    with instant_waits() as slept:
        outcome = bench.ask(
            refusing(429, error(), {"retry-after": "20"}), alone=True, limits={**PATIENT, "timeout": 10.0}
        )
    assert 20 == bench.raised(outcome, "RateLimited").retry_after
    assert [] == slept


# What it is

MOVING: list[tuple[int, JSON | str, str]] = [
    # 70: out of money
    (429, error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "Arrears"),
    (429, error("x", None, "insufficient_quota"), "Arrears"),
    (402, error("Insufficient Balance"), "Arrears"),
    (402, "", "Arrears"),
    (403, error("Your account balance is insufficient"), "Arrears"),
    (400, error("Access denied, your account is in arrears"), "Arrears"),
    # 71: an allowance is used up
    (429, error("You have reached your daily limit of free requests"), "QuotaExhausted"),
    (403, error("Free tier quota has been exhausted"), "QuotaExhausted"),
    (429, error("Monthly quota used up"), "QuotaExhausted"),
    # 72: the key
    (401, error("Incorrect API key provided", "invalid_api_key"), "AuthInvalid"),
    (401, "", "AuthInvalid"),
    (403, error("Invalid API key"), "AuthInvalid"),
    (400, error("API key not valid. Please pass a valid API key."), "AuthInvalid"),
    # 73: the place
    (
        403,
        error("Country, region, or territory not supported", "unsupported_country_region_territory"),
        "RegionBlocked",
    ),
    (400, error("User location is not supported for the API use."), "RegionBlocked"),
    (451, "", "RegionBlocked"),
    (403, "<html><head><title>Attention Required!</title></head></html>", "RegionBlocked"),
    # 74: the model
    (404, error("The model `m` does not exist or you do not have access to it.", "model_not_found"), "ModelGone"),
    (404, "", "ModelGone"),
    (410, error("gone"), "ModelGone"),
    (400, error("The model `m` has been decommissioned"), "ModelGone"),
    (403, error("You can't use this model"), "PermissionDenied"),
    # 75: what this model can't do
    (
        400,
        error("Unsupported parameter: 'top_p'", "unsupported_parameter", "invalid_request_error"),
        "CapabilityMismatch",
    ),
    (400, error("Unsupported value: 'temperature' does not support 0.2", "unsupported_value"), "CapabilityMismatch"),
    (422, error("tools is not supported by this model"), "CapabilityMismatch"),
    # 79, second half: overloaded
    (503, "", "Overloaded"),
    (529, error("Overloaded", None, "overloaded_error"), "Overloaded"),
    (429, error("The engine is currently overloaded, please try again later"), "Overloaded"),
    # beyond the rows
    (429, error("Too many requests"), "RateLimited"),
    (429, "", "RateLimited"),
]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    first_of_each(MOVING, lambda row: row[2]),
    ids=[f"{status}-{kind}-{at}" for at, (status, _, kind) in enumerate(MOVING)],
)
def test_rows_70_to_75_and_79_what_moves_at_once(bench: Bench, status: int, body: JSON | str, kind: str) -> None:
    """By code, by words or by status: each of these is another target's chance, after one try at this one."""
    outcome = bench.ask(refusing(status, body))
    bench.moved(outcome, kind, billed=False, closed=False)
    assert status == outcome.attempts[0].status
    assert outcome.seconds < 1


def test_row_70_the_vendors_code_comes_before_the_status(whole: Bench) -> None:
    """A code that is known is believed whatever the status."""
    for status in (400, 403, 429, 500):
        outcome = whole.ask(refusing(status, error("x", "insufficient_quota")))
        whole.moved(outcome, "Arrears", billed=False, closed=False)


def test_row_72_the_key_is_nowhere(bench: Bench) -> None:
    """A vendor that quotes the key, whole or by its tail, is not quoted."""
    key, tail = f"{KEY}-t1", f"{KEY}-t1"[-4:]
    said = f"Incorrect API key provided: {key} (sk-proj-****************{tail}). Find yours at https://example.com."
    outcome = bench.ask(refusing(401, error(said, "invalid_api_key")), alone=True)
    failed = bench.raised(outcome, "AuthInvalid")
    assert KEY not in f"{failed} {failed!r} {failed.attempts!r}"
    assert "t1:m" in str(failed)


def test_row_72_nor_is_its_tail(whole: Bench) -> None:
    """Vendors mask a key and leave its last four characters: those are the key's too."""
    tail = "9Zq7"
    whole.stack.enter_context(pytest.MonkeyPatch.context()).setenv("T1_KEY", KEY + tail)
    said = f"Incorrect API key provided: sk-proj-****************{tail}. You can find your API key elsewhere."
    failed = whole.raised(whole.ask(refusing(401, error(said)), alone=True), "AuthInvalid")
    assert tail not in f"{failed} {failed!r} {failed.attempts!r}"


RAISED = [
    (400, error("messages[0].role is missing", None, "invalid_request_error"), "BadRequest"),
    (422, error("unprocessable"), "BadRequest"),
    (400, "", "BadRequest"),
    (400, error("Your request was flagged", "content_policy_violation"), "ContentFiltered"),
    (400, error("blocked by the content management policy", "content_filter"), "ContentFiltered"),
]


@pytest.mark.parametrize(("status", "body", "kind"), RAISED, ids=[f"{row[0]}-{row[2]}" for row in RAISED])
def test_rows_75_and_77_what_is_raised(bench: Bench, status: int, body: JSON | str, kind: str) -> None:
    """What every target would refuse is raised after one attempt, and nobody else is sent the prompt."""
    failed = bench.raised(bench.ask(refusing(status, body)), kind)
    assert (status, False) == (failed.status, failed.possibly_billed)


TOO_LONG = error("This model's maximum context length is 1000 tokens", "context_length_exceeded")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_row_76_too_long(bench: Bench, status: int) -> None:
    """What is too long for T1 goes to a larger window alone: T2 of the same size is passed over, T3 answers."""
    small, large = bench.serve(answering("T2, small")), bench.serve(answering("T3, large"))
    t1 = bench.serve(refusing(status, TOO_LONG if status != 413 else ""))
    sizes = {name: {"capabilities": {"context": size}} for name, size in (("t1", 1000), ("t2", 1000), ("t3", 9000))}
    bench.client = bench.client_for(t1.url, small.url, large.url, providers=sizes)
    outcome = bench.ask()
    assert "T3, large" == outcome.text
    assert ("t1:m", "ContextTooLong") == outcome.trail[0]
    assert ("t3:m", None) == outcome.trail[-1]
    assert 0 == small.accepted


def test_row_76_too_long_for_all(bench: Bench) -> None:
    """With no larger window in the chain it is raised as that."""
    small = bench.serve(answering())
    t1 = bench.serve(refusing(400, TOO_LONG))
    sizes = {name: {"capabilities": {"context": 1000}} for name in ("t1", "t2")}
    bench.client = bench.client_for(t1.url, small.url, providers=sizes)
    bench.raised(bench.ask(), "ContextTooLong")
    assert 0 == small.accepted


def test_row_77_a_filtered_output(bench: Bench) -> None:
    """An answer that the vendor's filter cut says so; nobody else is asked to say the rest."""
    if bench.way.stream:
        outcome = bench.ask([ReadRequest(), Send(sse([text("I was"), delta({}, "content_filter"), DONE]))])
    else:
        outcome = bench.ask([ReadRequest(), Send(response(200, completion("I was", "content_filter")))])
    assert [("t1:m", None)] == outcome.trail
    assert ("I was", "content_filter") == (outcome.text, outcome.answered.finish_reason)


AGAIN = [408, 409, 425, 499, 500, 502, 504, 520, 521, 522, 523, 524]


@pytest.mark.parametrize("status", some(AGAIN, 3))
def test_rows_78_and_79_one_more_try(bench: Bench, status: int) -> None:
    """A failure that passes by itself is tried once more, within 50 ms, and then moves."""
    outcome = bench.ask(refusing(status, error("internal")))
    bench.moved(outcome, "ServerError", billed=None, tries=2, closed=False)
    assert ["first", "retry", "fallback"] == [attempt.kind for attempt in outcome.attempts]
    first, second = bench.t1.requests
    assert second.time - first.time < 0.5


def test_row_79_the_second_try_may_succeed(bench: Bench) -> None:
    """Where it has passed, nobody else is asked."""
    outcome = bench.ask(refusing(500), answering("from T1"))
    assert ([("t1:m", "ServerError"), ("t1:m", None)], "from T1") == (outcome.trail, outcome.text)
    assert 1 == bench.t1.accepted, "the connection of a refusal that was read to its end is used again"


def test_row_82_the_vendor_says_no(bench: Bench) -> None:
    """`x-should-retry: false` is obeyed: the same target is not asked again."""
    outcome = bench.ask(refusing(500, error(), {"X-Should-Retry": "false"}))
    bench.moved(outcome, "ServerError", billed=None, closed=False)


REFUSAL_THAT_HANGS = [ReadRequest(), Send(response(429, b"", {"content-length": "500"})), Hang()]


def test_a_refusal_whose_body_hangs(streaming: Bench) -> None:
    """Beyond the rows: the status says what it is; a body that does not come is not waited for."""
    outcome = streaming.ask(REFUSAL_THAT_HANGS, limits={**PATIENT, "first_token_timeout": 0.3})
    streaming.moved(outcome, "RateLimited", billed=None, within=2.0)


@pytest.mark.slow
def test_a_refusal_whose_body_hangs_for_a_whole_answer(whole: Bench) -> None:
    """For a whole answer, which has no limit to a first token, five seconds are waited for it."""
    whole.moved(whole.ask(REFUSAL_THAT_HANGS), "RateLimited", billed=None, within=6.0)


# Redirects

REDIRECTS = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("where", some(["elsewhere", "same", "relative", "none", "nonsense"], 2))
def test_rows_80_and_81_redirects(whole: Bench, status: int, where: str) -> None:
    """A redirect is never followed, wherever it leads; no byte of key or prompt goes there."""
    sink = whole.serve(answering("STOLEN"))
    location = {
        "elsewhere": f"{sink.url}/chat/completions",
        "same": "http://127.0.0.1/",
        "relative": "/v2/chat/completions",
        "none": "",
        "nonsense": "http://[::1",
    }[where]
    script = refusing(status, "", {"location": location} if location else ())
    outcome = whole.ask(script)
    whole.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 0 == sink.accepted
    assert 1 == len(whole.t1.requests)


def test_row_80_in_a_stream(streaming: Bench) -> None:
    """Nor in a stream."""
    sink = streaming.serve(answering("STOLEN"))
    outcome = streaming.ask(refusing(307, "", {"location": sink.url}))
    streaming.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 0 == sink.accepted


def test_row_80_with_a_client_that_follows(bench: Bench) -> None:
    """Nor by an httpx client of the caller's own that follows redirects, also by hooks of cookies and all."""
    sink = bench.serve(answering("STOLEN"))
    settings: dict[str, Any] = {"follow_redirects": True, "trust_env": False, "cookies": {"a": "b"}}
    engine = httpx.Client(**settings) if bench.way.sync else httpx.AsyncClient(**settings)
    outcome = bench.ask(refusing(307, "", {"location": sink.url, "set-cookie": "c=d"}), http_client=engine)
    if isinstance(engine, httpx.Client):
        engine.close()
    else:
        bench.run(engine.aclose())
    bench.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 0 == sink.accepted


def test_row_80_from_https_to_http(whole: Bench, authority: trustme.CA, ca_file: str) -> None:
    """Nor from https to http at the same host."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    sink = whole.serve(answering("STOLEN"))
    whole.ca_file = ca_file
    outcome = whole.ask(refusing(308, "", {"location": sink.url}), tls=context)
    whole.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 0 == sink.accepted


def test_row_81_a_loop(bench: Bench) -> None:
    """A host that sends callers to itself is asked once."""
    outcome = bench.ask(refusing(302, "", {"location": "/chat/completions"}), alone=True)
    failed = bench.raised(outcome, "RedirectRefused")
    assert 302 == failed.status
    assert 1 == len(bench.t1.requests)


# Redirects that may be followed

FOLLOWING = {"t1": {"follow_same_origin_redirects": True}}


def moved_on(*locations: str, status: int = 308) -> Script:
    """The script of a server that sends each request on to the next place, and answers at the last."""

    def answer(request: Received) -> bytes:
        at = next((number for number, place in enumerate(locations) if request.path == place), -1) + 1
        if at < len(locations):
            return response(status, "", {"location": locations[at]})
        return sse(streamed("from T1")) if request.json().get("stream") else response(200, completion("from T1"))

    return [ReadRequest(), Respond(answer)]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("hops", [1, 3])
def test_row_81_a_redirect_on_the_same_origin(bench: Bench, status: int, hops: int) -> None:
    """Where that is allowed, a 307 or 308 that stays at its origin is followed, with body and key, in one attempt."""
    outcome = bench.ask(moved_on(*(f"/v2/{hop}?a=b" for hop in range(hops)), status=status), providers=FOLLOWING)
    assert ([("t1:m", None)], "from T1") == (outcome.trail, outcome.text)
    sent = bench.t1.requests
    assert ["/chat/completions", *(f"/v2/{hop}?a=b" for hop in range(hops))] == [request.path for request in sent]
    assert 1 == len({(request.body, request.headers["authorization"]) for request in sent})


def test_row_81_at_most_three(whole: Bench) -> None:
    """The fourth redirect is refused, so a loop ends there."""
    outcome = whole.ask(refusing(307, "", {"location": "/chat/completions"}), providers=FOLLOWING)
    whole.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 4 == len(whole.t1.requests)


@pytest.mark.parametrize(
    "location",
    [
        "{sink}/chat/completions",
        "//127.0.0.1:{port}/x",
        "https://127.0.0.1:{own}/x",
        "http://127.0.0.1:{own}@127.0.0.1:{port}/x",
        "http://127.0.0.1:{own}\\@127.0.0.1:{port}/x",
        "http://user@127.0.0.1:{own}/x",
        "http://127.0.0.1:{own} /x",
        "http://127.0.0.1.nip.example:{own}/x",
        "http://[::1",
        "http://127.0.0.1:{own}0000/x",
        "",
    ],
)
def test_row_80_never_to_another_origin(whole: Bench, location: str) -> None:
    """Whatever is allowed, nothing goes to another scheme, host or port, however that is written."""
    sink = whole.serve(answering("STOLEN"))
    script = [ReadRequest(), Respond(lambda _: response(308, "", {"location": where} if where else ()))]
    server = whole.serve(script)
    where = location.format(sink=sink.url, port=sink.port, own=server.port)
    outcome = whole.ask(at=server.url, providers=FOLLOWING)
    whole.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 0 == sink.accepted
    assert 1 == len(server.requests)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_row_81_what_would_lose_the_question(whole: Bench, status: int) -> None:
    """A redirect that would turn the request into one for a page is never followed."""
    outcome = whole.ask(refusing(status, "", {"location": "/v2/chat/completions"}), providers=FOLLOWING)
    whole.moved(outcome, "RedirectRefused", billed=False, closed=False)
    assert 1 == len(whole.t1.requests)


# All of them


def test_what_a_chain_says_that_failed(bench: Bench) -> None:
    """Where every target failed, the error holds one for each, in order, and the trail of all."""
    t1, t2 = bench.serve(refusing(401)), bench.serve(refusing(503))
    bench.client = bench.client_for(t1.url, t2.url)
    outcome = bench.ask()
    failed = outcome.error
    assert failed is not None
    assert "AllTargetsFailed" == type(failed).__name__
    assert ["AuthInvalid", "Overloaded"] == [type(each).__name__ for each in failed.exceptions]  # type: ignore[attr-defined]
    assert {"t1:m", "t2:m"} == {attempt.target for attempt in failed.attempts}
    assert str(failed).startswith("all 2 targets failed: t1:m: the key was refused")
