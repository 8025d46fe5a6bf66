"""What the desk sees: Kalshi's public boards of the series it trades, and the prices of their underlyings.

Fees come from the series or its event, exclusivity from the event, both from the venue. The laws: a quote is as old as
the call that brought it; what cannot be read is left out and told; no price is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from evenkeel.events.fair import Spot
from evenkeel.types import Board, Contract
from evenkeel.venues import kalshi_board
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_board import Fees, contract_of

Spots = Callable[[Collection[str], int], Mapping[str, Spot]]
"""Prices and volatilities of coins at a time (UTC s); a coin that cannot be had is left out. May raise FeedError."""
_AT_ONCE = 40


class Boards:
    """The public market as the desk needs it. Not for several threads at once.

    series   that are looked at · tickers  only these of them; none = all
    clock    UTC s now: when a quote was brought
    unread   what the last board had that could not be read
    """

    def __init__(
        self,
        market: Kalshi,
        series: Sequence[str],
        spots: Spots,
        clock: Callable[[], float],
        tickers: Collection[str] = (),
    ) -> None:
        """Nothing is asked yet."""
        self._market, self._series, self._tickers = market, tuple(series), frozenset(tickers)
        self._spots, self._clock = spots, clock
        self._fees = Fees(market, clock)
        self.unread: tuple[str, ...] = ()

    def board(self, time: int) -> Board:
        """Everything open in the series. Raises VenueError, VenueUnknownError."""
        found, self.unread = kalshi_board.board(self._market, self._series, time)
        seen = int(self._clock())
        rows = tuple(
            replace(row, seen=seen) for row in found.contracts if not self._tickers or row.ticker in self._tickers
        )
        return Board(max(time, seen), rows)

    def contracts(self, tickers: Collection[str], time: int) -> tuple[Contract, ...]:
        """These markets now, whether or not they are still open; one that the venue has no more is left out."""
        names, found = sorted(tickers), []
        for at in range(0, len(names), _AT_ONCE):
            rows = self._market.markets(tickers=names[at : at + _AT_ONCE]).rows
            found += [contract_of(row, self._fees.of(row), exclusive=False, seen=time) for row in rows]
        return tuple(found)

    def spots(self, assets: Collection[str], time: int) -> Mapping[str, Spot]:
        """What is known of the coins. Raises FeedError."""
        return self._spots(assets, time)
