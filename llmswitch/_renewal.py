"""Fetches the token that an account's requests need: one request for all the calls that wait for it."""

from __future__ import annotations

from collections.abc import Generator
from email.utils import parsedate_to_datetime

from ._adapter import ErrorFacts
from ._call import Call
from ._credential import Credential, NotRenewed, Refused, Renewal
from ._errand import Errand, Fetched, Unsent
from ._errors import AuthInvalid, ClientClosed, ConnectFailed, FirstTokenTimeout, LLMSwitchError, NoResponse, TLSInvalid
from ._reading import Reading
from ._scrub import scrub
from ._wire import Action, Await, Close, Fault, Open, Opened, Outcome, Read

__all__ = ["distrusted", "renew"]

_TOKEN_BYTES = 64 * 1024
_BUSY = frozenset({408, 429})


def renew(call: Call, reading: Reading, by: float) -> Generator[Action, Outcome, None]:
    """
    Where the target's credential has no token that is still good, fetch one. Raises the classified error where that
    fails; calls that waited meanwhile share the failure, and do not ask again.
    """
    credential = reading.target.endpoint.credential
    if credential is None or not credential.stale(call.wall() + credential.offset):
        return
    began = call.clock()
    if not credential.gate.enter():
        turn = credential.gate.wait()
        try:
            yield Await(turn, by)
            entered = credential.gate.enter(turn)
        finally:
            credential.gate.give_up(turn)
        if not entered:
            raise reading.problem(FirstTokenTimeout, "no token came within the time limit", billed=False)
    try:
        if credential.stale(call.wall() + credential.offset):
            failed = credential.not_renewed
            if failed is not None and failed.at >= began:
                raise reading.problem(failed.kind, failed.message, billed=False)
            yield from _fetch(call, reading, credential, by)
    finally:
        credential.gate.leave()


def _fetch(call: Call, reading: Reading, credential: Credential, by: float) -> Generator[Action, Outcome, None]:
    try:
        yield from (_send_out if credential.errand else _ask)(call, reading, credential, by)
    except LLMSwitchError as problem:
        if not isinstance(problem, FirstTokenTimeout):  # that is this caller's own limit; another may have longer
            credential.not_renewed = NotRenewed(call.clock(), type(problem), problem.message)
        raise


def _ask(call: Call, reading: Reading, credential: Credential, by: float) -> Generator[Action, Outcome, None]:
    """Ask for a token; once more where the vendor's clock says that the request was refused for its time."""
    for last in (False, True):
        opened, body = yield from _exchange(call, reading, credential.renewal(call.wall() + credential.offset), by)
        try:
            credential.renewed(opened.status, body, call.wall() + credential.offset)
        except Refused as refusal:
            if last or not credential.reset_clock(_served(opened.headers.get("date")), call.wall()):
                raise _not_given(reading, credential, opened.status, scrub(str(refusal))) from None
        else:
            credential.tokens += 1
            return


def _send_out(call: Call, reading: Reading, credential: Credential, by: float) -> Generator[Action, Outcome, None]:
    """Have a library fetch a token, and carry out what it wants to send."""
    errand = Errand(lambda send: credential.fetch(send, call.wall() + credential.offset))
    status, unsent = 0, None
    try:
        while True:
            turn = errand.turn()
            yield Await(turn, by)
            if not turn.granted:
                raise reading.problem(FirstTokenTimeout, "no token came within the time limit", billed=False)
            asked = errand.asked()
            if asked is None:
                break
            try:
                opened, body = yield from _exchange(call, reading, asked, by)
            except LLMSwitchError as problem:
                unsent = problem
                errand.answer(Unsent(problem.message))
            else:
                status = opened.status
                errand.answer(Fetched(status, opened.headers, body))
    finally:
        errand.abandon()
    if isinstance(errand.problem, Unsent):
        raise unsent or reading.problem(ConnectFailed, f"no token could be fetched: {errand.problem}", billed=False)
    if errand.problem is not None:
        raise _not_given(reading, credential, status, scrub(str(errand.problem)))
    credential.tokens += 1


def _exchange(
    call: Call, reading: Reading, renewal: Renewal, by: float
) -> Generator[Action, Outcome, tuple[Opened, bytes]]:
    target, policy = reading.target, call.chain.policy
    by = by if renewal.seconds is None else min(by, call.clock() + renewal.seconds)
    opened = yield Open(
        target,
        renewal.request,
        by,
        policy.connect,
        policy.pool,
        policy.write,
        target.endpoint.beside(renewal.base_url),
        renewal.signed,
    )
    body = bytearray()
    while isinstance(opened, Opened) and len(body) <= _TOKEN_BYTES:
        chunk = yield Read(by)
        if isinstance(chunk, Fault):
            yield Close()
            raise _unreachable(reading, chunk)
        assert isinstance(chunk, bytes)
        if not chunk:
            break
        body += chunk
    yield Close()
    if isinstance(opened, Fault):
        raise _unreachable(reading, opened)
    assert isinstance(opened, Opened)
    return opened, bytes(body)


_FAULTS: dict[str, type[LLMSwitchError]] = {
    "connect": ConnectFailed,
    "tls": TLSInvalid,
    "timeout": FirstTokenTimeout,
    "closed": ClientClosed,
}


def _unreachable(reading: Reading, fault: Fault) -> LLMSwitchError:
    kind = _FAULTS.get(fault.kind, NoResponse)
    return reading.problem(
        kind, f"no token could be fetched: {fault.message or 'the time limit ran out'}", billed=False
    )


def _not_given(reading: Reading, credential: Credential, status: int, said: str) -> LLMSwitchError:
    """A refusal is the key's; that the vendor is busy or broken is not."""
    if status >= 500 or status in _BUSY:
        error = reading.error(ErrorFacts(status=status, message=f"no token could be fetched: {said}"))
        error.possibly_billed = False
        return error
    return reading.problem(
        AuthInvalid, f"the vendor gives no token for this key: {said}{_clock(credential)}", billed=False
    )


def _clock(credential: Credential) -> str:
    return f" (the clock of this machine is off by {-credential.offset:.0f} s; set it)" if credential.offset else ""


def distrusted(call: Call, reading: Reading, error: LLMSwitchError) -> bool:
    """Whether a refusal of the key is a reason to ask once more, with another token or by the vendor's clock."""
    credential = reading.target.endpoint.credential
    if credential is None or reading.tokens is None or not isinstance(error, AuthInvalid):
        return False
    again = False
    if reading.attempt.kind != "retry":  # what the repetition is told is the last word
        # who was refused with an old token while another call fetched a new one leaves that alone
        replaced = credential.tokens != reading.tokens
        again = replaced or credential.distrust(_served(reading.date), call.wall(), error.code)
    error.args = (error.message + _clock(credential),)
    return again


def _served(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None
