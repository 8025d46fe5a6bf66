"""Books that a stream keeps while a desk lives beside it, and whether REST would have given the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from desk.world import SEED
from evenkeel.sandbox import kalshi_keys
from evenkeel.sandbox.app import Sandbox
from evenkeel.sandbox.kalshi_venue import Venue
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_book import Book
from evenkeel.venues.kalshi_stream import BookSeen, Heard, Lost, connecting, follow
from evenkeel.venues.kalshi_wire import Credentials


@dataclass(frozen=True, slots=True)
class Kept:
    """What was heard, in its order."""

    heard: list[Heard]

    @property
    def lost(self) -> int:
        """How often books were not known any more."""
        return sum(isinstance(event, Lost) for event in self.heard)

    def now(self) -> dict[str, Book]:
        """Every book that is known now."""
        known: dict[str, Book] = {}
        for event in list(self.heard):
            if isinstance(event, Lost):
                known.clear()
            if isinstance(event, BookSeen):
                known[event.book.ticker] = event.book
        return known


@contextmanager
def kept(url: str, box: Sandbox, tickers: Sequence[str]) -> Iterator[Kept]:
    """Follow the books of markets, open or to come, from a thread of its own while the block runs."""
    address = f"{url.replace('http', 'ws', 1)}/kalshi/trade-api/ws/v2"
    account = Credentials(kalshi_keys.key_id(SEED), kalshi_keys.pem(SEED))
    over, heard = threading.Event(), list[Heard]()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(
            follow, lambda: connecting(address, account, box.clock.now), tickers, heard.append, stopped=over.is_set,
            sleep=lambda s: over.wait(s / 10), rng=np.random.default_rng(3), clock=time.monotonic,
            channels=("orderbook_delta",),
        )  # fmt: skip
        try:
            yield Kept(heard)
        finally:
            over.set()
        job.result()


def listed(venue: Venue, since: int, until: int, every: int) -> list[str]:
    """A market near the money every so many seconds."""
    found = []
    for at in range(since, until + 1, every):
        ladder = [one.ticker for one in venue.world.listings(at, at) if one.series == "KXBTCD"]
        found.append(ladder[len(ladder) // 2])
    return sorted(set(found))


def compared(venue: Venue, heard: Sequence[Heard]) -> int:
    """Each book that the next message confirmed is the one that REST gave at its moment; -> how many there were.

    The last change of a moment makes its book whole; that none was left out after it, the next number says.
    """
    last = {
        (event.book.ticker, event.time): at
        for at, event in enumerate(heard)
        if isinstance(event, BookSeen) and event.time
    }
    confirmed = [key for key, at in last.items() if at + 1 < len(heard) and not isinstance(heard[at + 1], Lost)]
    for ticker, time_ms in confirmed:
        listing = venue.world.listing(ticker)
        assert listing is not None
        event = heard[last[ticker, time_ms]]
        assert isinstance(event, BookSeen)
        assert event.book == Book(ticker, *venue.book(listing, time_ms / 1000)), (ticker, time_ms)
    return len(confirmed)


def whole_again(public: Kalshi, box: Sandbox, kept: Kept) -> None:
    """Nothing strikes any more: what is open soon stands as REST has it."""
    box.faults.replace(())
    box.clock.advance(10)
    open_ = [market.ticker for market in public.markets(status="open", series="KXBTCD").rows]
    end = time.monotonic() + 30
    while time.monotonic() < end:
        known = kept.now()
        found = {ticker: book for ticker, book in known.items() if ticker in open_}
        if found and found == {ticker: public.book(ticker) for ticker in found}:
            return
        time.sleep(0.02)
    raise AssertionError(f"books differ from REST's: {found}")
