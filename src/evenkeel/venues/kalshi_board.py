"""What does Kalshi quote, as a board? The venue's markets with the fees and the events that they share.

The law: a market that is not understood in all its parts stands on the board and is never `active`; what neither
tells of fees stays unknown. Nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from evenkeel.errors import VenueError
from evenkeel.events.board import series_of
from evenkeel.types import Board, Contract
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_rows import Market
from evenkeel.venues.kalshi_terms import Series

COINS: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE")
TERMS_S: Final = 60
"""So long terms of a fee are believed before they are asked for again."""
DOUBTED: Final = "doubted"
"""Status of a market that is not traded because of what it says."""
_DECIDED_EARLY: Final = frozenset({"structured", "custom", "functional"})


def asset_of(series: str) -> str:
    """The coin that a series is about: BTC of KXBTC, KXBTCD and KXBTC15M; `` for any other series."""
    name = series.removeprefix("KX").removesuffix("15M")
    return next((coin for coin in COINS if name in {coin, f"{coin}D"}), "")


def contract_of(market: Market, series: Series, *, exclusive: bool, seen: int | None = None) -> Contract:
    """One market as a contract. seen  UTC s when the quote was true."""
    return Contract(
        ticker=market.ticker,
        event=market.event,
        asset=asset_of(series.ticker),
        kind=market.strike,
        floor=None if market.floor is None else float(market.floor),
        cap=None if market.cap is None else float(market.cap),
        expiry=ends_of(market) // 1000,
        yes_bid=market.yes_bid,
        yes_ask=market.yes_ask,
        bid_size=market.bid_size or Decimal(0),
        ask_size=market.ask_size or Decimal(0),
        ticks=tuple((part.start, part.end, part.step) for part in market.grid),
        fee_type=series.fee or "",
        fee_multiplier=series.multiplier,
        status=DOUBTED if market.doubts else market.status,
        seen=seen,
        exclusive=exclusive,
        fractional=market.fractional,
    )


class Fees:
    """Series with the fees that hold for a market now: a scheduled change counts from its time on. One thread."""

    def __init__(self, market: Kalshi, clock: Callable[[], float]) -> None:
        """Nothing is asked yet. clock  UTC s."""
        self._market, self._clock = market, clock
        self._known: dict[str, tuple[float, Series]] = {}

    def of(self, market: Market) -> Series:
        """Its series, with what its event says otherwise, no older than a minute. Raises as `Kalshi` does."""
        now = self._clock()
        self._known = {event: one for event, one in self._known.items() if 0 <= now - one[0] < TERMS_S}
        if market.event not in self._known:
            series = self._market.series(series_of(market.ticker))
            self._known[market.event] = now, self._market.event(market.event).own.over(series)
        return self._known[market.event][1]


def ends_of(market: Market) -> int:
    """When trading ends, UTC ms. What closes when it is decided (a game) has its close days later: then as expected."""
    expected = market.expected if market.expected is not None else market.occurs
    early = market.early and market.strike in _DECIDED_EARLY
    return expected if early and expected is not None else market.closes


def board(market: Kalshi, series: Sequence[str], time: int) -> tuple[Board, tuple[str, ...]]:
    """Every open market of these series at `time` (UTC s), and what could not be read. Two calls a series or more.

    Raises VenueError and VenueUnknownError: a series that cannot be had whole is no part of a board.
    """
    contracts: list[Contract] = []
    unread: list[str] = []
    for name in series:
        family = market.series(name)
        for event in market.events(name, "open", nested=True):
            terms = event.own.over(family)
            contracts += [contract_of(row, terms, exclusive=event.exclusive, seen=time) for row in event.markets]
            unread += event.unread
    return Board(time, tuple(contracts)), tuple(unread)


def coins(market: Kalshi, time: int) -> Board:
    """Open ladders of the five coins, ranges and thresholds, at `time` (UTC s).

    A series that the venue does not know or refuses is left out: that coin has fewer contracts. Raises
    VenueUnknownError, and VenueError where it refuses them all.
    """
    contracts: list[Contract] = []
    refused: VenueError | None = None
    for name in (f"KX{coin}{kind}" for coin in COINS for kind in ("", "D")):
        try:
            contracts += board(market, [name], time)[0].contracts
        except VenueError as error:
            refused = error
    if refused is not None and not contracts:
        raise refused
    return Board(time, tuple(contracts))
