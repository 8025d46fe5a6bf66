"""A request to the sandbox's Kalshi that was let in, and how lists are cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenkeel.sandbox.kalshi_orders import Refusal
from evenkeel.sandbox.kalshi_venue import Venue

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in. params  of the query, in order · place  what stood in the path."""

    now: float
    params: Sequence[tuple[str, str]]
    place: Mapping[str, str]
    body: Mapping[str, Any]
    scope: Mapping[str, Any]

    def get(self, name: str, otherwise: str = "") -> str:
        """The last value of a parameter."""
        return dict(self.params).get(name, otherwise)

    def time(self, name: str, otherwise: float) -> float:
        """A parameter in UTC s. Raises Refusal 400."""
        text = self.get(name)
        if text and not text.isdecimal():
            raise Refusal(400, "invalid_parameters", f"{name} has to be a whole number of seconds")
        return float(text) if text else otherwise


Answering = Callable[[Venue, Call], Json]


def page(call: Call, name: str, rows: Iterable[Any], most: int, write: Callable[[Any], Json]) -> Json:
    """One page of rows, of which only these are written down."""
    limit = call.get("limit", str(min(most, 100)))
    cursor = call.get("cursor", "0") or "0"
    if not limit.isdecimal() or not 0 <= int(limit) <= most or not cursor.isdecimal():
        raise Refusal(400, "invalid_parameters", f"limit is 0 to {most}, cursor what the venue gave")
    found, begin = list(rows), int(cursor)
    end = begin + (int(limit) or 100)
    return {name: [write(row) for row in found[begin:end]], "cursor": str(end) if end < len(found) else ""}
