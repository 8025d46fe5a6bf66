"""build(config, ...) -> Engine: feed, broker, rules and brain of one run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from evenkeel.config import Config, Secrets
from evenkeel.decide import Rules
from evenkeel.engine.live import LiveFeed
from evenkeel.engine.parents import Desk
from evenkeel.engine.ports import Broker, Feed
from evenkeel.engine.replay import Replay
from evenkeel.engine.slots import Cadence
from evenkeel.errors import ConfigError, NotReadyError
from evenkeel.market import synthetic
from evenkeel.service.watch import Expectation
from evenkeel.signals.compute import compute
from evenkeel.signals.view import Signals
from evenkeel.types import Brain, Identity, Memory, Pair, Panel
from evenkeel.units import DAY_S, iso
from evenkeel.wiring.accounts import account, identity, paper, tickers
from evenkeel.wiring.listening import listener, past_crowd
from evenkeel.wiring.settings import (
    BENCHMARK,
    brain_of,
    cadence,
    origin_at,
    rules_of,
    signal_settings,
    universe,
    window,
)
from evenkeel.wiring.waiting import wait

NONE = Secrets()


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs slots: feed and broker, rules and brain, and whose state it keeps.

    The broker is opened last, once it is known that the state belongs to it. `clock` is the present moment, UTC s,
    while a slot of a time is at work: that time itself where the clock is virtual. `desk` and `expected` are of the
    present only: past bars say nothing of resting orders and of a venue's answers, so a replay sends market orders.
    `sources` names, per asset, who makes its bars and quotes.
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
    desk: Desk | None = None
    expected: Expectation | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

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
    feed = Replay(_signals(panel, brain, config, home, start))
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
        sources=dict.fromkeys((pair.asset for pair in pairs), config.feed.source or config.feed.kind),
    )


def build_live(config: Config, home: Path, stop: threading.Event, held: Secrets = NONE) -> Engine:
    """Parts of a run on live public data: candles and quotes of an exchange, orders to the paper venue.

    Pairs that the exchange does not list are watched on the ticker of the configured venue, where that shows one.
    stop  ends every wait · held  credentials: orders then go to the account of the configured venue
    Raises ConfigError when the feed is not a live one or the exchange lists no pair of the universe.
    """
    from evenkeel.wiring.bars import Bars, poller, source, with_quoted  # noqa: PLC0415 - the past needs no exchange
    from evenkeel.wiring.quoted import Quoted, noted  # noqa: PLC0415

    wanted, exchange = universe(config, home), config.feed.exchange
    symbols = _listed(config, wanted)
    vault = home / "state" / "paper.db"
    open_broker = cache(
        lambda: account(config, pairs, held, stop) if held.values else paper(config, feed, pairs, vault)
    )
    ask = tickers(config, held, open_broker, stop)
    unlisted = [p.asset for p in wanted if p.asset not in symbols]
    quoted = Quoted(home, config.feed.bar, unlisted, ask, time.time) if ask is not None and unlisted else None
    sources = {**dict.fromkeys(symbols, exchange), **dict.fromkeys(quoted.assets if quoted else (), "ticker")}
    pairs = tuple(pair for pair in wanted if pair.asset in sources)
    bars = Bars(config, home, pairs, symbols, source(config, stop), stop, quoted)
    brain = brain_of(config, home)
    feed = LiveFeed(
        bring=bars.bring,
        stored=bars.stored,
        poll=noted(home, sources, with_quoted(poller(config, symbols, stop), quoted)),
        pause=lambda: wait(stop, config.feed.confirm_s),
        now=time.time,
        brain=brain,
        settings=signal_settings(config),
        listener=listener(config, home, poller(config, symbols, stop), stop),
    )
    by_asset = {pair.asset: pair for pair in pairs}
    return Engine(
        identity=identity(config, held),
        origin=origin_at(config, int(time.time())),
        feed=feed,
        open_broker=open_broker,
        brain=brain,
        rules=rules_of(config, pairs),
        cadence=cadence(config),
        missing=tuple(p.asset for p in wanted if p.asset not in sources),
        clock=lambda _: time.time(),
        desk=Desk(config.execution, by_asset, config.costs, feed),
        expected=Expectation(config.breakers, config.costs, by_asset, feed, time.time, time.monotonic),
        sources=sources,
    )


def _listed(config: Config, wanted: Sequence[Pair]) -> dict[str, tuple[str, int]]:
    """The exchange's symbol and price factor of each pair that it lists. Raises ConfigError as `build_live` does."""
    exchange = config.feed.exchange
    if config.feed.kind != "ccxt":
        raise ConfigError(
            f"feed.kind is {config.feed.kind}: a real clock needs feed.kind ccxt, or set clock.kind=virtual"
        )
    symbols = {p.asset: p.symbols[exchange] for p in wanted if exchange in p.symbols}
    if BENCHMARK not in symbols:
        raise ConfigError(f"feed.exchange {exchange}: {BENCHMARK} is not listed there for this universe")
    return symbols


def market(config: Config, home: Path, origin: int, end: int) -> tuple[Panel, tuple[str, ...]]:
    """Closed bars from `origin` to just past `end`, and the pairs that have none.

    One bar more than the window is taken, so that orders decided in its last slot meet a price.
    """
    pairs = universe(config, home)
    last = end + config.feed.bar
    if config.feed.kind == "synthetic":
        return synthetic.market(pairs, origin, last, config.feed.bar, config.synthetic), ()
    if config.feed.kind == "archive":
        from evenkeel import archive  # noqa: PLC0415 - loads pyarrow, which other markets do not need

        return archive.load(home, config.feed.source, config.feed.bar, pairs, origin, last)
    raise ConfigError(f"feed.kind is {config.feed.kind}: past bars come from synthetic or archive")


def _signals(panel: Panel, brain: Brain, config: Config, home: Path, start: int) -> Signals:
    """Signals kept from the bar that the first slot sees. Raises NotReadyError when the panel begins too late."""
    first = int(np.searchsorted(panel.time, start, side="right")) - 1
    if first < 0:
        raise NotReadyError(
            f"the first bar closes at {iso(int(panel.time[0]))}, after the run begins at {iso(start)}: "
            "import or download earlier candles, or move clock.from"
        )
    return compute(panel, brain, signal_settings(config), first, past_crowd(config, home, panel, first))


def _of(pairs: Sequence[Pair], assets: Sequence[str]) -> tuple[Pair, ...]:
    by_asset = {pair.asset: pair for pair in pairs}
    return tuple(by_asset[asset] for asset in assets)
