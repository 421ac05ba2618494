"""What a client knows between calls: the health of targets, and what was spent; made from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._config_file import Loaded
from ._health import Health

# Nothing of it is loaded where nothing is bounded.
if TYPE_CHECKING:
    from ._allowances import Allowances
    from ._grants import Grants

__all__ = ["health_of", "spending_of"]


def spending_of(loaded: Loaded) -> tuple[Allowances | None, Grants | None]:
    """What bounds the calls of this configuration, and what is free; nothing is loaded where there is none."""
    providers = loaded.config.providers.values()
    granted = any(own.grants for own in providers)
    if not (loaded.config.budgets or granted or any(own.limits.given for own in providers)):
        return None, None
    from ._allowances import Allowances
    from ._grants import Grants

    allowances = Allowances.from_config(loaded)
    return allowances, Grants(loaded, allowances.counters) if granted else None


def health_of(loaded: Loaded) -> Health:
    """In this process's memory, and shared where the configuration names a store."""
    config = loaded.config.store
    if config.url is None:
        return Health()
    from ._sharing import Sharing
    from ._store import store_opener

    opener = store_opener(config, loaded.source, strict=loaded.config.strict)
    return Health(sharing=Sharing(opener, egress=config.egress))
