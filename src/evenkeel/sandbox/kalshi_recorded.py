"""Boards as they were captured, in the place of a synthetic world: listings, quotes and results from a file.

Sizes are not in such files and are made up; a market whose result is not there is never settled.
Source: `kalshi_crypto_hourly` of the shared data.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from evenkeel.errors import UsageError
from evenkeel.sandbox.kalshi_boards import Levels, Listing, Print, draw, snapped


@dataclass(frozen=True, slots=True)
class _Captured:
    listing: Listing
    times: tuple[int, ...]
    quotes: tuple[tuple[float, float], ...]
    outcome: tuple[str, str] | None


class Recorded:
    """Boards from a file: tidy columns as `kalshi_crypto_hourly` has them. Sizes are not in it and are made up."""

    def __init__(self, path: Path, seed: int) -> None:
        """Read it all. Raises UsageError for a file that is none."""
        self._path, self._seed = path, seed
        self._markets: Mapping[str, _Captured] = {one.listing.ticker: one for one in _captured(path)}

    @cached_property
    def span(self) -> tuple[int, int]:
        """First opening and last close, UTC s."""
        found = [one.listing for one in self._markets.values()]
        return min(listing.opens for listing in found), max(listing.closes for listing in found)

    def listings(self, since: float, until: float) -> list[Listing]:
        """Markets that are not over by `since` and opened by `until`."""
        found = (one.listing for one in self._markets.values())
        live = [listing for listing in found if listing.closes > since and listing.opens <= until]
        return sorted(live, key=lambda listing: (listing.closes, listing.ticker))

    def listing(self, ticker: str) -> Listing | None:
        """One market."""
        return self._markets[ticker].listing if ticker in self._markets else None

    def bids(self, listing: Listing, at: int) -> tuple[Levels, Levels]:
        """The newest capture by then: one level a side."""
        known = self._markets[listing.ticker]
        row = bisect_right(known.times, at) - 1
        if row < 0:
            return {}, {}
        bid, ask = known.quotes[row]
        count = Decimal(5 + int(100 * draw(self._seed, listing.ticker, row)))
        yes, no = (None if math.isnan(p) else snapped(p, listing.grid, ROUND_FLOOR) for p in (bid, 1 - ask))
        return ({} if yes is None else {yes: count}), ({} if no is None else {no: count})

    def prints(self, listing: Listing, at: int) -> Print | None:  # noqa: ARG002 - nobody recorded them
        """None."""
        return None

    def outcome(self, listing: Listing) -> tuple[str, str] | None:
        """As the venue settled it; None where the file does not tell."""
        return self._markets[listing.ticker].outcome


_COLUMNS: Final = (
    "ticker", "event_ticker", "series", "strike_type", "floor_strike", "cap_strike", "result", "expiration_value",
    "open_time", "close_time", "captured_at", "yes_bid", "yes_ask",
)  # fmt: skip


def _captured(path: Path) -> Iterator[_Captured]:
    import pandas as pd  # noqa: PLC0415 - only who replays a file needs it

    try:
        frame = pd.read_parquet(path, columns=list(_COLUMNS)).sort_values(["ticker", "captured_at"])
        for name in ("open_time", "close_time", "captured_at"):
            frame[name] = frame[name].dt.as_unit("s").astype("int64")
        rows = zip(*(frame[name].tolist() for name in _COLUMNS), strict=True)
        for _, captures in groupby(rows, key=lambda row: row[0]):
            yield _market(list(captures))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"boards of {path} cannot be read ({type(error).__name__}: {error})") from error


def _market(captures: Sequence[tuple[Any, ...]]) -> _Captured:
    """The captures of one market, in time."""
    ticker, event, series, strike, floor, cap, result, value, opens, closes = captures[-1][:10]
    listing = Listing(
        ticker, event, series, series[2:5], ticker, strike, _strike(floor), _strike(cap), opens, closes
    )  # fmt: skip
    times, bids, asks = (tuple(row[at] for row in captures) for at in (10, 11, 12))
    outcome = (str(result), str(value)) if result in ("yes", "no") else None
    return _Captured(listing, times, tuple(zip(bids, asks, strict=True)), outcome)


def _strike(strike: float) -> float | None:
    return None if math.isnan(strike) else float(strike)
