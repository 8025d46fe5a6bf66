"""build(config, ...) -> Engine: the one place that knows which parts make which mode.

Everything below gets its parts as arguments and never asks what it is part of.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel import archive, artifacts
from evenkeel.config import Config, find, load_universe, shipped
from evenkeel.decide import Rules
from evenkeel.engine.live import LiveFeed, Touches
from evenkeel.engine.ports import Broker, Feed
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.errors import ConfigError, FeedError, NoEvidenceError, NotReadyError, StateError, StoppedError
from evenkeel.market import features, synthetic
from evenkeel.market.panel import panel as make_panel
from evenkeel.signals import alpha, policy
from evenkeel.signals.view import Signals, SignalSettings, compute
from evenkeel.types import Array, Brain, Identity, Memory, Pair, Panel
from evenkeel.units import DAY_S, duration, iso
from evenkeel.venues.candles import CandleSource
from evenkeel.venues.sim import PaperVenue, Tape

BENCHMARK = "BTC"


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs slots: feed and broker, rules and brain, and whose state it keeps.

    The broker is opened last, once it is known that the state belongs to it. `clock` is the present moment, UTC s,
    while a slot of a time is at work: that time itself where the clock is virtual.
    """

    identity: Identity
    origin: int
    feed: Feed
    open_broker: Callable[[], Broker]
    brain: Brain
    rules: Rules
    cadence: Cadence
    missing: tuple[str, ...]
    clock: Callable[[int], float] = float

    def memory(self, config_digest: str) -> Memory:
        """The memory of a new run."""
        return Memory(identity=self.identity, origin=self.origin, config_digest=config_digest)


def build(
    config: Config,
    home: Path,
    digest: str,
    *,
    durable: bool = True,
    panel: Panel | None = None,
    brain: Brain | None = None,
) -> Engine:
    """Parts of a run over past bars (archive or embedded market) with the paper venue.

    durable  keep the paper account in `state/paper.db`; False keeps it in memory (back-tests)
    panel    bars to run over instead of the configured feed's · brain  models to use instead of those in use
    Raises NotReadyError or DataError when the market data is not there or cannot be used.
    """
    start, end = window(config)
    origin = config.history.start if config.history.start is not None else start - config.history.days * DAY_S
    missing: tuple[str, ...] = ()
    if panel is None:
        panel, missing = market(config, home, origin, end)
    pairs = _of(universe(config, home), panel.assets)
    brain = brain or brain_of(config, home)
    feed = Replay(_signals(panel, brain, config, start))
    vault = home / "state" / "paper.db" if durable else None
    identity = Identity("paper", "paper", "virtual", f"{iso(start)}..{iso(end)} {digest[:12]}")
    return Engine(
        identity=identity,
        origin=int(panel.time[0]) - panel.bar_s,
        feed=feed,
        open_broker=lambda: paper(config, feed, pairs, vault),
        brain=brain,
        rules=rules_of(config, pairs),
        cadence=cadence(config),
        missing=missing,
    )


def build_live(config: Config, home: Path, stop: threading.Event) -> Engine:
    """Parts of a dry run on live public data: candles and quotes of an exchange, orders to the paper venue.

    stop  ends every wait
    Raises ConfigError when the feed is not a live one or the exchange lists no pair of the universe.
    """
    if config.feed.kind != "ccxt":
        raise ConfigError(
            f"feed.kind is {config.feed.kind}: a real clock needs feed.kind ccxt, or set clock.kind=virtual"
        )
    symbols = {
        p.asset: p.symbols[config.feed.exchange] for p in universe(config, home) if config.feed.exchange in p.symbols
    }
    pairs = tuple(pair for pair in universe(config, home) if pair.asset in symbols)
    if BENCHMARK not in symbols:
        raise ConfigError(f"feed.exchange {config.feed.exchange}: {BENCHMARK} is not listed there for this universe")
    bars = _Bars(config, home, pairs, symbols, _source(config, stop), stop)
    brain = brain_of(config, home)
    feed = LiveFeed(
        bring=bars.bring,
        stored=bars.stored,
        poll=_poller(config, symbols, stop),
        pause=lambda: _wait(stop, config.feed.confirm_s),
        now=time.time,
        brain=brain,
        settings=signal_settings(config),
    )
    vault = home / "state" / "paper.db"
    return Engine(
        identity=Identity("paper", "paper", "real", ""),
        origin=origin_at(config, int(time.time())),
        feed=feed,
        open_broker=lambda: paper(config, feed, pairs, vault),
        brain=brain,
        rules=rules_of(config, pairs),
        cadence=cadence(config),
        missing=tuple(p.asset for p in universe(config, home) if p.asset not in symbols),
        clock=lambda _: time.time(),
    )


Symbols = Mapping[str, tuple[str, int]]
"""asset -> the exchange's symbol, price factor."""


@dataclass(frozen=True, slots=True)
class _Bars:
    """Closed bars of the exchange, kept in the archive, from the origin on.

    The origin is the beginning of the month that holds `history.days` ago, unless one is declared: it moves twelve
    times a year, every slot records which one it used, and a service that runs for years keeps its size.
    """

    config: Config
    home: Path
    pairs: tuple[Pair, ...]
    symbols: Symbols
    source: CandleSource
    stop: threading.Event

    def bring(self, until: int) -> Panel:
        """All bars closed by `until`, fetched; waits `schedule.bar_wait` for the benchmark's newest one.

        Raises FeedError while the exchange cannot be had or there is no bar.
        """
        deadline = time.monotonic() + self.config.schedule.bar_wait
        while True:
            self._download(until)
            panel = self.stored(until)
            benchmark = panel.close[panel.time == self._newest(until), panel.assets.index(BENCHMARK)]
            if (benchmark.size and np.isfinite(benchmark).all()) or time.monotonic() > deadline:
                return panel
            _wait(self.stop, 1.0)

    def stored(self, until: int) -> Panel:
        """Those of the archive. Raises FeedError while it has none."""
        feed, origin = self.config.feed, origin_at(self.config, until)
        try:
            panel, missing = archive.load(self.home, feed.exchange, feed.bar, self.pairs, origin, self._newest(until))
        except NotReadyError as error:
            raise FeedError(f"{feed.exchange} has no closed {duration(feed.bar)} bars of the universe") from error
        return _padded(panel, self.pairs, missing)

    def _newest(self, until: int) -> int:
        return until - until % self.config.feed.bar

    def _download(self, until: int) -> None:
        feed = self.config.feed
        names = [symbol for symbol, _ in self.symbols.values()]
        stored = archive.spans(self.home, feed.exchange, feed.bar)
        ranges = archive.plan_ranges(stored, names, feed.bar, origin_at(self.config, until), until)
        self.source.download(ranges, feed.bar, self._append, self._check)

    def _append(self, symbol: str, rows: Array) -> None:
        archive.append(self.home, self.config.feed.exchange, self.config.feed.bar, symbol, rows)

    def _check(self, *_: object) -> None:
        if self.stop.is_set():
            raise StoppedError("asked to stop while downloading bars")


def _wait(stop: threading.Event, seconds: float) -> None:
    """Sleep that ends with StoppedError when the program is asked to stop."""
    if stop.wait(seconds):
        raise StoppedError("asked to stop while waiting")


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


def _poller(config: Config, symbols: Symbols, stop: threading.Event) -> Callable[[], Touches]:
    """Quotes of all assets in one call; a connection for each lane that asks, so that none waits for another."""
    free: queue.LifoQueue[CandleSource] = queue.LifoQueue()

    def poll() -> Touches:
        try:
            source = free.get_nowait()
        except queue.Empty:
            source = _source(config, stop)
        try:
            found = source.best_bid_ask([symbol for symbol, _ in symbols.values()])
        finally:
            free.put(source)
        return {
            asset: (found[symbol].bid / factor, found[symbol].ask / factor, found[symbol].time)
            for asset, (symbol, factor) in symbols.items()
            if symbol in found
        }

    return poll


def _source(config: Config, stop: threading.Event) -> CandleSource:
    feed = config.feed
    hosts, pause = feed.hosts or None, partial(_wait, stop)
    return CandleSource(feed.exchange, hosts=hosts, timeout_s=feed.timeout_s, sleep=pause)


def origin_at(config: Config, time_s: int) -> int:
    """Where the history begins that a slot at `time_s` is computed from: declared, or a month's first moment."""
    if config.history.start is not None:
        return config.history.start
    past = datetime.fromtimestamp(time_s - config.history.days * DAY_S, UTC)
    return int(past.replace(day=1, hour=0, minute=0, second=0).timestamp())


def window(config: Config) -> tuple[int, int]:
    """First and last moment of the virtual clock. Raises ConfigError when there is none."""
    if config.clock.start is None or config.clock.end is None:
        raise ConfigError("clock.from and clock.to are not set: give both, such as --set clock.from=2025-07-01")
    return config.clock.start, config.clock.end


def universe(config: Config, home: Path) -> tuple[Pair, ...]:
    """Pairs that may be held. Raises ConfigError where the benchmark is not among them."""
    pairs = load_universe(find(Path(config.universe.file), home), config.universe)
    if BENCHMARK not in {pair.asset for pair in pairs}:
        raise ConfigError(f"universe: {BENCHMARK} is not in it, and every signal needs it: add it to universe.only")
    return pairs


def market(config: Config, home: Path, origin: int, end: int) -> tuple[Panel, tuple[str, ...]]:
    """Closed bars from `origin` to just past `end`, and the pairs that have none.

    One bar more than the window is taken, so that orders decided in its last slot meet a price.
    """
    pairs = universe(config, home)
    last = end + config.feed.bar
    if config.feed.kind == "synthetic":
        return synthetic.market(pairs, origin, last, config.feed.bar, config.synthetic), ()
    if config.feed.kind == "archive":
        return archive.load(home, config.feed.source, config.feed.bar, pairs, origin, last)
    raise ConfigError(f"feed.kind is {config.feed.kind}: past bars come from synthetic or archive")


def rules_of(config: Config, pairs: tuple[Pair, ...]) -> Rules:
    """Everything configured that a decision depends on."""
    return Rules(
        pairs=pairs,
        benchmark=BENCHMARK,
        allocate=config.allocate,
        overlay=config.overlay,
        orders=config.orders,
        costs=config.costs,
        regime=config.regime,
        opinions=config.opinions,
        quality=config.quality,
    )


def brain_of(config: Config, home: Path) -> Brain:
    """The models in use, each verified; what cannot speak is left out with the reason.

    A model that was trained on all bars of a run over the past is not loaded for it. Raises ArtifactError for one that
    is damaged or was fitted on other features.
    """
    until = config.clock.end if config.clock.kind == "virtual" else None
    shown = {alpha.KIND: config.opinions.alpha_in_sample, policy.KIND: False}
    found = {
        room.KIND: _model(room, home, config.feed.bar, None if shown[room.KIND] else until)
        for room in (alpha, policy)
        if getattr(config.opinions, room.KIND)
    }
    fitted = {kind: model for kind, (model, _) in found.items() if model is not None}
    return Brain(
        alpha=(fitted[alpha.KIND],) if alpha.KIND in fitted else (),
        policy=fitted.get(policy.KIND),
        without={kind: why for kind, (_, why) in found.items() if why},
    )


def _model(room: Any, home: Path, bar_s: int, until: int | None) -> tuple[Any, str]:
    """The model in use of a room, or None and why it cannot speak before `until` or on this bar."""
    path = artifacts.chosen(room.KIND, home / "models", shipped() / "models")
    if path is None:
        return None, ""
    if until is not None and room.begins(path, bar_s) > until:
        return None, f"{path.name} was trained on what is shown here, or later"
    try:
        return room.load(path, bar_s), ""
    except NoEvidenceError:
        return None, f"{path.name} has no evidence on {duration(bar_s)} bars"


def cadence(config: Config) -> Cadence:
    """The slot grid."""
    schedule = config.schedule
    return Cadence(schedule.risk, schedule.score, schedule.rebalance, schedule.rebalance_late)


def paper(config: Config, tape: Tape, pairs: Sequence[Pair], path: Path | None) -> PaperVenue:
    """The paper venue of these pairs. Raises StateError where its file cannot be used."""
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        return PaperVenue(path, tape, {pair.asset: pair for pair in pairs}, config.costs, config.venue.capital)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"cannot use the paper account {path}: {error}; free space or restore a backup") from error


def signal_settings(config: Config) -> SignalSettings:
    """What signals are computed with."""
    return SignalSettings(config.opinions, config.regime, config.quality, BENCHMARK, config.strategy, config.seed)


def _signals(panel: Panel, brain: Brain, config: Config, start: int) -> Signals:
    """Signals kept from the bar that the first slot sees. Raises NotReadyError when the panel begins too late."""
    first = int(np.searchsorted(panel.time, start, side="right")) - 1
    if first < 0:
        raise NotReadyError(
            f"the first bar closes at {iso(int(panel.time[0]))}, after the run begins at {iso(start)}: "
            "import or download earlier candles, or move clock.from"
        )
    return compute(panel, brain, signal_settings(config), first)


def _of(pairs: Sequence[Pair], assets: Sequence[str]) -> tuple[Pair, ...]:
    by_asset = {pair.asset: pair for pair in pairs}
    return tuple(by_asset[asset] for asset in assets)


def warm_up_days(config: Config) -> float:
    """History that every feature needs before it is complete, in days."""
    return features.warmup_bars(config.feed.bar) * config.feed.bar / DAY_S
