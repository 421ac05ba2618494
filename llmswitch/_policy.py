"""What a chain may spend on a call: its limits, and what each error of the taxonomy allows to be tried next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from . import _errors
from ._config import ChainConfig
from ._cooldown import CooldownRule

if TYPE_CHECKING:
    import tenacity

__all__ = ["RULES", "Again", "MoveOn", "Policy", "Rule", "rule_for"]

# Whether the same target may be asked once more.
#   fresh    at once, on a new connection; it does not count as an attempt
#   once     after a wait of at most 50 ms
#   if_last  only where nobody is left to move to
#   renewed  at once, where another token or another time has been found for it
#   wait     only where nobody is left, and the vendor's own wait fits the time limit
Again: TypeAlias = Literal["never", "fresh", "once", "if_last", "renewed", "wait"]

# Whether the next target is asked.
#   larger   only one with a larger window
MoveOn: TypeAlias = Literal["never", "always", "larger"]


class Rule(NamedTuple):
    """
    What comes after an error: for this call (`again`, `move`), and for those after it. `cool` takes its scopes out
    for a time, since the error declares a fact; `counts` is the scope whose breaker counts it, since it is a
    statistic.
    """

    again: Again = "never"
    move: MoveOn = "always"
    cool: CooldownRule | None = None
    counts: Literal["endpoint", "target"] | None = None


_MINUTE, _HOUR = 60.0, 3600.0

RULES: Mapping[type[_errors.LLMSwitchError], Rule] = {
    _errors.ConnectFailed: Rule(again="if_last", counts="endpoint"),
    _errors.StaleConnection: Rule(again="fresh"),
    _errors.TLSInvalid: Rule(cool=CooldownRule(("endpoint",), 5 * _MINUTE, 5 * _MINUTE)),
    _errors.NoResponse: Rule(again="if_last", counts="target"),
    _errors.FirstTokenTimeout: Rule(again="if_last", counts="target"),
    _errors.Overloaded: Rule(
        again="if_last", cool=CooldownRule(("target",), 5, _HOUR, transient=True), counts="target"
    ),
    _errors.ServerError: Rule(again="once", counts="target"),
    _errors.RateLimited: Rule(
        again="wait", cool=CooldownRule(("account", "target"), 1, _MINUTE, doubles=True, transient=True)
    ),
    _errors.QuotaExhausted: Rule(cool=CooldownRule(("account", "target"), 15 * _MINUTE, 6 * _HOUR, doubles=True)),
    _errors.Arrears: Rule(cool=CooldownRule(("account",), 10 * _MINUTE, 6 * _HOUR, doubles=True)),
    _errors.AuthInvalid: Rule(again="renewed", cool=CooldownRule(("account",), 30 * _MINUTE, 30 * _MINUTE)),
    _errors.PermissionDenied: Rule(cool=CooldownRule(("target",), _HOUR, _HOUR)),
    _errors.ModelGone: Rule(cool=CooldownRule(("target",), _HOUR, _HOUR)),
    _errors.RegionBlocked: Rule(cool=CooldownRule(("endpoint",), 30 * _MINUTE, 6 * _HOUR, doubles=True)),
    _errors.RedirectRefused: Rule(counts="target"),
    _errors.BadRequest: Rule(move="never"),
    _errors.InvalidRequest: Rule(move="never"),
    _errors.CapabilityMismatch: Rule(),
    _errors.ContextTooLong: Rule(move="larger"),
    _errors.ContentFiltered: Rule(move="never"),
    _errors.MalformedResponse: Rule(again="if_last", counts="target"),
    _errors.StreamInterrupted: Rule(again="if_last", counts="target"),
    _errors.StreamStalled: Rule(again="if_last", counts="target"),
    _errors.OutputInvalid: Rule(move="never"),
    _errors.IncompleteToolCall: Rule(move="never"),
    _errors.ToolArgumentsInvalid: Rule(move="never"),
    _errors.LocalOverload: Rule(again="if_last", move="never"),
    _errors.BudgetExceeded: Rule(),
    _errors.ClientClosed: Rule(move="never"),
    _errors.DeadlineExceeded: Rule(move="never"),
    _errors.ConfigError: Rule(move="never"),
    _errors.KeyMissing: Rule(move="never"),
    _errors.AllTargetsFailed: Rule(move="never"),
    _errors.AllTargetsUnavailable: Rule(move="never"),
}


def rule_for(error: _errors.LLMSwitchError) -> Rule:
    """The rule of the error's class, or of the nearest class above it."""
    for kind in type(error).__mro__:
        if kind in RULES:
            return RULES[kind]
    return Rule(move="never")


class Policy(NamedTuple):
    """
    The numbers of a chain; times in seconds.

    `reserve` is kept back for each target that is still to come, so that the first can't starve the rest.
    `longest_wait` bounds how long a call sleeps because a vendor asked it to. `jitter` and `throttled` are tenacity's
    strategies for the wait before a repetition: by default up to 50 ms, and, where too much was asked for, up to 20 s.
    What a chain's configuration sets is described there.
    """

    total: float | None = None
    total_whole: float = 120.0
    total_stream: float = 600.0
    first_token: float | None = None
    first_token_plain: float = 30.0
    first_token_reasoning: float = 120.0
    idle: float | None = None
    idle_plain: float = 30.0
    idle_reasoning: float = 90.0
    connect: float = 5.0
    pool: float = 2.0
    write: float = 30.0
    grace: float = 2.0
    reserve: float = 5.0
    longest_wait: float = 60.0
    max_attempts: int = 4
    on_stream_failure: Literal["raise", "restart", "continue"] = "raise"
    commit_on: Literal["reasoning", "text"] = "reasoning"
    min_tokens_per_second: float | None = None
    lenient: int = 0
    fallback_on: frozenset[str] = frozenset()
    hedge: bool = False
    hedge_after: float | None = None
    jitter: "tenacity.wait.wait_base | None" = None
    throttled: "tenacity.wait.wait_base | None" = None

    @classmethod
    def from_config(cls, config: ChainConfig) -> Self:
        """The defaults with what a chain's configuration sets."""
        given: dict[str, Any] = {
            "total": config.timeout,
            "first_token": config.first_token_timeout,
            "idle": config.idle_timeout,
            "connect": config.connect_timeout,
            "max_attempts": config.max_attempts,
            "on_stream_failure": config.on_stream_failure,
            "commit_on": config.commit_on,
            "min_tokens_per_second": config.min_tokens_per_second,
            "lenient": config.lenient,
            "fallback_on": config.fallback_on,
            "hedge": config.hedge,
            "hedge_after": config.hedge_after,
        }
        return cls(**{name: value for name, value in given.items() if value is not None})

    def moves(self, error: _errors.LLMSwitchError) -> MoveOn:
        """Whether the next target is asked after this error."""
        if isinstance(error, _errors.ContentFiltered) and "content_filter" in self.fallback_on:
            return "always"
        return rule_for(error).move

    def total_for(self, *, stream: bool) -> float:
        """The limit of the whole call."""
        return self.total if self.total is not None else self.total_stream if stream else self.total_whole

    def first_token_for(self, *, reasoning: bool, slow: float | None = None) -> float:
        """The limit to the first semantic event of an attempt; `slow` is that of a provider who may need longer."""
        if self.first_token is not None:
            return self.first_token
        return max(self.first_token_reasoning if reasoning else self.first_token_plain, slow or 0.0)

    def idle_for(self, *, reasoning: bool) -> float:
        """The limit between semantic events."""
        if self.idle is not None:
            return self.idle
        return self.idle_reasoning if reasoning else self.idle_plain

    def wait(self, failures: int, *, throttled: bool) -> float:
        """Seconds to wait after so many failures in a row; `throttled`: more was asked for than the account may."""
        from tenacity import wait_random, wait_random_exponential  # which load asyncio: not before somebody waits

        if throttled:
            strategy = self.throttled or wait_random_exponential(multiplier=1, max=20)
        else:
            strategy = self.jitter or wait_random(0, 0.05)
        return float(strategy(_state(failures, 0.0)))

    def stop(self, attempts: int, elapsed: float, limit: float) -> bool:
        """Whether another attempt is out of the question, by count or by time."""
        from tenacity import stop_after_attempt, stop_after_delay, stop_any

        strategy = stop_any(stop_after_attempt(self.max_attempts), stop_after_delay(limit))
        return bool(strategy(_state(attempts, elapsed)))


def _state(attempt: int, elapsed: float) -> "tenacity.RetryCallState":
    """Tenacity's view of a call, filled from our own clock; its strategies are pure functions of it."""
    from tenacity import RetryCallState, Retrying

    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(1, attempt)
    state.start_time = 0.0
    state.outcome_timestamp = elapsed
    return state
