"""Reads one answer: from the headers to a whole reply, or to the error that it turned out to be."""

from __future__ import annotations

from collections.abc import Generator

from ._adapter import ErrorFacts, NotAnAnswer, VendorFault
from ._assembly import BadArguments, ReplyAssembly
from ._errors import ConnectFailed, LLMSwitchError, MalformedResponse, NoResponse, StreamInterrupted
from ._framing import FramingError, Inflater, decode_utf8
from ._json import JSONInvalid, loads
from ._pieces import read_pieces
from ._reading import Reading, bad_arguments, broke_off
from ._scrub import scrub
from ._wire import Action, Fault, Opened, Outcome, Read

__all__ = ["read_answer"]

_HEADER_BYTES = 64 * 1024
_HEADERS = 1000
_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0
_BODY_BYTES = 64 * 1024 * 1024

_Steps = Generator[Action, Outcome, ReplyAssembly]


def read_answer(reading: Reading, opened: Opened) -> _Steps:
    """
    The whole answer. On the way, lists of events for the caller where this is a stream.

    Raises the error that came in its place, classified; `StreamInterrupted` where it broke off.
    """
    attempt = reading.attempt
    attempt.status, attempt.connect_ms = opened.status, opened.connect_ms
    reading.date = opened.headers.get("date")
    request_id = _request_id(reading, opened)
    attempt.request_id = (scrub(request_id)[:128] or None) if request_id else None
    if opened.header_bytes > _HEADER_BYTES or opened.header_count > _HEADERS:
        raise reading.problem(MalformedResponse, "the answer's headers are too many or too long")
    if opened.status == 407:
        raise _proxy_refused(reading)
    if opened.status >= 300:
        return (yield from _refusal(reading, opened))
    inflater = _inflater(reading, opened)
    kind = opened.headers.get("content-type", "").partition(";")[0].strip().lower()
    asked_stream = reading.operation.asks_stream(reading.target.adapter, stream=reading.stream)
    if asked_stream is None:
        return (yield from _whole(reading, opened, inflater))
    streamed = _is_stream(kind, asked=asked_stream)
    if streamed:
        assembly = yield from read_pieces(reading, inflater)
    else:
        assembly = yield from _whole(reading, opened, inflater)
    if streamed != asked_stream:
        asked, came = ("a stream", "one piece") if asked_stream else ("one piece", "a stream")
        assembly.warn("other_form", f"{asked} was asked for, and {came} came; it was read as what it is")
    return assembly


def _request_id(reading: Reading, opened: Opened) -> str | None:
    names = (*reading.target.spec.request_id_headers, "x-request-id", "request-id")
    return next((opened.headers[name] for name in names if opened.headers.get(name)), None)


def _is_stream(kind: str, *, asked: bool) -> bool:
    """An answer is read as what it is; only where the type says nothing, as what was asked for."""
    if kind in ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"):
        return True
    if kind.endswith("json") or kind.startswith("text/html"):
        return False
    return asked


def _inflater(reading: Reading, opened: Opened) -> Inflater:
    try:
        return Inflater(opened.headers.get("content-encoding", ""), max_decoded_bytes=_BODY_BYTES)
    except FramingError as problem:
        raise reading.problem(MalformedResponse, f"the answer can't be read: {problem}") from None


# An answer that is a refusal


def _proxy_refused(reading: Reading) -> LLMSwitchError:
    """A 407 is the proxy's word, not the vendor's."""
    proxy = reading.target.endpoint.proxy
    by = f"the proxy {proxy.name}" if proxy is not None else "a proxy on the way"
    reading.retry_same = False
    return reading.problem(ConnectFailed, f"{by} wants a user and a password that it knows (HTTP 407)", billed=False)


def _refusal(reading: Reading, opened: Opened) -> _Steps:
    body = yield from _refusal_body(reading, opened)
    headers = opened.headers
    facts = reading.target.adapter.read_error(opened.status, headers, body)
    facts.status = opened.status
    facts.html = _is_page(body)
    facts.request_id = facts.request_id or reading.attempt.request_id
    from ._retry_after import retry_after

    wait = retry_after(headers, reading.target.provider)
    facts.retry_after = wait if wait is not None else facts.retry_after
    again = headers.get("x-should-retry")
    reading.retry_same = {"true": True, "false": False}.get(again or "")
    raise reading.error(facts)


def _refusal_body(reading: Reading, opened: Opened) -> Generator[Action, Outcome, bytes]:
    """Its beginning, as far as it can be read: the status is known, and the body is worth no failure of its own."""
    by = min(reading.clocks.first_token, reading.clocks.attempt, reading.clocks.now() + _ERROR_SECONDS)
    body = bytearray()
    try:
        inflater = Inflater(opened.headers.get("content-encoding", ""), max_decoded_bytes=_BODY_BYTES)
        while len(body) < _ERROR_BYTES:
            chunk = yield Read(by)
            if not isinstance(chunk, bytes) or not chunk:
                break
            for piece in inflater.feed(chunk):
                body += piece
                if len(body) >= _ERROR_BYTES:
                    break  # what is left of a bomb stays packed
    except FramingError:
        pass  # as said above
    return bytes(body[:_ERROR_BYTES])


def _is_page(body: bytes | bytearray) -> bool:
    return bytes(body[:256]).lstrip().lower().startswith((b"<!doctype", b"<html"))


# An answer in one piece


def _whole(reading: Reading, opened: Opened, inflater: Inflater) -> _Steps:
    body, clocks = bytearray(), reading.clocks
    wait = Read(min(clocks.first_token, clocks.attempt))
    while True:
        chunk = yield wait
        if isinstance(chunk, Fault):
            raise broke_off(reading, chunk, NoResponse if body else StreamInterrupted)
        assert isinstance(chunk, bytes)
        try:
            if not chunk:
                inflater.finish()
                break
            for piece in inflater.feed(chunk):
                body += piece
        except FramingError as problem:
            raise reading.problem(MalformedResponse, f"the answer can't be read: {problem}") from None
        if reading.stream:  # that it came in one piece gives it no more time to be silent
            wait.by = min(clocks.now() + clocks.idle, clocks.attempt)
    adapter = reading.target.adapter
    try:
        if not body.strip():
            raise NotAnAnswer("the body is empty")
        text, damaged = decode_utf8(body)
        value = loads(text.removeprefix("\ufeff"), unique=True)
        reading.assembly = assembly = reading.operation.parse(adapter, value, reading.request)
        if damaged:
            assembly.damaged()
        assembly.close_calls()
    except JSONInvalid as problem:
        said = "a web page came instead of an API answer" if _is_page(body) else f"the answer is {problem}"
        raise reading.problem(MalformedResponse, said) from None
    except NotAnAnswer as problem:
        raise reading.problem(MalformedResponse, f"the answer has not the form of one: {problem}") from None
    except VendorFault as fault:
        raise reading.error(_at(fault.facts, opened.status)) from None
    except BadArguments as bad:
        raise bad_arguments(reading, bad) from None
    now = reading.clocks.now()
    reading.attempt.ttft_ms = (now - reading.attempt.started) * 1000
    reading.attempt.characters = assembly.characters
    reading.whole()
    if reading.stream:
        yield reading.deliver([*reading.ready(assembly.events()), *reading.rest(), assembly.finish_event()])
    return assembly


def _at(facts: ErrorFacts, status: int) -> ErrorFacts:
    """An error inside a 200 is judged by its code and words; the status says nothing."""
    if facts.status is None and status >= 300:
        facts.status = status
    return facts
