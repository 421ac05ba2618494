"""The fields of a client's JSON, taken one by one, so that what nobody took is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from llmswitch._errors import InvalidRequest

__all__ = ["Fields", "objects", "refuse"]


def refuse(where: str, why: str) -> NoReturn:
    """Raises `InvalidRequest` that names the field."""
    error = InvalidRequest(f"{where}: {why}", field=where)
    raise error


class Fields:
    """An object of JSON. `where` is its place in the request, for messages. Nothing of its values is ever quoted."""

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, Mapping):
            refuse(where or "body", "must be a JSON object")
        self._left = dict(value)
        self._where = where

    def at(self, name: str) -> str:
        """The place of a field."""
        return f"{self._where}.{name}" if self._where else name

    def take(self, name: str, *kinds: type) -> Any:
        """The value, or `None` where it is not there or null. Raises `InvalidRequest` where it is of no such kind."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            refuse(self.at(name), f"must be {' or '.join(_SAID[kind] for kind in kinds)}")
        return value

    def need(self, name: str, *kinds: type) -> Any:
        """The same of a field that has to be there."""
        value = self.take(name, *kinds)
        if value is None:
            refuse(self.at(name), "is required")
        return value

    def ignore(self, *names: str) -> None:
        """Fields that change nothing here."""
        for name in names:
            self._left.pop(name, None)

    def done(self, why: str = "can't be said to the targets behind this address; leave it out") -> None:
        """Raises `InvalidRequest` for a field that nobody took; a null says nothing."""
        for name, value in self._left.items():
            if value is not None:
                refuse(self.at(str(name)[:64]), why)


def objects(values: object, where: str) -> Iterator[tuple[Fields, str]]:
    """The objects of a list, each with its place. Raises `InvalidRequest`."""
    if not isinstance(values, list):
        refuse(where, "must be a list")
    for index, value in enumerate(values):
        place = f"{where}[{index}]"
        yield Fields(value, place), place


_SAID = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
