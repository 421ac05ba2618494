"""How a limit or a budget is spoken of to a person."""

from __future__ import annotations

from decimal import Decimal

from ._allowance import Allowance, Denied
from ._limits import BudgetConfig

__all__ = ["amount_of", "duration", "explained", "label_of_budget", "label_of_rate", "unpriced"]


def label_of_rate(provider: str, limit: int, unit: str, period: str) -> str:
    """The name of an account's limit."""
    return f"{provider}'s limit of {limit} {unit} a {period}"


def label_of_budget(given: BudgetConfig) -> str:
    """The name of a budget."""
    limit, unit = given.amount
    period = "" if given.per == "ever" else f" {'an' if given.per == 'hour' else 'a'} {given.per}"
    kinds = {"provider": given.provider, "chain": given.chain, "tag": given.tag}
    scope = "".join(f" for the {kind} {name!r}" for kind, name in kinds.items() if name is not None)
    return f"the budget of {amount_of(limit, unit)}{period}{scope}"


def amount_of(amount: int, unit: str) -> str:
    """An amount with its unit."""
    if unit in ("requests", "tokens"):
        return f"{amount} {unit}"
    return f"{(Decimal(amount) / 1_000_000).normalize():f} {unit}"


def explained(denied: Denied) -> str:
    """Why a reservation was denied, and when it would not be."""
    allowance, unit = denied.want.allowance, denied.want.allowance.unit
    need, limit = amount_of(denied.want.amount, unit), amount_of(allowance.limit, unit)
    if denied.want.amount > allowance.limit and allowance.kind == "budget":
        return f"this call alone may need {need} of {allowance.label}: lower max_tokens, or raise the budget"
    if denied.alone:
        said = (
            f"{allowance.label} is kept in a store that can't be reached, and this process's share of what was left "
            "is used up"
        )
    elif denied.spent >= allowance.limit:
        said = f"{allowance.label} is used up"
    else:
        spent = amount_of(denied.spent, unit)
        said = f"{allowance.label} has no room: {spent} of {limit} are spent or reserved, and this call may need {need}"
    if denied.seconds is None:
        return said
    return f"{said}; it has room again in {duration(denied.seconds)}{', or sooner' if denied.soon else ''}"


def unpriced(allowance: Allowance, currency: str | None) -> str:
    """Why a target that can't be counted is refused."""
    if currency is None:
        return (
            f"its price is not known, so {allowance.label} can't be kept; choose a model whose price is known, or set "
            "fail_open = true for that budget"
        )
    return f"it is priced in {currency}, which {allowance.label} can't count; add a budget in {currency}"


def duration(seconds: float) -> str:
    """A stretch of time in its two largest units, rounded up."""
    whole = -int(-seconds // 1)
    if whole < 120:
        return f"{whole} s"
    minutes = -(-whole // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours + (1 if minutes else 0), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
