"""Keys: where they come from, what they may look like, and how they are kept out of everything that is written."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ._errors import ConfigError, KeyMissing
from ._scrub import remember

if TYPE_CHECKING:
    from ._config import KeyReference

__all__ = ["Secret", "insist"]

_LEGAL = re.compile(r"[\x21-\x7e]{1,4096}")
_MOST = 8192  # bytes of a key file that are read


class Secret:
    """
    A key. Its repr, text and pickle are a mask; `reveal()` is called once, where the request's headers are written.

    Raises `KeyMissing` where it is empty and `ConfigError` where it can't stand in a header. Neither holds the value,
    and no frame that they come from does, for there are tools that write down the local variables of a traceback.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str) -> None:
        trimmed = value.strip()
        padded = trimmed != value
        problem = _problem(trimmed)
        self._value = trimmed if problem is None else ""
        self.source = source
        del value, trimmed
        if problem is not None:
            raise (KeyMissing if problem.startswith(" is empty") else ConfigError)(source + problem)
        remember(self._value)
        password = _password(self._value)
        if password:
            remember(password)
            del password
        if padded:
            warnings.warn(f"{source}: spaces or line breaks around the key were ignored", UserWarning, stacklevel=2)

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def fingerprint(self, origin: str) -> str:
        """Tells accounts apart without telling the key: 16 hex digits of an HMAC over the origin."""
        return hmac.new(self._value.encode(), origin.encode(), hashlib.sha256).hexdigest()[:16]

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose, which does not tell this one: an HMAC, 32 bytes."""
        return hmac.new(self._value.encode(), purpose.encode(), hashlib.sha256).digest()

    def is_long(self, least: int) -> bool:
        """Whether it has so many characters."""
        return len(self._value) >= least

    def __repr__(self) -> str:
        return f"Secret({self.source})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret can't be pickled: load it again from where it came")

    @classmethod
    def read(cls, reference: KeyReference, *, strict: bool = False, what: str = "key") -> Secret:
        """From where a configuration says that it is. Raises `KeyMissing`, or `ConfigError` where it can't be one."""
        if reference.file is not None:
            return cls.from_file(reference.file, strict=strict)
        if reference.command is not None:
            return cls.from_command(reference.command)
        assert reference.env is not None
        secret = cls.from_environment(reference.env)
        if secret is None:
            raise KeyMissing(f"the environment variable {reference.env} is not set; it must hold the {what}")
        return secret

    @classmethod
    def from_environment(cls, name: str) -> Secret | None:
        """From an environment variable; `None` where it is not set."""
        return cls(os.environ[name], f"environment variable {name}") if name in os.environ else None

    @classmethod
    def from_file(cls, path: str, *, strict: bool = False) -> Secret:
        """
        From a file that holds the key alone.

        Warns where others can read it, or where it is a link that leads out of its folder; `strict` refuses those.
        """
        return cls(_file_text(path, strict=strict), f"key file {path}")

    @classmethod
    def from_command(cls, command: Sequence[str]) -> Secret:
        """From the first line that a program prints. It is run without a shell and may take 30 seconds."""
        source = f"key command {command[0]}"
        return cls(_first_line(command, source), source)


def insist(said: str, *, strict: bool) -> None:
    """Warn of a file that holds a secret; `ConfigError` where the configuration is strict."""
    if strict:
        raise ConfigError(f"{said} (strict = true makes this an error)")
    warnings.warn(said, UserWarning, stacklevel=4)


def _problem(trimmed: str) -> str | None:
    if not trimmed:
        return " is empty; it must hold the key"
    if trimmed.lower().startswith("bearer "):
        return ": the key begins with 'Bearer '; give the key alone"
    if not _LEGAL.fullmatch(trimmed):
        return (
            ": the key holds a space, a line break or another character that can't stand in a header; "
            "was more than the key copied?"
        )
    return None


def _password(value: str) -> str | None:
    """The password in a secret that is an address."""
    try:
        found = urlsplit(value).password if "://" in value else None
    except ValueError:
        return None
    return unquote(found) if found else None


def _file_text(path: str, *, strict: bool) -> str:
    try:
        file = Path(path).expanduser()
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_MOST).decode("utf-8").rstrip("\r\n")
        folder, leads_to = file.parent.resolve(), file.resolve()
        problem = None
    except FileNotFoundError:
        problem = "no such file"
    except (OSError, RuntimeError, UnicodeDecodeError) as found:  # RuntimeError: there is no home for a ~
        problem = (found.strerror if isinstance(found, OSError) else None) or "not a text file"
    if problem is not None:
        raise (KeyMissing if problem == "no such file" else ConfigError)(
            f"the key file {path} can't be read: {problem}"
        )
    said = None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        said = f"the key file {path} can be read by other users; chmod 600 it"
    elif not leads_to.is_relative_to(folder):
        said = f"the key file {path} is a link that leads out of its folder, to {leads_to}; name that file itself"
    if said is not None:
        if strict:
            del text
        insist(said, strict=strict)
    return text


def _first_line(command: Sequence[str], source: str) -> str:
    import subprocess

    problem, printed = None, b""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, from a file that he named himself
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
        problem = f"exited with status {done.returncode}" if done.returncode else None
        printed = b"" if done.returncode else done.stdout
        del done
    except FileNotFoundError:
        problem = "no such program"
    except (OSError, subprocess.SubprocessError):
        problem = "did not finish within 30 seconds, or could not be run"
    if problem is not None:
        raise ConfigError(f"{source}: {problem}")
    return next(iter(printed.decode("utf-8", errors="replace").splitlines()), "")
