"""What the annotations of a dataclass say: names for people, types, units, ranges; values <-> words.

Generic over any tree of frozen dataclasses; knows no section by name.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen

from evenkeel.units import Key, duration, iso, plain

_WORDS = {bool: "true or false", int: "whole number", float: "number", Decimal: "decimal number", str: "text"}
_SIGNS = ((Ge, "ge", "at least"), (Gt, "gt", "more than"), (Le, "le", "at most"), (Lt, "lt", "less than"))


@dataclass(frozen=True, slots=True)
class Hint:
    """A type annotation taken apart.

    base      the bare type: int, Literal[..], tuple[..], Mapping[..], a dataclass
    marks     what `Annotated` carries beside it
    optional  whether null is allowed
    """

    base: Any
    marks: tuple[Any, ...]
    optional: bool

    @property
    def key(self) -> Key:
        """The `Key` among the marks; an empty one if there is none."""
        return next((mark for mark in self.marks if isinstance(mark, Key)), Key(""))

    @property
    def duration(self) -> bool:
        """Whether people may write `15m`."""
        return self.base is int and self.key.unit == "s"

    @property
    def moment(self) -> bool:
        """Whether people write a date."""
        return self.base is int and self.key.unit == "UTC"

    @property
    def annotated(self) -> Any:
        """The bare type with its marks again, for validation."""
        return Annotated[(self.base, *self.marks)] if self.marks else self.base


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key that can be set, with its place and its default."""

    path: str
    hint: Hint
    default: Any


def hint_of(annotation: Any) -> Hint:
    """Take an annotation apart, also `Annotated[X | None, ..]` and `Annotated[X, ..] | None`."""
    marks: tuple[Any, ...] = ()
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            marks = (*annotation.__metadata__, *marks)
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, types.UnionType):
            arms = [arm for arm in get_args(annotation) if arm is not type(None)]
            optional = optional or len(arms) < len(get_args(annotation))
            if len(arms) > 1:
                return Hint(annotation, marks, optional)
            annotation = arms[0]
        else:
            return Hint(annotation, marks, optional)


def keys_of(section: Any) -> Mapping[str, tuple[str, Hint]]:
    """People's key -> (field name, hint) of a dataclass, in the order of its fields."""
    return _keys_of(section)


@cache
def _keys_of(section: Any) -> Mapping[str, tuple[str, Hint]]:
    hints = get_type_hints(section, include_extras=True)
    return {str(f.metadata.get("key", f.name)): (f.name, hint_of(hints[f.name])) for f in fields(section)}


def leaves(section: Any, prefix: str = "") -> Iterator[Leaf]:
    """Every key below an instance, nested sections walked; its values are the defaults."""
    for key, (name, hint) in keys_of(type(section)).items():
        value = getattr(section, name)
        if is_dataclass(hint.base) and value is not None:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield Leaf(f"{prefix}{key}", hint, value)


def bounds(hint: Hint) -> dict[str, Any]:
    """Lower and upper bounds by their names: ge, gt, le, lt, min_length, max_length."""
    marks: list[Any] = []
    for mark in hint.marks:
        marks.extend(mark if isinstance(mark, GroupedMetadata) else (mark,))
    found = {name: getattr(mark, name) for mark in marks for kind, name, _ in _SIGNS if isinstance(mark, kind)}
    for mark in marks:
        if isinstance(mark, MinLen) and mark.min_length:
            found["min_length"] = mark.min_length
        elif isinstance(mark, MaxLen):
            found["max_length"] = mark.max_length
    return found


def type_words(hint: Hint) -> str:
    """What a person has to write, such as `whole number` or `list of text`."""
    base = hint.base
    if hint.duration:
        words = "duration such as 15m"
    elif hint.moment:
        words = "date such as 2025-07-01"
    elif get_origin(base) is Literal:
        words = "one word"
    elif get_origin(base) is tuple:
        words = f"list of {type_words(hint_of(get_args(base)[0]))}"
    elif get_origin(base) is not None and issubclass(get_origin(base), Mapping):
        words = f"mapping of name to {type_words(hint_of(get_args(base)[1]))}"
    elif is_dataclass(base):
        words = "mapping of keys"
    else:
        words = _WORDS.get(base, str(getattr(base, "__name__", base)))
    return f"{words}, or null" if hint.optional else words


def range_words(hint: Hint) -> str:
    """The range of a key in words; empty if everything of its type is allowed."""
    if get_origin(hint.base) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint.base)))
    found = bounds(hint)
    if hint.moment and found.get("ge") == 0:
        del found["ge"]
    if {"ge", "le"} <= found.keys():
        return f"{_bound(found['ge'], hint)} to {_bound(found['le'], hint)}"
    words = [f"{word} {_bound(found[name], hint)}" for _, name, word in _SIGNS if name in found]
    if found.get("min_length"):
        words.append("not empty" if found["min_length"] == 1 else f"at least {found['min_length']} long")
    if "max_length" in found:
        words.append(f"at most {found['max_length']} long")
    if not words:
        inner = [hint_of(part) for part in get_args(hint.base) if part is not Ellipsis]
        return f"each {range_words(inner[-1])}" if inner and range_words(inner[-1]) else ""
    return " and ".join(words)


def _bound(limit: Any, hint: Hint) -> str:
    if hint.moment:
        return iso(limit)
    if hint.duration:
        return duration(int(limit))
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:,g}" if isinstance(limit, float) else str(limit)


def people(value: Any, hint: Hint) -> Any:
    """A value as people write it: `15m`, an ISO time, plain decimals, lists; nested sections as mappings."""
    base = hint.base
    if value is None or isinstance(value, bool):
        return value
    if is_dataclass(value):
        return {key: people(getattr(value, name), inner) for key, (name, inner) in keys_of(type(value)).items()}
    if isinstance(value, Mapping):
        inner = hint_of((*get_args(base), Any)[1] if get_args(base) else Any)
        return {str(name): people(item, inner) for name, item in value.items()}
    if isinstance(value, tuple):
        inner = hint_of((*get_args(base), Any)[0])
        return [people(item, inner) for item in value]
    if isinstance(value, Decimal):
        return plain(value)
    if hint.moment:
        return iso(value)
    return duration(value) if hint.duration else value
