"""One field of a Kalshi object as a number, text or time: exact, or VenueUnknownError; nothing is ever filled in.

Dollars and counts travel as text (`"0.5600"`, `"10.00"`): a JSON number in their place is the retired cent format, or a
mistake, and is not believed. Times are UTC ms. Source: specs/kalshi.md section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from evenkeel.errors import VenueUnknownError

Row = Mapping[str, Any]
T = TypeVar("T")

_FIXED = re.compile(r"-?\d{1,13}(\.\d{1,6})?")


def fixed(row: Row, name: str) -> Decimal:
    """A decimal that travels as text. Raises VenueUnknownError if it is missing, a JSON number, or no decimal."""
    return _fixed(field(row, name), name)


def maybe_fixed(row: Row, name: str) -> Decimal | None:
    """As `fixed`; None where the field is missing, null or empty text."""
    value = row.get(name)
    return None if value is None or value == "" else _fixed(value, name)


def number(row: Row, name: str) -> Decimal:
    """A JSON number, exactly. Raises VenueUnknownError."""
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or abs(Decimal(value)) >= Decimal("1e13"):
        raise VenueUnknownError(f"{name} is no number")
    return Decimal(value)


def maybe_number(row: Row, name: str) -> Decimal | None:
    """As `number`; None where the field is missing or null."""
    return None if row.get(name) is None else number(row, name)


def whole(row: Row, name: str) -> int:
    """A JSON integer. Raises VenueUnknownError."""
    value = field(row, name)
    if type(value) is not int:
        raise VenueUnknownError(f"{name} is no whole number")
    return value


def text(row: Row, name: str) -> str:
    """A text that is not empty. Raises VenueUnknownError."""
    value = field(row, name)
    if not isinstance(value, str) or not value:
        raise VenueUnknownError(f"{name} is no text")
    return value


def maybe_text(row: Row, name: str) -> str:
    """A text; `` where it is missing, null or something else. Only for what nothing is decided by."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def truth(row: Row, name: str) -> bool:
    """True or false. Raises VenueUnknownError."""
    value = field(row, name)
    if not isinstance(value, bool):
        raise VenueUnknownError(f"{name} is neither true nor false")
    return value


def time_ms(row: Row, name: str) -> int:
    """UTC ms of an ISO time with its zone. Raises VenueUnknownError."""
    value = text(row, name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise VenueUnknownError(f"{name} is no time") from None
    if moment.tzinfo is None:
        raise VenueUnknownError(f"{name} is a time without its zone")
    return round(moment.timestamp() * 1000)


def maybe_time_ms(row: Row, name: str) -> int | None:
    """As `time_ms`; None where the field is missing, null or empty."""
    return None if row.get(name) in (None, "") else time_ms(row, name)


def one_of(row: Row, name: str, known: frozenset[str]) -> str:
    """A word that we know. Raises VenueUnknownError for any other."""
    word = text(row, name)
    if word not in known:
        raise VenueUnknownError(f"{name} {word[:40]!r} is a word that we do not know")
    return word


def child(row: Row, name: str) -> Row:
    """An object inside. Raises VenueUnknownError."""
    return an_object(field(row, name), name)


def rows(row: Row, name: str) -> Sequence[Row]:
    """The objects of a list; null is an empty one. Raises VenueUnknownError where it is missing or holds another."""
    return [an_object(item, name) for item in items(row, name)]


def items(row: Row, name: str) -> Sequence[Any]:
    """What a list holds; null is an empty one. Raises VenueUnknownError where it is missing or no list."""
    value = field(row, name, null=True)
    if value is None:
        return []
    if not isinstance(value, list):
        raise VenueUnknownError(f"{name} is no list")
    return value


def each(row: Row, name: str, read: Callable[[Row], T]) -> tuple[T, ...]:
    """Every object of a list, read; one that cannot be read spoils the whole. Raises VenueUnknownError."""
    return tuple(read(item) for item in rows(row, name))


def an_object(value: Any, name: str) -> Row:
    """The value, which has to be an object. Raises VenueUnknownError."""
    if not isinstance(value, Mapping):
        raise VenueUnknownError(f"{name} is no object")
    return value


def field(row: Row, name: str, *, null: bool = False) -> Any:
    """The value under a name. Raises VenueUnknownError where it is missing, or null unless that is allowed."""
    if name not in row or (row[name] is None and not null):
        raise VenueUnknownError(f"{name} is missing")
    return row[name]


def _fixed(value: Any, name: str) -> Decimal:
    if not isinstance(value, str) or not _FIXED.fullmatch(value):
        raise VenueUnknownError(f"{name} is no decimal written as text")
    return Decimal(value)
