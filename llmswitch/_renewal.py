"""Fetches the token that an account's requests need: one request for all the calls that wait for it."""

from __future__ import annotations

from collections.abc import Generator
from email.utils import parsedate_to_datetime

from ._answer import Reading
from ._call import Call
from ._credential import Credential, Refused
from ._errors import AuthInvalid, ClientClosed, ConnectFailed, FirstTokenTimeout, LLMSwitchError, NoResponse, TLSInvalid
from ._wire import Action, Await, Close, Fault, Open, Opened, Outcome, Read

__all__ = ["distrusted", "renew"]

_TOKEN_BYTES = 64 * 1024


def renew(call: Call, reading: Reading, by: float) -> Generator[Action, Outcome, None]:
    """
    Where the target's credential has no token that is still good, fetch one. Raises the classified error where that
    fails; calls that waited meanwhile share a refusal, and do not ask again.
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
            if credential.refused is not None and credential.refused[0] >= began:
                raise reading.problem(AuthInvalid, credential.refused[1], billed=False)
            yield from _fetch(call, reading, credential, by)
    finally:
        credential.gate.leave()


def _fetch(call: Call, reading: Reading, credential: Credential, by: float) -> Generator[Action, Outcome, None]:
    target, policy = reading.target, call.chain.policy
    renewal = credential.renewal(call.wall() + credential.offset)
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
    try:
        credential.renewed(opened.status, bytes(body), call.wall() + credential.offset)
    except Refused as refusal:
        said = f"the vendor gives no token for this key: {refusal}"
        credential.refused = (call.clock(), said)
        raise reading.problem(AuthInvalid, said, billed=False) from None


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


def distrusted(call: Call, reading: Reading, error: LLMSwitchError) -> bool:
    """Whether a refusal of the key is a reason to ask once more, with another token or by the vendor's clock."""
    credential = reading.target.endpoint.credential
    if credential is None or not isinstance(error, AuthInvalid):
        return False
    # what the repetition is told is the last word
    again = reading.attempt.kind != "retry" and credential.distrust(_served(reading.date), call.wall())
    if credential.offset:
        error.args = (f"{error.message} (the clock of this machine is off by {-credential.offset:.0f} s; set it)",)
    return again


def _served(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError, OverflowError):
        return None
