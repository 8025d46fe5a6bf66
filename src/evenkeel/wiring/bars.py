"""The present's market: closed bars of an exchange kept in the archive, and quotes polled from it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from evenkeel import archive
from evenkeel.config import Config
from evenkeel.engine.live import Touches
from evenkeel.errors import FeedError, NotReadyError, StoppedError
from evenkeel.market.panel import panel as make_panel
from evenkeel.types import Array, Pair, Panel
from evenkeel.units import duration
from evenkeel.venues.candles import CandleSource
from evenkeel.wiring.quoted import Quoted
from evenkeel.wiring.settings import BENCHMARK, origin_at
from evenkeel.wiring.waiting import wait

Symbols = Mapping[str, tuple[str, int]]
"""asset -> the exchange's symbol, price factor."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Closed bars of the exchange, kept in the archive, from the origin on.

    The origin is the beginning of the month that holds `history.days` ago, unless one is declared: it moves twelve
    times a year, every slot records which one it used, and a service that runs for years keeps its size.

    pairs  all that may be held; those without a symbol here are `quoted`: the trading venue's ticker is their source
    """

    config: Config
    home: Path
    pairs: tuple[Pair, ...]
    symbols: Symbols
    source: CandleSource
    stop: threading.Event
    quoted: Quoted | None = None

    def bring(self, until: int) -> Panel:
        """All bars closed by `until`, fetched; waits `schedule.bar_wait` for the benchmark's newest one.

        Raises FeedError while the exchange cannot be had or there is no bar.
        """
        deadline = time.monotonic() + self.config.schedule.bar_wait
        while True:
            self._download(until)
            self._watch(until)
            panel = self.stored(until)
            benchmark = panel.close[panel.time == self._newest(until), panel.assets.index(BENCHMARK)]
            if (benchmark.size and np.isfinite(benchmark).all()) or time.monotonic() > deadline:
                return panel
            wait(self.stop, 1.0)

    def stored(self, until: int) -> Panel:
        """Those of the archive. Raises FeedError while it has none."""
        feed, origin = self.config.feed, origin_at(self.config, until)
        listed = [pair for pair in self.pairs if pair.asset in self.symbols]
        try:
            panel, missing = archive.load(self.home, feed.exchange, feed.bar, listed, origin, self._newest(until))
        except NotReadyError as error:
            raise FeedError(f"{feed.exchange} has no closed {duration(feed.bar)} bars of the universe") from error
        if self.quoted is None:
            return _padded(panel, self.pairs, missing)
        return self.quoted.laid(_padded(panel, self.pairs, (*missing, *self.quoted.assets)))

    def _newest(self, until: int) -> int:
        return until - until % self.config.feed.bar

    def _download(self, until: int) -> None:
        feed = self.config.feed
        names = [symbol for symbol, _ in self.symbols.values()]
        stored = archive.spans(self.home, feed.exchange, feed.bar)
        ranges = archive.plan_ranges(stored, names, feed.bar, origin_at(self.config, until), until)
        self.source.download(ranges, feed.bar, self._append, self._check)

    def _watch(self, until: int) -> None:
        """Whoever brings bars in also watches those that nobody else makes."""
        if self.quoted is not None:
            self.quoted.watch(self.stop)
            self.quoted.keep(self._newest(until))

    def _append(self, symbol: str, rows: Array) -> None:
        archive.append(self.home, self.config.feed.exchange, self.config.feed.bar, symbol, rows)

    def _check(self, *_: object) -> None:
        if self.stop.is_set():
            raise StoppedError("asked to stop while downloading bars")


def _padded(panel: Panel, pairs: Sequence[Pair], missing: Sequence[str]) -> Panel:
    """The panel with a NaN column for every pair that has no bar yet, so that assets stand as configured."""
    if not missing:
        return panel
    at = [panel.assets.index(p.asset) if p.asset not in missing else -1 for p in pairs]

    def wide(x: Array) -> Array:
        return np.where(np.array(at) >= 0, x[:, at], np.nan)

    names = tuple(p.asset for p in pairs)
    prices = (wide(panel.open), wide(panel.high), wide(panel.low), wide(panel.close), wide(panel.volume))
    return make_panel(panel.time, names, *prices, panel.bar_s)


def poller(config: Config, symbols: Symbols, stop: threading.Event) -> Callable[[], Touches]:
    """Quotes of all assets in one call; a connection for each lane that asks, so that none waits for another."""
    free: queue.LifoQueue[CandleSource] = queue.LifoQueue()

    def poll() -> Touches:
        try:
            asked = free.get_nowait()
        except queue.Empty:
            asked = source(config, stop)
        try:
            found = asked.best_bid_ask([symbol for symbol, _ in symbols.values()])
        finally:
            free.put(asked)
        return {
            asset: (found[symbol].bid / factor, found[symbol].ask / factor, found[symbol].time)
            for asset, (symbol, factor) in symbols.items()
            if symbol in found
        }

    return poll


def with_quoted(poll: Callable[[], Touches], quoted: Quoted | None) -> Callable[[], Touches]:
    """Quotes of the exchange and, of what it does not list, of the trading venue."""
    return poll if quoted is None else lambda: {**poll(), **quoted.poll()}


def source(config: Config, stop: threading.Event) -> CandleSource:
    """The configured exchange; `stop` ends its waits with StoppedError."""
    feed = config.feed
    hosts, pause = feed.hosts or None, partial(wait, stop)
    return CandleSource(feed.exchange, hosts=hosts, timeout_s=feed.timeout_s, sleep=pause)
