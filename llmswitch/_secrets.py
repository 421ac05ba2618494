"""Keys: where they come from, what they may look like, and how they are kept out of everything that is written."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ._errors import ConfigError

__all__ = ["Secret", "scrub"]

_LEGAL = re.compile(r"[\x21-\x7e]{1,4096}")
_MASK = "[secret]"
_known: dict[str, None] = {}  # every spelling of every key that was loaded, for scrub()


class Secret:
    """
    A key. Its repr, text and pickle are a mask; `reveal()` is called once, where the request's headers are written.

    Raises `ConfigError`, which never holds the value, for a key that is empty or can't stand in a header.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        trimmed = value.strip()
        if trimmed.lower().startswith("bearer "):
            raise ConfigError(f"{source}: the key begins with 'Bearer '; give the key alone")
        if not trimmed:
            raise ConfigError(f"{source} is empty; it must hold the key")
        if not _LEGAL.fullmatch(trimmed):
            raise ConfigError(
                f"{source}: the key holds a space, a line break or another character that can't stand in a header; "
                "was more than the key copied?"
            )
        if trimmed != value:
            warnings.warn(f"{source}: spaces or line breaks around the key were ignored", UserWarning, stacklevel=2)
        self._value = trimmed
        self.source = source
        if len(trimmed) >= 8:  # shorter ones are placeholders, and would punch holes into ordinary words
            for spelling in (trimmed, quote(trimmed, safe=""), base64.b64encode(trimmed.encode()).decode()):
                _known[spelling] = None

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def fingerprint(self, origin: str) -> str:
        """Tells accounts apart without telling the key: 16 hex digits of an HMAC over the origin."""
        return hmac.new(self._value.encode(), origin.encode(), hashlib.sha256).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret can't be pickled: load it again from where it came")

    @classmethod
    def from_environment(cls, name: str) -> Secret | None:
        """From an environment variable; `None` where it is not set."""
        value = os.environ.get(name)
        return None if value is None else cls(value, f"environment variable {name}")

    @classmethod
    def from_file(cls, path: str) -> Secret:
        """From a file that holds the key alone. Warns where others can read it."""
        file = Path(path).expanduser()
        try:
            mode = file.stat().st_mode
            value = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "not text"
            raise ConfigError(f"the key file {path} can't be read: {reason}") from None
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            warnings.warn(f"the key file {path} can be read by other users; chmod 600 it", UserWarning, stacklevel=3)
        return cls(value.rstrip("\r\n"), f"key file {path}")

    @classmethod
    def from_command(cls, command: Sequence[str]) -> Secret:
        """From the first line that a program prints. It is run without a shell and may take 30 seconds."""
        import subprocess

        source = f"key command {command[0]}"
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command, from a file that he named himself
                list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
            )
        except FileNotFoundError:
            raise ConfigError(f"{source}: no such program") from None
        except (OSError, subprocess.TimeoutExpired):
            raise ConfigError(f"{source}: did not finish within 30 seconds, or could not be run") from None
        if done.returncode != 0:
            raise ConfigError(f"{source}: exited with status {done.returncode}")
        lines = done.stdout.decode("utf-8", errors="replace").splitlines()
        return cls(lines[0] if lines else "", source)


def scrub(text: str) -> str:
    """The text without any key that this process has loaded, in any of its spellings."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, _MASK)
    return text
