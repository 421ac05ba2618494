"""
What a process knows of the records in the store, and which of them the store has still to be given.

It belongs to the thread that talks to the store, so it needs no lock. It does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ._store import Record, Subject

__all__ = ["Ledger", "News", "Told"]


@dataclass(slots=True, frozen=True)
class Told:
    """
    What happened in this process at `at` (local seconds); `until` is `None` for what is over. `anew`: something ended
    just before it, or with it, so that what was known no longer counts.
    """

    at: float
    until: float | None = None
    reason: str = ""
    transient: bool = True
    times: int = 0
    anew: bool = False


@dataclass(slots=True, frozen=True)
class News:
    """A record that others wrote. `anew`: what was known before is over, even where it would have lasted longer."""

    subject: Subject
    record: Record
    anew: bool


@dataclass(slots=True)
class Ledger:
    """`offset` seconds lead from the local clock to the store's; nothing can be written before it is known."""

    offset: float | None = None
    known: dict[Subject, Record] = field(default_factory=dict)
    unwritten: dict[Subject, None] = field(default_factory=dict)
    _seen: dict[Subject, tuple[bytes | str, Record | None]] = field(default_factory=dict)  # so as to read it once

    def forked(self) -> Ledger:
        """For a forked child: what is to be written is the parent's."""
        return Ledger(known=dict(self.known), _seen=dict(self._seen))

    def read(
        self, subjects: Sequence[Subject], raws: Sequence[bytes | str | None], clock: int, now: float
    ) -> list[News]:
        """
        Take in what the store has at `clock`, its milliseconds; what is new in it. What the store has lost, or has an
        older state of, it is given again. Of what is not asked about any longer nothing is remembered.
        """
        self.offset = clock / 1000 - now
        asked = set(subjects)
        for subject in [each for each, record in self.known.items() if record.kept <= clock or each not in asked]:
            del self.known[subject]
        for subject in self._seen.keys() - asked:
            del self._seen[subject]
        news = []
        for subject, raw in zip(subjects, raws, strict=True):
            known, before = self.known.get(subject), self._seen.get(subject)
            if raw is None:
                self._seen.pop(subject, None)
                if known is not None:
                    self.unwritten[subject] = None
                continue
            record = before[1] if before is not None and before[0] == raw else Record.load(raw)
            self._seen[subject] = raw, record
            if known is not None and known.beats(record):
                self.unwritten[subject] = None
            elif record is not None and record.beats(known):
                self.known[subject] = record
                self.unwritten.pop(subject, None)
                news.append(News(subject, record, anew=known is None or record.epoch > known.epoch))
        return news

    def note(self, told: Mapping[Subject, Told]) -> None:
        """What happened here is to be written, unless the store has something that says more."""
        for subject, event in told.items():
            before = self.known.get(subject)
            epoch = (before.epoch if before is not None else 0) + event.anew
            since = self.theirs(event.at)
            if event.until is None:
                record = Record(epoch, since, 0, times=event.times)
            else:
                until = self.theirs(event.until)
                record = Record(epoch, since, until, event.reason, event.transient, event.times)
            if record.beats(before):
                self.known[subject] = record
                self.unwritten[subject] = None

    def batch(self, names: Mapping[Subject, str], most: int, now: float) -> list[tuple[Subject, str, Record]]:
        """What is to be written next, under which name."""
        clock = self.theirs(now)
        batch = []
        for subject in list(islice(self.unwritten, most)):
            record, name = self.known.get(subject), names.get(subject)
            if record is None or record.kept <= clock or name is None:
                del self.unwritten[subject]
            else:
                batch.append((subject, name, record))
        return batch

    def written(self, batch: Iterable[tuple[Subject, str, Record]]) -> None:
        """The store has these."""
        for subject, _, _ in batch:
            self.unwritten.pop(subject, None)

    def theirs(self, moment: float) -> int:
        """A local moment by the store's clock, in milliseconds."""
        assert self.offset is not None
        return round((moment + self.offset) * 1000)
