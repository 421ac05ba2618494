"""Answers in a file of SQLite's, which processes of one machine may share."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from ._cache_folder import cache_folder
from ._cache_key import SCHEMA
from ._config import CacheConfig
from ._errors import ConfigError
from ._log import warn
from ._stored_answers import AnswerStore

if TYPE_CHECKING:
    import sqlite3

__all__ = ["DiskAnswers", "disk_opener"]

FILE = f"answers-{SCHEMA}.sqlite3"
_BUSY = 0.2  # seconds that another process's writing is waited for
_PAGES = ("page_count", "freelist_count", "page_size")
_MADE = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, made REAL NOT NULL, answer BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_age ON answers (made);
"""
_OLDEST = """
DELETE FROM answers WHERE rowid IN
  (SELECT rowid FROM answers ORDER BY made LIMIT (SELECT max(1, count(*) / 10) FROM answers))
"""


class DiskAnswers:
    """
    Answers in a file of that folder, for its owner alone: for `ttl` seconds, in `most` bytes; the oldest go first.

    What is broken begins anew. Raises what sqlite3 raises, and `OSError`.
    """

    def __init__(self, folder: Path, ttl: float, most: int, wall: Callable[[], float] = time) -> None:
        self._path = folder / FILE
        self._ttl = ttl
        self._most = most
        self._wall = wall
        self._open: sqlite3.Connection | None = None

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """`AnswerStore.read`."""

        def found(db: sqlite3.Connection) -> list[bytes | None]:
            return [self._found(db, key) for key in keys]

        return self._do(found) or [None] * len(keys)

    def _found(self, db: sqlite3.Connection, key: str) -> bytes | None:
        row = db.execute("SELECT made, answer FROM answers WHERE key = ?", (key,)).fetchone()
        # one from the future was made by another clock: nobody knows how old it is
        return row[1] if row is not None and 0 <= self._wall() - row[0] < self._ttl else None

    def write(self, answers: Sequence[tuple[str, bytes]]) -> None:
        """`AnswerStore.write`, in one transaction."""
        now = self._wall()
        rows = [(key, now, answer) for key, answer in answers if len(answer) <= self._most // 4]

        def written(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM answers WHERE made NOT BETWEEN ? AND ?", (now - self._ttl, now))
                for row in rows:
                    while _size(db) + len(row[2]) > self._most and db.execute(_OLDEST).rowcount:
                        pass
                    db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", row)

        self._do(written)

    def clear(self) -> None:
        """`AnswerStore.clear`; nothing of them is left in the file."""

        def emptied(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM answers")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        self._do(emptied)

    def close(self) -> None:
        """`AnswerStore.close`."""
        db, self._open = self._open, None
        if db is not None:
            db.close()

    def _do(self, what: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do it; `None` where the file turns out to be broken. After any other failure it is opened anew."""
        import sqlite3

        try:
            if self._open is None:
                self._open = self._opened()
            return what(self._open)
        except sqlite3.Error as problem:
            self.close()
            if problem.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
        for end in ("", "-wal", "-shm"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)
        warn("the cache in %s was broken, and begins anew", self._path)
        return None

    def _opened(self) -> sqlite3.Connection:
        import sqlite3

        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(self._path)
        db = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
        try:
            db.execute("PRAGMA auto_vacuum = FULL")  # first: it is of a file that has nothing in it yet
            db.execute("PRAGMA secure_delete = ON")  # what is over is not left lying in free pages
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # a lost answer is asked for again
            db.execute(f"PRAGMA journal_size_limit = {self._most}")
            db.executescript(_MADE)
        except BaseException:
            db.close()
            raise
        return db

    def __repr__(self) -> str:
        return f"DiskAnswers({self._path})"


def _size(db: sqlite3.Connection) -> int:
    """Bytes that are in use."""
    pages, free, size = (db.execute(f"PRAGMA {what}").fetchone()[0] for what in _PAGES)
    return int((pages - free) * size)


def _own(path: Path) -> None:
    """
    Make the file if need be, for its owner alone. Raises `PermissionError` for somebody else's, who could put words
    into the models' mouths.

    One that is there is not opened: closing it again would take away the locks of this process's other connections.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    if os.name != "posix":
        return
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "not a file of this user's", str(path))
    if found.st_mode & 0o077:
        path.chmod(0o600)


def disk_opener(config: CacheConfig, where: str) -> Callable[[], AnswerStore]:
    """What opens the file, or makes it. Raises `ConfigError` where there is no place for it."""
    try:
        import sqlite3  # noqa: F401 - some builds of Python lack it
    except ImportError:
        raise ConfigError(f'{where}: this Python has no sqlite3; choose kind = "memory" or "redis"') from None
    usual = cache_folder()
    folder = Path(config.path).expanduser() if config.path is not None else usual and usual / "answers"
    if folder is None:
        raise ConfigError(f"{where}: there is no home folder to keep answers in: set path")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{where}.path: is the folder to keep answers in; what is there is a file")
    return lambda: DiskAnswers(folder, config.ttl, config.max_bytes)
