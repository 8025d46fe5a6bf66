"""JSON for human eyes, cheap enough to be written at every commit.

What fits on a line, every row of scalars and whatever lies five levels deep (an intent of an open slot) stands on one
line; what is longer is indented. Memory changes little
between two commits, so the lines of its frozen rows (positions, slots, days) are kept and written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evenkeel.store.codec import dumps, field_encoders, to_json
from evenkeel.types import DayMark, Memory, Position, SlotOutcome

_WIDTH = 160
_DEEPEST = 10
_SCALARS = (str, int, float, bool, type(None))
_TYPES = frozenset(_SCALARS)
_FROZEN_ROWS = (DayMark, Position, SlotOutcome)


def layout(value: Any, indent: int = 0) -> bytes:
    """JSON bytes of a value; its first line is indented by whoever calls."""
    flat = dumps(value)
    if len(flat) <= _WIDTH or indent >= _DEEPEST or not isinstance(value, dict | list | tuple):
        return flat
    if isinstance(value, dict):
        if _plain(value.values()):
            return flat
        return _braces((dumps(str(key)) + b": " + layout(item, indent + 2) for key, item in value.items()), indent)
    if _plain(value):
        return flat
    return _brackets((layout(item, indent + 2) for item in value), indent)


def _plain(children: Iterable[Any]) -> bool:
    """Whether there are scalars only; their types are looked at first, which is quick."""
    return _TYPES.issuperset(map(type, children)) or all(isinstance(child, _SCALARS) for child in children)


def _braces(rows: Iterable[bytes], indent: int) -> bytes:
    step = b"\n" + b" " * (indent + 2)
    return b"{" + step + (b"," + step).join(rows) + step[:-2] + b"}"


def _brackets(rows: Iterable[bytes], indent: int) -> bytes:
    step = b"\n" + b" " * (indent + 2)
    return b"[" + step + (b"," + step).join(rows) + step[:-2] + b"]"


class MemoryLayout:
    """Renders Memory again and again, and remembers the lines of rows that are the very same objects as last time."""

    def __init__(self, kind: type[Memory] = Memory) -> None:
        self._encoders = field_encoders(kind)
        self._lines: dict[int, tuple[Any, bytes]] = {}

    def render(self, memory: Memory, indent: int = 2) -> bytes:
        """JSON bytes of the memory, equal to `layout(to_json(memory), indent)` but for the breaking of lines."""
        lines: dict[int, tuple[Any, bytes]] = {}
        rows = []
        for name, encoder in self._encoders:
            value = getattr(memory, name)
            body = self._rows(value, indent + 2, lines)
            rows.append(dumps(name) + b": " + (layout(encoder(value), indent + 2) if body is None else body))
        self._lines = lines
        return _braces(rows, indent)

    def _rows(self, value: Any, indent: int, lines: dict[int, tuple[Any, bytes]]) -> bytes | None:
        """Lines of a collection of frozen rows; None for anything else."""
        if isinstance(value, tuple) and value and isinstance(value[0], _FROZEN_ROWS):
            return _brackets(self._kept(value, lines), indent)
        if isinstance(value, Mapping) and value and isinstance(next(iter(value.values())), _FROZEN_ROWS):
            kept = self._kept(value.values(), lines)
            return _braces([b'"%s": %s' % (_key(key), line) for key, line in zip(value, kept, strict=True)], indent)
        return None

    def _kept(self, rows: Iterable[Any], lines: dict[int, tuple[Any, bytes]]) -> list[bytes]:
        """Each row's line, written anew only where the row is another object than last time."""
        before, found = self._lines, []
        for row in rows:
            known = before.get(id(row))
            if known is None or known[0] is not row:
                known = (row, dumps(to_json(row)))
            lines[id(row)] = known
            found.append(known[1])
        return found


def _key(key: str) -> bytes:
    return dumps(str(key))[1:-1]
