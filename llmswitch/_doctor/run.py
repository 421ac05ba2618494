"""The whole examination: the configuration, this machine, and every provider at once, each within its time."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmswitch._config import Config
from llmswitch._config_file import Loaded
from llmswitch._connections import Connections
from llmswitch._discovery import discover
from llmswitch._drill import Drill
from llmswitch._errors import ConfigError
from llmswitch._setup import Setup
from llmswitch._version import __version__

from .asking import Asker
from .examination import Examiner
from .machine import configuration_check, drill_check, machine_checks
from .plan import plan
from .report import Check, Report
from .store import spent_of_grants, store_check

__all__ = ["examine"]

_SECONDS = 8.0  # for all that is free of charge at one provider
_LIVE_SECONDS = 30.0
_AT_ONCE = 16


def examine(
    path: Path | None = None,
    *,
    live: bool = False,
    only: Collection[str] = (),
    http_client: Any = None,
    seconds: float = _SECONDS,
) -> Report:
    """
    Look at everything. `path`: the configuration, in place of the one that is found. `live`: one tiny call to each
    provider, and where a key is refused at one of its vendor's sites, it is tried at the others. `only`: these
    providers. `seconds`: for what is free of charge, at each provider.

    What is wrong with the configuration is a line of the report. Raises `ConfigError` where `only` names no provider.
    """
    read = _read(path, http_client)
    machine = [*machine_checks(read.loaded.config.http), read.check]
    if read.setup is None or read.connections is None:
        return Report(__version__, live, tuple(machine), ())
    if read.drill is not None:
        machine.append(drill_check(read.drill))
    machine.append(store_check(read.loaded))
    subjects = plan(read.loaded, read.setup, only)
    asker = Asker(read.connections, read.drill, _LIVE_SECONDS)
    places = read.loaded.config.policy.jurisdictions
    examiner = Examiner(asker, seconds=seconds, live=live, places=places, spent=spent_of_grants(read.loaded))
    threads = ThreadPoolExecutor(min(_AT_ONCE, max(1, len(subjects))))
    try:
        sections = tuple(threads.map(examiner.examine, subjects))
    finally:
        read.connections.close()  # after Ctrl-C this ends what is under way
        threads.shutdown(cancel_futures=True)
    return Report(__version__, live, tuple(machine), sections)


@dataclass(slots=True)
class _Read:
    """The configuration in use, or the line that says what is wrong with it."""

    check: Check
    loaded: Loaded = field(default_factory=lambda: Loaded(Config(), "no configuration file"))
    setup: Setup | None = None
    connections: Connections | None = None
    drill: Drill | None = None


def _read(path: Path | None, http_client: Any) -> _Read:
    loaded = Loaded(Config(), "no configuration file")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loaded = discover() if path is None else Loaded.from_file(path)
            setup = Setup(loaded)
            drill = setup.drill()
            connections = Connections(http_client, loaded.config.http.ca_file, loaded.config.http.engine)
        except ConfigError as problem:
            todo = "put it right; nothing else was looked at"
            return _Read(Check("configuration", "fail", problem.message, todo), loaded)
    doubts = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    return _Read(configuration_check(loaded, doubts), loaded, setup, connections, drill)
