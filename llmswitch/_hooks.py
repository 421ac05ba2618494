"""What a caller may be told while calls go on, for alerts of his own. A hook that raises never harms a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol

from ._errors import Arrears, AuthInvalid, LLMSwitchError, PermissionDenied, RedirectRefused, TLSInvalid
from ._log import warn
from ._reply import Attempt

if TYPE_CHECKING:
    from ._call import Call
    from ._operation import Reply

__all__ = ["Hooks", "Several", "Watch"]

_NEEDS_HUMAN = (Arrears, AuthInvalid, PermissionDenied)
_SECURITY = (TLSInvalid, RedirectRefused)
_HOOKS = ("on_call", "on_attempt", "on_switch", "account_needs_human", "security")


class Watch(Protocol):
    """What is told how one call goes: when it is first carried out, and how it ended."""

    def began(self) -> None: ...

    def ended(self, trail: list[Attempt], reply: Reply | None, error: BaseException | None) -> None:
        """Once, if it began. `GeneratorExit`: the caller gave it up. Nothing of it is to be kept."""


@dataclass(slots=True)
class Hooks:
    """
    Plain functions to be called, each in the thread or task of the call. They must not block.

    `on_attempt(attempt)`: an attempt has ended, or a target was passed over.

    `on_switch(from_target, to_target, error)`: the chain moves on, because of that error.

    `account_needs_human(error)`: what was found does not pass by itself: `Arrears`, `AuthInvalid`, `PermissionDenied`
    and `ModelGone`. It is told when a call meets it, and not again while the target is passed over for it.

    `security(error)`: a certificate or a redirect is not to be trusted: `TLSInvalid`, `RedirectRefused`.

    `on_call(call)`: a call is made; the answer is who watches it, or `None`. `llmswitch.otel` is built on it.

    The other classes have no alarm: they pass by themselves. `RegionBlocked` is a state of the way to the vendor rather
    than an event; `on_attempt`, `on_switch` and `client.health()` show it.

    The errors have no traceback, since its frames would hold what the vendor sent. What a hook raises is logged once
    for each hook, and the call goes on. Raises `TypeError` for a hook that is an async function: nobody would await it.
    """

    on_attempt: Callable[[Attempt], object] | None = None
    on_switch: Callable[[str, str, LLMSwitchError], object] | None = None
    account_needs_human: Callable[[LLMSwitchError], object] | None = None
    security: Callable[[LLMSwitchError], object] | None = None
    on_call: Callable[[Call], Watch | None] | None = None
    _broken: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        for name in _HOOKS:
            if iscoroutinefunction(getattr(self, name)):
                raise TypeError(f"the hook {name} is an async function; hooks are plain functions")

    def attempted(self, attempt: Attempt, error: LLMSwitchError | None) -> None:
        """An attempt has ended."""
        self._tell("on_attempt", attempt)
        if isinstance(error, _NEEDS_HUMAN) and attempt.skipped_because is None:
            self._tell("account_needs_human", error)
        if isinstance(error, _SECURITY) and attempt.skipped_because is None:
            self._tell("security", error)

    def switched(self, before: str, after: str, error: LLMSwitchError) -> None:
        """The chain moves on."""
        self._tell("on_switch", before, after, error)

    def watch(self, call: Call) -> Watch | None:
        """Who watches this call."""
        watch: Watch | None = self._ask("on_call", self.on_call, call)
        return watch

    def began(self, watch: Watch) -> None:
        """The call is carried out from now on."""
        self._ask("on_call", watch.began)

    def ended(self, watch: Watch, trail: list[Attempt], reply: Reply | None, error: BaseException | None) -> None:
        """The call is over."""
        self._ask("on_call", watch.ended, trail, reply, error)

    def _tell(self, name: str, *given: Any) -> None:
        self._ask(name, getattr(self, name), *given)

    def _ask(self, name: str, hook: Callable[..., Any] | None, *given: Any) -> Any:
        if hook is None:
            return None
        try:
            return hook(*given)
        except Exception as problem:  # noqa: BLE001 - whatever a caller's function does, the call goes on
            if name not in self._broken:  # said once, or a broken hook would fill the log
                self._broken.add(name)
                warn("the hook %s raised %s; it is called on, and this is not said again", name, type(problem).__name__)
            return None


class Several(Hooks):
    """Hooks that are told the same, each as if it were alone."""

    __slots__ = ("_each",)

    def __init__(self, *each: Hooks) -> None:
        super().__init__()
        self._each = each

    def attempted(self, attempt: Attempt, error: LLMSwitchError | None) -> None:
        for hooks in self._each:
            hooks.attempted(attempt, error)

    def switched(self, before: str, after: str, error: LLMSwitchError) -> None:
        for hooks in self._each:
            hooks.switched(before, after, error)

    def watch(self, call: Call) -> Watch | None:
        found = [(hooks, watch) for hooks in self._each if (watch := hooks.watch(call)) is not None]
        return _Watches(found) if found else None

    def began(self, watch: Watch) -> None:
        watch.began()

    def ended(self, watch: Watch, trail: list[Attempt], reply: Reply | None, error: BaseException | None) -> None:
        watch.ended(trail, reply, error)


class _Watches:
    """Who watches one call, each for the hooks that sent him."""

    def __init__(self, each: list[tuple[Hooks, Watch]]) -> None:
        self._each = each

    def began(self) -> None:
        for hooks, watch in self._each:
            hooks.began(watch)

    def ended(self, trail: list[Attempt], reply: Reply | None, error: BaseException | None) -> None:
        for hooks, watch in self._each:
            hooks.ended(watch, trail, reply, error)
