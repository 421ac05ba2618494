"""What the words of the rules say of a breaker and of a cool-down: worked out from the whole log, each time anew."""

from __future__ import annotations

from dataclasses import dataclass

from llmswitch._breaker import BreakerNumbers

NUMBERS = BreakerNumbers()
MINUTE, HOUR = 60.0, 3600.0

# By class: what an error takes out, for how long at first and at the most, and whether that passes by itself.
COOLS: dict[str, tuple[str, float, float, bool]] = {
    "TLSInvalid": ("endpoint", 5 * MINUTE, 5 * MINUTE, False),
    "Overloaded": ("target", 5, 5, True),
    "RateLimited": ("account target", 1, MINUTE, True),
    "QuotaExhausted": ("account target", 15 * MINUTE, 6 * HOUR, False),
    "Arrears": ("account", 10 * MINUTE, 6 * HOUR, False),
    "AuthInvalid": ("account", 30 * MINUTE, 30 * MINUTE, False),
    "PermissionDenied": ("target", HOUR, HOUR, False),
    "ModelGone": ("target", HOUR, HOUR, False),
    "RegionBlocked": ("endpoint", 30 * MINUTE, 6 * HOUR, False),
}
# Whose breaker counts an error; of the rest none does.
COUNTS: dict[str, str] = {
    "ConnectFailed": "endpoint",
    **dict.fromkeys(
        (
            "NoResponse",
            "FirstTokenTimeout",
            "Overloaded",
            "ServerError",
            "RedirectRefused",
            "MalformedResponse",
            "StreamInterrupted",
            "StreamStalled",
        ),
        "target",
    ),
}


@dataclass(frozen=True)
class Event:
    """
    One line of a breaker's log: a call asks, is forced through, succeeds, fails or is released, or a hand does
    something. `call` numbers the calls; `chance` is what the breaker drew.
    """

    at: float
    what: str
    call: int = 0
    limit: float = 0.0
    chance: float = 0.5


@dataclass
class Verdict:
    """What the log says."""

    state: str = "closed"
    until: float = 0.0
    leased_until: float = 0.0
    may_pass: bool = True


def judge_breaker(log: list[Event], now: float) -> Verdict:
    """A breaker's log falls into eras, and in each only what began in it is heard."""
    state, until, times, calm_since = "closed", 0.0, 0, float("-inf")
    outcomes: list[tuple[float, bool]] = []  # since it closed
    began: dict[int, int] = {}  # the era in which a call began
    probes: set[int] = set()
    leases: dict[int, float] = {}  # of this half-open time, those that nobody has ended: call and end
    eras, good = 0, 0

    for event in log:
        by_hand = {"isolate": "isolated", "disable": "disabled", "reset": "closed"}.get(event.what)
        if by_hand is not None:
            state, outcomes, leases, good, eras = by_hand, [], {}, 0, eras + 1
            if by_hand == "closed":
                times = 0
            continue
        if event.what in ("ask", "force"):
            began[event.call] = eras
            if event.what == "ask" and state == "open":
                state, good, leases = "half_open", 0, {}
            if event.what == "ask" and state == "half_open":
                leases = {event.call: event.at + event.limit + NUMBERS.lease}
                probes.add(event.call)
            continue
        held = leases.pop(event.call, None) is not None
        if event.what == "release" or began[event.call] != eras or state in ("isolated", "disabled"):
            continue
        if event.call in probes and not held:
            continue
        well = event.what == "succeed"
        if state == "closed" and times and event.at - calm_since >= NUMBERS.healthy:
            times = 0
        if not well:
            calm_since = event.at
        if state == "closed":
            outcomes.append((event.at, well))
        opens = not well and (state == "half_open" or (state == "closed" and _trips(outcomes, event.at)))
        good += well and (state == "open" or (state == "half_open" and event.call in probes))
        if opens:
            times += 1
            seconds = min(NUMBERS.first * 2.0 ** (times - 1), NUMBERS.longest)
            until = event.at + seconds * (1 - NUMBERS.spread + 2 * NUMBERS.spread * event.chance)
            state, outcomes, leases, good, eras = "open", [], {}, 0, eras + 1
        elif state in ("open", "half_open") and good == NUMBERS.successes:
            state, outcomes, leases, good, eras = "closed", [], {}, 0, eras + 1
            calm_since = event.at

    leased_until = max(leases.values(), default=0.0) if state == "half_open" else 0.0
    due = now > until - 1e-9  # the core adds up the same numbers in another order
    passes = {"closed": True, "disabled": True, "isolated": False, "open": due, "half_open": now >= leased_until}
    return Verdict(state, until, leased_until, passes[state])


def _trips(outcomes: list[tuple[float, bool]], now: float) -> bool:
    seen = [well for at, well in outcomes if now - at <= NUMBERS.age][-NUMBERS.window :]
    row = [well for _, well in outcomes][-NUMBERS.consecutive :]  # of whatever age: who hangs takes minutes to fail
    in_a_row = len(row) == NUMBERS.consecutive and not any(row)
    return in_a_row or (len(seen) >= NUMBERS.enough and 2 * seen.count(False) >= len(seen))


@dataclass(frozen=True)
class Said:
    """One line of a cool-down's log: an error by its name, or a success, which has none."""

    at: float
    name: str
    retry_after: float | None = None
    chance: float = 0.0


@dataclass(frozen=True)
class Cooling:
    """Until when a scope is out, by which error, and the how many-th time in a row that is."""

    name: str
    until: float
    times: int


def judge_cooldown(log: list[Said]) -> Cooling | None:
    """
    An error while the scope is out is no new time, and never ends that sooner. Of what keeps it out, the error that
    does not pass by itself is the one to name, else the one that ends last. A success afterwards ends the row.
    """
    found: Cooling | None = None
    for said in log:
        over = found is None or said.at >= found.until
        if not said.name:
            found = None if over else found
            continue
        times = found.times + over if found is not None and found.name == said.name else 1
        _, first, most, _ = COOLS[said.name]
        seconds = min(first * 2.0 ** (times - 1), most) * (1 + said.chance / 10)
        new = Cooling(said.name, said.at + (seconds if said.retry_after is None else said.retry_after), times)
        if found is None or over:
            found = new
            continue
        named = max((new, found), key=lambda each: (not COOLS[each.name][3], each.until))
        found = Cooling(named.name, max(new.until, found.until), named.times)
    return found
