"""The store that processes share: whether it answers, and what it knows of grants. Nothing is written to it."""

from __future__ import annotations

from time import monotonic, time

from llmswitch._config_file import Loaded
from llmswitch._counter_store import View, edges
from llmswitch._counters import MemoryCounters
from llmswitch._errors import ConfigError
from llmswitch._grants import Grants
from llmswitch._outage import said
from llmswitch._store import counters_opener, store_opener

from .report import Check

__all__ = ["spent_of_grants", "store_check"]


def store_check(loaded: Loaded) -> Check:
    """Whether the store is there that processes share."""
    if loaded.config.store.url is None:
        return Check("store", "ok", "none: each process keeps what it knows to itself", facts={"shared": False})
    facts = {"shared": True}
    try:
        store = store_opener(loaded.config.store, loaded.source, strict=loaded.config.strict)()
    except ConfigError as problem:
        return Check("store", "fail", problem.message, "put it right under [store]", facts)
    began = monotonic()
    try:
        store.read([])
    except Exception as problem:  # noqa: BLE001 - a store may raise anything
        todo = "is it running there, at the address under [store]? Calls go on without it, each process for itself"
        return Check("store", "fail", f"it does not answer ({said(problem)})", todo, facts)
    finally:
        store.close()
    ms = round((monotonic() - began) * 1000)
    return Check("store", "ok", f"it answers ({ms} ms)", facts=facts | {"ms": ms})


def spent_of_grants(loaded: Loaded) -> dict[str, int]:
    """
    What all processes together have used of each grant, by its label. Empty where there is no store, or it does not
    answer, which `store_check` says: one process alone has just begun to count.
    """
    grants = Grants(loaded, MemoryCounters()).allowances()
    if loaded.config.store.url is None or not grants:
        return {}
    now = round(time() * 1000)
    views = [View(each, edges(each.window, now)) for each in grants]
    store = None
    try:
        store = counters_opener(loaded.config.store, loaded.source, strict=loaded.config.strict)("doctor")
        seen = store.carry_out(views, []).seen
    except Exception:  # noqa: BLE001 - a store may raise anything, and has had its line
        return {}
    finally:
        if store is not None:
            store.close()
    told = [(each, seen[each.name]) for each in grants if each.name in seen]
    return {each.label: each.limit if state.closed > now else state.spent for each, state in told}
