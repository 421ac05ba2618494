"""
An outage drill: the named providers fail in the named way, beneath the adapter, without a packet sent to them.

So a user rehearses in his own program the day on which a provider goes away. It is loud: every reply, every error of a
drilled provider and the log say that a drill is on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, NamedTuple

from ._errors import ConfigError
from ._json import dumps
from ._log import warn
from ._messages import Text
from ._nearest import nearest
from ._target import Target
from ._vendor_wire import Answer, VendorWire
from ._wire import Close, Fault, Open, Opened, Outcome, Read

__all__ = ["FAULTS", "Drill", "Played", "Rehearsal"]

# What a vendor says: the class that it stands for, and the status where the vendor has no rule of its own for it.
_SAID: Mapping[str, tuple[str, int]] = {
    "region_blocked": ("RegionBlocked", 451),
    "quota": ("QuotaExhausted", 429),
    "arrears": ("Arrears", 402),
    "bad_key": ("AuthInvalid", 401),
    "rate_limit": ("RateLimited", 429),
    "overloaded": ("Overloaded", 503),
    "server_error": ("ServerError", 500),
    "model_gone": ("ModelGone", 404),
    "context_too_long": ("ContextTooLong", 413),
    "content_filter": ("ContentFiltered", 400),
    "bad_request": ("BadRequest", 400),
}
# What the network does.
_NETWORK: Mapping[str, Fault] = {
    "refused": Fault("connect", "drill: connection refused"),
    "dns": Fault("connect", "drill: the name does not resolve"),
    "bad_certificate": Fault("tls", "drill: certificate verify failed"),
    "reset": Fault("broken", "drill: connection reset"),
}
_OTHER = ("hang", "garbage", "empty", "cut_after", "stall_after")
FAULTS = (*_SAID, *_NETWORK, *_OTHER)
_WITH_NUMBER = {"rate_limit": 20.0, "cut_after": 20.0, "stall_after": 20.0}


class _Fault(NamedTuple):
    name: str
    number: float

    def __str__(self) -> str:
        return f"{self.name}:{self.number:g}" if self.name in _WITH_NUMBER else self.name


class Played(NamedTuple):
    """What the drill says in place of the network, after so many seconds."""

    outcome: Outcome
    wait: float = 0.0


class Drill:
    """Which provider fails how."""

    def __init__(self, faults: Mapping[str, _Fault]) -> None:
        self._faults = faults
        warn("%s", self)

    @classmethod
    def read(cls, given: str | Mapping[str, str], known: Callable[[str], bool], where: str) -> Drill | None:
        """
        From `$LLMSWITCH_DRILL` (`name=fault,other=fault:20`) or `[drill]`; `None` where nothing is drilled.

        Raises `ConfigError` for a provider or a fault that there is none of.
        """
        if isinstance(given, str):
            pairs = [part.partition("=") for part in given.split(",") if part.strip()]
            given = {name.strip(): fault.strip() for name, _, fault in pairs}
        faults: dict[str, _Fault] = {}
        for name, text in given.items():
            if not known(name):
                raise ConfigError(f"{where}: no provider is named {name!r}")
            faults[name] = _read_fault(text, f"{where}: {name}")
        return cls(faults) if faults else None

    def fault(self, provider: str) -> _Fault | None:
        """How this provider fails; `None` where it does not."""
        return self._faults.get(provider)

    def rehearsal(self) -> Rehearsal:
        """The drill for one exchange."""
        return Rehearsal(self)

    def __str__(self) -> str:
        return "a drill is on: " + ", ".join(f"{name}={fault}" for name, fault in self._faults.items())


def _read_fault(text: str, where: str) -> _Fault:
    name, colon, number = text.partition(":")
    if name not in FAULTS:
        raise ConfigError(f"{where}: no fault is named {name!r}{nearest(name, FAULTS)}; there are: {', '.join(FAULTS)}")
    if not colon:
        return _Fault(name, _WITH_NUMBER.get(name, 0.0))
    try:
        value = float(number.removesuffix("s"))
    except ValueError:
        value = -1.0
    if name not in _WITH_NUMBER or not 0 <= value <= 86_400:
        raise ConfigError(f"{where}: {text!r}: a number from 0 to 86400 follows {', '.join(_WITH_NUMBER)} alone")
    return _Fault(name, value)


class Rehearsal:
    """One exchange under a drill: plays the drilled providers, and leaves the others to the network."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self._body: Iterator[Played] | None = None
        self._by = 0.0

    def play(self, action: Any) -> Played | None:
        """What comes of the action under the drill; `None` where it is the network's."""
        if type(action) is Open and action.target is not None:
            fault = self._drill.fault(action.target.provider)
            if fault is None:
                self._body = None
                return None
            warn("drill: %s fails with %s, nothing is sent", action.target.name, fault)
            self._by = action.by
            return self._open(action, action.target, fault)
        if self._body is None:
            return None
        if type(action) is Read:
            self._by = action.by
            return next(self._body, Played(b""))
        if type(action) is Close:
            self._body = None
            return Played(None)
        return None

    def _silence(self) -> Played:
        """Nothing comes until the reader's patience ends."""
        return Played(Fault("timeout", "drill: silence"), max(0.0, self._by - monotonic()))

    def _open(self, action: Open, target: Target, fault: _Fault) -> Played:
        if fault.name in _NETWORK:
            return Played(_NETWORK[fault.name])
        if fault.name == "hang":
            return self._silence()
        if action.endpoint is not None:  # the request for a token, which is no matter of this fault
            credential = target.endpoint.credential
            assert credential is not None
            self._body = iter([Played(credential.granted)])
            return Played(Opened(200, {"content-type": "application/json"}))
        if fault.name in _SAID:
            return self._refuse(target, fault)
        stream = bool(action.request.body) and _wire(target).asks_stream(action.request)
        kind = "text/event-stream" if stream else "application/json"
        self._body = self._pieces(target, fault, stream=stream)
        return Played(Opened(200, {"content-type": kind if fault.name != "garbage" else "text/html"}))

    def _refuse(self, target: Target, fault: _Fault) -> Played:
        """The vendor's own words for it, where its file has some."""
        becomes, status = _SAID[fault.name]
        words = {"quota": "daily quota used up", "content_filter": "content policy"}.get(fault.name, "")
        rule = next(
            (rule for rule in target.spec.errors if rule.becomes == becomes and rule.code and not rule.text), None
        )
        code = rule.code[0] if rule is not None else None
        if rule is not None and rule.status:
            status = rule.status[0]
        body = _wire(target).error(status, code, None, f"drill: {fault} {words}".strip())
        self._body = iter([Played(body)])
        headers = {"content-type": "application/json"}
        if fault.name == "rate_limit":
            headers["retry-after"] = f"{fault.number:g}"
        return Played(Opened(status, headers))

    def _pieces(self, target: Target, fault: _Fault, *, stream: bool) -> Iterator[Played]:
        if fault.name == "empty":
            return
        if fault.name == "garbage":
            yield Played(b"<!DOCTYPE html><html><body>drill: garbage</body></html>")
            return
        answer = Answer((Text("drill: " + "word " * int(4 * fault.number + 4)),))
        wire = _wire(target)
        if stream:
            # the first events are a preamble; each of those that follow holds about a token and a half
            for piece in wire.stream(answer)[: int(fault.number) + 2]:
                yield Played(piece)
        else:
            whole = dumps(wire.reply(answer))
            yield Played(whole[: len(whole) // 2])
        yield Played(Fault("broken", "drill: cut")) if fault.name == "cut_after" else self._silence()


def _wire(target: Target) -> VendorWire:
    module, _, name = target.adapter.wire.partition(":")
    made = getattr(importlib.import_module(module), name)(target.adapter.options, target.adapter.capabilities)
    assert isinstance(made, VendorWire)
    return made
