"""What the configuration says of telemetry: the hooks that it wants beside those of the program."""

from __future__ import annotations

from ._config_file import Loaded
from ._errors import ConfigError
from ._hooks import Hooks, Several

__all__ = ["hooks_of"]


def hooks_of(loaded: Loaded, given: Hooks | None) -> Hooks:
    """
    The program's hooks, and where the configuration switches OpenTelemetry on, its own beside them; nothing of it is
    loaded otherwise. Raises `ConfigError` where it is not installed.
    """
    config = loaded.config.telemetry
    if not config.otel:
        return given or Hooks()
    from . import otel

    if given is not None and otel.watched(given):
        return given  # the program's word on what is recorded, and where to
    try:
        own = otel.hooks(content=config.content)
    except ImportError as problem:
        said = str(problem)
    else:
        return own if given is None else Several(given, own)
    raise ConfigError(f"{loaded.source}: telemetry.otel: {said}")
