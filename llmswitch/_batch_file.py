"""The files of a batch: requests are read line by line, results are written as they come, and what is done is known."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any, Self

from ._bulk import read_request
from ._errors import InvalidRequest
from ._json import JSONInvalid, dumps, loads
from .doors._door import Asked, Door

__all__ = ["BadLine", "BatchFileError", "BatchOutput", "Line", "read_lines"]

_GROUP = 64  # lines that are synced to the disk together, at the most
_SECONDS = 0.5  # and for how long a line waits for that
_TORN = b'{"id":'  # how each line of ours begins


class BatchFileError(Exception):
    """A file of a batch can't be used; nothing was asked. The message says which, and what to do."""


@dataclass(slots=True, frozen=True)
class Line:
    """
    One request of the input. `id`: the caller's own, or else made of the line's number and content. `asked`: the same
    as a door read it, where it is in the form of a vendor's batches; it names a model of that vendor's.
    """

    number: int
    id: str
    request: Mapping[str, Any]
    asked: Asked | None = None

    def __repr__(self) -> str:
        return f"Line({self.number}, {self.id!r})"


@dataclass(slots=True, frozen=True)
class BadLine:
    """A line that holds no request, and why. `id` is made of its number and content: its own may be another's."""

    number: int
    id: str
    message: str


def read_lines(path: Path, door: Door) -> Iterator[Line | BadLine]:
    """
    Every line of the input that is not blank; `door` reads those with a `body`. Raises `BatchFileError` where the file
    can't be read.
    """
    seen: set[str] = set()
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                text = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if text.strip():
                    line = _read(number, text.strip(), door)
                    if isinstance(line, Line) and line.id in seen:
                        line = BadLine(number, _made_id(number, text.strip()), "its id is that of a line before it")
                    seen.add(line.id)
                    yield line
    except OSError as problem:
        raise BatchFileError(f"{path} can't be read: {problem.strerror}") from None


def _made_id(number: int, text: bytes) -> str:
    """Of number and content: a line that was changed between two runs is another one."""
    return f"{number}-{sha256(text).hexdigest()[:12]}"


def _read(number: int, text: bytes, door: Door) -> Line | BadLine:
    made = _made_id(number, text)
    try:
        fields = loads(text.decode(), unique=True)
    except UnicodeDecodeError:
        return BadLine(number, made, "not UTF-8")
    except JSONInvalid as problem:
        return BadLine(number, made, str(problem))
    if not isinstance(fields, dict):
        return BadLine(number, made, "not a JSON object")
    if "custom_id" in fields:
        return _read_body(number, made, fields, door)
    try:
        name, _, _ = read_request(fields)
    except InvalidRequest as problem:
        return BadLine(number, made, problem.message)
    fields["id"] = name or made
    return Line(number, fields["id"], fields)


def _read_body(number: int, made: str, fields: Mapping[str, Any], door: Door) -> Line | BadLine:
    """A line in the form of a vendor's batches: an HTTP request, of which the body is what counts."""
    name = fields["custom_id"]
    if not isinstance(name, str) or not name:
        return BadLine(number, made, "custom_id must be a string that is not empty")
    if fields.get("method") != "POST" or not str(fields.get("url")).endswith(door.path):
        return BadLine(number, made, f"of requests with `custom_id`, only those are read that POST to {door.path}")
    try:
        asked = door.read(fields.get("body"))
    except InvalidRequest as problem:
        return BadLine(number, made, f"body: {problem.message}")
    if asked.stream:
        return BadLine(number, made, "body: stream is not for a batch; leave it out")
    return Line(number, name, {**asked.options, "id": name, "messages": asked.messages}, asked)


class BatchOutput:
    """
    The results in `path`, the failures in a file beside it, and a lock while they are written.

    `done`: ids that have their result. `failed`: ids that have failed and have none. `with` opens it, which cuts off a
    line that a killed run has torn. Raises `BatchFileError` where the files are not those of a batch, or another run
    has them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed_path = path.with_name(f"{path.stem}.failed{path.suffix or '.jsonl'}")
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self._lock = _Lock(path.with_name(f"{path.name}.lock"))
        self._files: dict[Path, IO[bytes]] = {}
        self._unsynced = 0
        self._synced = monotonic()

    def __enter__(self) -> Self:
        try:
            self._lock.take()
            try:
                self.done.update(_resume(self.path))
                self.failed.update(_resume(self.failed_path))
                self._tidy()
                self._file(self.path)
            except BaseException:
                self._lock.release()
                raise
        except OSError as problem:
            raise BatchFileError(f"{problem.filename or self.path} can't be used: {problem.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._sync()
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._tidy()
        finally:
            self._lock.release()

    def answered(self, name: str, line: int, reply: Mapping[str, Any]) -> None:
        """Write the result of a request down. Raises `OSError`, after which nothing more must be written."""
        self._write(self.path, {"id": name, "line": line, **reply})
        self.done.add(name)
        self.failed.discard(name)

    def refused(self, name: str, line: int, failure: Mapping[str, Any]) -> None:
        """Write down that a request has failed. Raises `OSError`, after which nothing more must be written."""
        self._write(self.failed_path, {"id": name, "line": line, **failure})
        self.failed.add(name)

    def _write(self, path: Path, fields: Mapping[str, Any]) -> None:
        left = memoryview(dumps(fields) + b"\n")
        file = self._file(path)
        while left:
            left = left[file.write(left) :]
        self._unsynced += 1
        if self._unsynced >= _GROUP or monotonic() - self._synced >= _SECONDS:
            self._sync()

    def _file(self, path: Path) -> IO[bytes]:
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = path.open("ab", buffering=0)  # what is written outlives the process
        return file

    def _sync(self) -> None:
        if self._unsynced:
            for file in self._files.values():
                os.fsync(file.fileno())
        self._unsynced, self._synced = 0, monotonic()

    def _tidy(self) -> None:
        """Leave of the failures the last of each request that has no result; the file is replaced whole or not."""
        self.failed -= self.done
        if not self.failed_path.exists():
            return
        last = dict(_entries(self.failed_path))
        kept = [place for name, place in last.items() if name in self.failed]
        if not kept:
            self.failed_path.unlink()
        elif sum(1 for _ in _entries(self.failed_path)) > len(kept):
            _keep(self.failed_path, kept)


def _keep(path: Path, places: Collection[int]) -> None:
    """Leave of the file the lines that begin at these places."""
    beside = path.with_name(f"{path.name}.new")
    with path.open("rb") as old, beside.open("wb") as new:
        for place in sorted(places):
            old.seek(place)
            new.write(old.readline())
        new.flush()
        os.fsync(new.fileno())
    beside.replace(path)


def _entries(path: Path) -> Iterator[tuple[str, int]]:
    """The id of each whole line and the place where the line begins. Raises `BatchFileError` for a file not ours."""
    place = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                return
            try:
                fields = loads(raw)
            except JSONInvalid:
                fields = None
            ours = (
                isinstance(fields, dict) and isinstance(fields.get("id"), str) and isinstance(fields.get("line"), int)
            )
            if not ours:
                raise BatchFileError(
                    f"{path}: line {number} is not the result of a batch, so nothing is added to it; name another file"
                )
            yield fields["id"], place
            place += len(raw)


def _resume(path: Path) -> Iterable[str]:
    """The ids that a file has. A last line that was torn is cut off."""
    if not path.exists():
        return ()
    names = [name for name, _ in _entries(path)]
    with path.open("r+b") as file:
        whole = _end_of_lines(file)
        file.seek(whole)
        torn = file.read(len(_TORN))
        if torn and torn != _TORN[: len(torn)]:
            raise BatchFileError(f"{path} is not the result of a batch, so nothing is added to it; name another file")
        if torn:
            file.truncate(whole)
            os.fsync(file.fileno())
    return names


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last line that is whole ends."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        start = max(0, at - 65536)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


class _Lock:
    """One run at a time. The lock is the system's, so that it ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Raises `BatchFileError` where another process has it."""
        while True:
            file = self._path.open("ab")
            try:
                _lock(file)
            except OSError:
                file.close()
                raise BatchFileError(
                    f"another run is writing to {self._path.name.removesuffix('.lock')}: wait for its end, "
                    "or name another file"
                ) from None
            if self._still(file):
                self._file = file
                return
            file.close()  # who had it before has removed the file meanwhile

    def _still(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let the next run have it."""
        if self._file is not None:
            if sys.platform != "win32":  # there a file that is open can't be removed
                self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
