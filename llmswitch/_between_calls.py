"""What a client knows between calls: health, what was spent, who keeps to whom, answers; by its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._config import CacheConfig
from ._config_file import Loaded
from ._health import Health

# Nothing of it is loaded where nothing is bounded or kept.
if TYPE_CHECKING:
    from ._allowances import Allowances
    from ._cache import Answers, Cache
    from ._grants import Grants
    from ._sessions import Sessions

__all__ = ["cache_of", "health_of", "sessions_of", "spending_of"]


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


def sessions_of(loaded: Loaded) -> Sessions | None:
    """Whom sessions keep to, shared where the configuration names a store; nothing is loaded where none does."""
    if not any(chain.sticky for chain in loaded.config.chains.values()):
        return None
    from ._sessions import Sessions

    config = loaded.config.store
    if config.url is None:
        return Sessions()
    from ._shared_sessions import SharedSessions
    from ._store import clients_opener

    opener = clients_opener(config, loaded.source, strict=loaded.config.strict)
    return Sessions(shared=SharedSessions(opener, config.prefix))


def cache_of(loaded: Loaded) -> Cache | None:
    """
    What the configuration says; `None`, and nothing is loaded, where it says nothing. Nothing is opened yet.

    Raises `ConfigError`, never with an address, where it can't be used.
    """
    config = loaded.config.cache
    if config.kind is None:
        return None
    from ._cache import Cache

    return Cache(_answers(loaded, config), shared=config.shared)


def _answers(loaded: Loaded, config: CacheConfig) -> Answers:
    if config.kind == "memory":
        from ._memory_answers import MemoryAnswers

        return MemoryAnswers(config.ttl, config.max_bytes)
    from ._stored_answers import StoredAnswers

    if config.kind == "disk":
        from ._disk_answers import disk_opener

        return StoredAnswers(disk_opener(config, f"{loaded.source}: cache"))
    from ._redis_answers import redis_answers_opener

    return StoredAnswers(redis_answers_opener(loaded))
