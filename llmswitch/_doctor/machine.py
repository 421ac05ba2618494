"""What concerns this machine and the whole configuration, rather than one provider."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from llmswitch._config import HTTPConfig
from llmswitch._config_file import Loaded
from llmswitch._drill import Drill
from llmswitch._errors import ConfigError
from llmswitch._proxies import EnvironmentProxies
from llmswitch._version import __version__

from .report import Check

__all__ = ["configuration_check", "drill_check", "machine_checks"]

_EXTRA = re.compile(r"""^([A-Za-z0-9._-]+).*;\s*extra\s*==\s*["']([^"']+)["']""")
_FOR_DEVELOPMENT = frozenset({"test", "slow", "bench", "lint"})
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")


def machine_checks(config: HTTPConfig) -> Iterator[Check]:
    """The versions, the extras, the proxies of the environment and the data about time zones."""
    facts = {"llmswitch": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    yield Check("versions", "ok", "llmswitch {llmswitch}, Python {python}, {system}".format(**facts), facts=facts)
    yield _extras(config)
    yield _environment_proxies(config)
    try:
        ZoneInfo("Asia/Shanghai")
        yield Check("time zones", "ok", "there is data about them")
    except ZoneInfoNotFoundError:
        yield Check(
            "time zones", "warn", "there is no data about them, which limits and budgets may need", "pip install tzdata"
        )


def configuration_check(loaded: Loaded, doubts: list[str]) -> Check:
    """Where the configuration was found, and what was warned of while it was read."""
    config = loaded.config
    facts = {"source": loaded.source, "chains": len(config.chains), "providers": len(config.providers)}
    if loaded.source == "no configuration file":
        said = "none was found: the providers whose keys are in the environment are used"
        return Check("configuration", "ok", said, "`llmswitch init` writes one", facts)
    words = f"{loaded.source}: chains: {len(config.chains)}, tables of providers: {len(config.providers)}"
    if doubts:
        return Check("configuration", "warn", f"{words}; {'; '.join(doubts)}", "chmod 600 the file", facts)
    return Check("configuration", "ok", words, facts=facts)


def drill_check(drill: Drill) -> Check:
    """That an outage is rehearsed: the lines of these providers are."""
    todo = "what is said of them is rehearsed too; unset LLMSWITCH_DRILL, or take [drill] out, to see them as they are"
    return Check("drill", "warn", str(drill), todo, {"drill": str(drill)})


def _extras(config: HTTPConfig) -> Check:
    """Which of the extras are installed, whole."""
    packages: dict[str, list[str]] = {}
    for requirement in requires("llmswitch") or ():
        found = _EXTRA.match(requirement)
        if found is not None and found[2] not in _FOR_DEVELOPMENT:
            packages.setdefault(found[2], []).append(found[1])
    there = sorted(name for name, needed in packages.items() if all(map(_installed, needed)))
    missing = sorted(packages.keys() - there)
    engine = f"{config.engine} {_installed(config.engine) or 'missing'}"
    said = f"HTTP by {engine}; extras: {', '.join(there) or 'none'}"
    facts = {"engine": config.engine, "installed": there, "missing": missing}
    if _installed(config.engine) is None:
        return Check("packages", "fail", said, f"pip install 'llmswitch[{config.engine}]'", facts)
    return Check("packages", "ok", said, facts=facts)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _environment_proxies(config: HTTPConfig) -> Check:
    names = [name for name in _PROXIES if os.environ.get(name, "").strip()]
    facts = {"variables": names, "trust_env": config.trust_env}
    if not config.trust_env:
        used = f"{', '.join(names)} set, and not used: trust_env is off" if names else "no proxy in the environment"
        todo = "trust_env = true under [http], where the vendors are to be reached that way" if names else ""
        return Check("environment", "ok", used, todo, facts)
    try:
        EnvironmentProxies()
    except ConfigError as problem:
        return Check("environment", "fail", problem.message, "put the variable right", facts)
    used = f"trust_env is on: {', '.join(names)}" if names else "trust_env is on, and no proxy is set"
    return Check("environment", "ok", used, facts=facts)
