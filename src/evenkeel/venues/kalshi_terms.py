"""What does a trade at Kalshi cost, by the venue's own word? The fee of a series, and of an event that says otherwise.

The law: a kind of fee that we do not know is no fee that can be computed, wherever it is said. Terms are those of the
moment at which they were asked for. Source: specs/kalshi.md sections 4 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from evenkeel.errors import VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_fields import Row

FEES: Final = frozenset({"quadratic", "quadratic_with_maker_fees", "flat"})


@dataclass(frozen=True, slots=True)
class Series:
    """A family of events. fee  one of `FEES`, None = unknown kind, not traded · multiplier  of the fee."""

    ticker: str
    title: str
    category: str
    frequency: str
    fee: str | None
    multiplier: Decimal | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What an event says of fees instead of its series; None = nothing. A kind of `` is one that we do not know."""

    kind: str | None = None
    multiplier: Decimal | None = None

    def over(self, series: Series) -> Series:
        """The series with the fee that holds for this event."""
        return replace(
            series,
            fee=series.fee if self.kind is None else self.kind or None,
            multiplier=series.multiplier if self.multiplier is None else self.multiplier,
        )


def series_of(row: Row) -> Series:
    """A series; a kind of fee that we do not know is None."""
    kind = fields.maybe_text(row, "fee_type")
    return Series(
        fields.text(row, "ticker"), fields.maybe_text(row, "title"), fields.maybe_text(row, "category"),
        fields.maybe_text(row, "frequency"), kind if kind in FEES else None, _multiplier(row, "fee_multiplier"),
    )  # fmt: skip


def own_terms(row: Row) -> Terms:
    """What an event overrides; null or missing = it does not."""
    kind = row.get("fee_type_override")
    known = None if kind in (None, "") else kind if kind in FEES else ""
    return Terms(known, _multiplier(row, "fee_multiplier_override"))


def _multiplier(row: Row, name: str) -> Decimal | None:
    found = fields.maybe_number(row, name)
    if found is not None and found < 0:
        raise VenueUnknownError(f"{name} is {found}")
    return found
