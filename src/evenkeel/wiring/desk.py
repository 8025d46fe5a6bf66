"""The parts of a Kalshi desk: on paper, or with an account's key the account itself. Only here is it known which."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from structlog.stdlib import BoundLogger

from evenkeel import artifacts
from evenkeel.config import LLM, Config, Secrets, shipped
from evenkeel.desk.decide import Critic, Limits
from evenkeel.desk.guard import survived
from evenkeel.desk.ledger import Ledger
from evenkeel.desk.loop import Bell
from evenkeel.desk.sight import Boards, Spots
from evenkeel.desk.turn import Desk, Exchange
from evenkeel.errors import ConfigError, NotReadyError, StateError, VenueError, VenueUnknownError
from evenkeel.events import fitted
from evenkeel.events.evidence import Voices, voices
from evenkeel.events.fair import Spot
from evenkeel.events.fitted import Known
from evenkeel.events.volatility import realised
from evenkeel.journal import Journal
from evenkeel.store import Lock, Store, halted
from evenkeel.types import Identity
from evenkeel.units import DAY_S
from evenkeel.venues import kalshi_stream
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import KalshiAccount
from evenkeel.venues.kalshi_broker import KalshiBroker
from evenkeel.venues.kalshi_paper import PaperKalshi
from evenkeel.venues.kalshi_stream import Heard, Lost
from evenkeel.venues.kalshi_wire import HOSTS, Credentials, Wire
from evenkeel.wiring.waiting import wait

STATE = "kalshi.json"
LOCK = "kalshi.lock"
PAPER = "kalshi-paper.db"
JOURNAL = "kalshi-journal.db"
_BAR_S = 900
_BARS = 3 * DAY_S // _BAR_S


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a desk is asked for beside its configuration.

    folder  of book.json and its rows · tickers  only these markets; none = all of the series · key  whose account
    """

    folder: Path
    tickers: tuple[str, ...] = ()
    key: Credentials | None = None
    critic: Critic | None = None


def key_of(held: Secrets) -> Credentials | None:
    """The account's key; None for a desk on paper. Raises VenueError where it cannot be one."""
    return Credentials(held["KALSHI_KEY_ID"], held["KALSHI_PRIVATE_KEY"]) if held.values else None


def critic_of(config: Config, held: Secrets) -> Critic | None:
    """The second critic; None for the rules alone. Raises ConfigError without a key, NotReadyError without the SDK."""
    kalshi = config.kalshi
    if kalshi.critic == "rule":
        return None
    if LLM not in held:
        raise ConfigError(f"kalshi.critic is llm, but {LLM} is not set: set it, or kalshi.critic to rule")
    from evenkeel.venues.llm import Mind  # noqa: PLC0415 - an extra: only who wants it needs it

    return Mind(held[LLM], kalshi.llm.model, url=kalshi.llm.url, timeout_s=kalshi.llm.timeout_s)


def address(config: Config) -> str:
    """Where the REST API of the configured Kalshi is."""
    return config.kalshi.url.rstrip("/") or HOSTS[config.kalshi.env].rest


def public(config: Config, stop: threading.Event, key: Credentials | None = None) -> Wire:
    """Calls to the configured Kalshi; signed where there is a key."""
    return Wire(address(config), key, timeout_s=config.kalshi.timeout_s, sleep=partial(wait, stop))


def limits(config: Config) -> Limits:
    """What the configured desk may do."""
    kalshi = config.kalshi
    maker = kalshi.maker if kalshi.style == "maker-inside" else None
    return Limits(kalshi.screen, kalshi.stake, kalshi.risk, maker)


def known(home: Path) -> Known | None:
    """The fitted models in use with their evidence; None without any. Raises ArtifactError."""
    path = artifacts.chosen(fitted.KIND, home / "models", shipped() / "models")
    return None if path is None else fitted.load(path)


def spots(config: Config, stop: threading.Event) -> Spots:
    """Prices and volatilities of coins from the configured exchange: three days of 15-minute bars, and its quotes."""
    from evenkeel.venues.candles import CandleSource  # noqa: PLC0415 - ccxt is heavy

    feed = config.feed
    source = CandleSource(feed.exchange, hosts=feed.hosts or None, timeout_s=feed.timeout_s, sleep=partial(wait, stop))
    names = {"coinbase": "{}-USD", "coinbaseexchange": "{}-USD"}.get(feed.exchange, "{}USDT")

    def seen(assets: Collection[str], at: int) -> Mapping[str, Spot]:
        symbols = {names.format(asset): asset for asset in sorted(assets)}
        bars = source.closed_bars(list(symbols), _BAR_S, _BARS).rows
        touches = source.best_bid_ask(list(bars))
        found = {}
        for symbol, touch in touches.items():
            rows = bars[symbol]
            sigma = realised((rows[:, 0] + _BAR_S).astype("int64"), rows[:, 4], at)
            found[symbols[symbol]] = Spot((touch.bid + touch.ask) / 2, abs(float(at - touch.time)), sigma)
        return found

    return seen


def sight(config: Config, stop: threading.Event, series: Sequence[str], tickers: Collection[str] = ()) -> Boards:
    """What is quoted in these series, without any key."""
    return Boards(Kalshi(public(config, stop)), series, spots(config, stop), time.time, tickers)


def speakers(home: Path, series: Sequence[str]) -> Callable[[int], Voices]:
    """Who speaks for each series at a time. Raises ArtifactError for a bundle that is refused."""
    models = known(home)
    return lambda at: voices(models, series, at)


def stream_address(config: Config) -> str:
    """Where the stream of the configured Kalshi is: beside its REST API."""
    given = config.kalshi.url.rstrip("/")
    if not given:
        return HOSTS[config.kalshi.env].stream
    return given.replace("http", "ws", 1).replace("/trade-api/v2", "/trade-api/ws/v2")


@contextmanager
def listening(
    config: Config, key: Credentials, bell: Bell, log: BoundLogger, stop: threading.Event
) -> Iterator[threading.Thread]:
    """Let the venue's stream of trades and ends ring the bell while the block runs, from a thread of its own."""
    over = threading.Event()

    def heard(event: Heard) -> None:
        if isinstance(event, Lost):
            log.warning("kalshi_stream_broken", error=event.why)
        bell.hear(event)

    def follow() -> None:
        try:
            kalshi_stream.follow(
                lambda: kalshi_stream.connecting(stream_address(config), key, time.time), (), heard,
                stopped=lambda: over.is_set() or stop.is_set(), sleep=over.wait, rng=np.random.default_rng(),
                clock=time.monotonic, channels=("trade", "market_lifecycle_v2"),
            )  # fmt: skip
        except VenueError as error:
            log.warning("kalshi_stream_refused", error=str(error))

    def kept() -> None:
        survived(log, "kalshi_stream_failed", follow, lambda _: None)

    thread = threading.Thread(target=kept, name="kalshi-stream", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join(timeout=5)


@contextmanager
def desk(
    config: Config, home: Path, digest: str, wanted: Wanted, log: BoundLogger, stop: threading.Event
) -> Iterator[Desk]:
    """A desk whose state is locked, loaded or begun, and whose files are as the state says.

    Raises LockedError, StateError, ArtifactError; NotReadyError where the venue does not let us in.
    """
    series, now = config.kalshi.screen.series, time.time
    with Lock(home, LOCK):
        voice = speakers(home, series)
        who = _identity(config, wanted.key)
        store = Store.open(home, who, now=lambda: int(now()), of=STATE, kind=Ledger)
        loaded = store.load()
        venue = _exchange(config, home, wanted.key, stop)  # of a first start that is not let in nothing is remembered
        if loaded.memory is None:
            store.begin(Ledger(who, int(now()), config_digest=digest))
        if loaded.note:
            log.warning("state", note=loaded.note, quarantined=[str(path) for path in loaded.quarantined])
        journal = Journal.open(home / "state" / JOURNAL)
        try:
            made = Desk(
                store=store, exchange=venue, sight=sight(config, stop, series, wanted.tickers), voices=voice,
                limits=limits(config), folder=wanted.folder, journal=journal, log=log,
                halted=lambda: halted(home), now=now, critic=wanted.critic,
            )  # fmt: skip
            made.flushed()
            yield made
        finally:
            journal.close()
            if isinstance(venue, PaperKalshi):
                venue.close()


def _identity(config: Config, key: Credentials | None) -> Identity:
    if key is None:
        return Identity("kalshi-paper", "paper", "real", address(config))
    return Identity("kalshi", hashlib.sha256(key.key.encode()).hexdigest()[:16], "real", address(config))


def _exchange(config: Config, home: Path, key: Credentials | None, stop: threading.Event) -> Exchange:
    market = Kalshi(public(config, stop, key))
    if key is not None:
        account = KalshiAccount(public(config, stop, key))
        try:
            account.balance()
        except (VenueError, VenueUnknownError) as error:
            raise NotReadyError(f"the account cannot be read: {error}") from None
        return KalshiBroker(account, market)
    path = home / "state" / PAPER
    try:
        return PaperKalshi(path, config.kalshi.bankroll, market, time.time)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"cannot use the paper account {path}: {error}; free space or restore a backup") from error
