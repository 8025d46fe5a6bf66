"""A desk beside a served sandbox: real HTTP, real files, the sandbox's clock."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import requests
import structlog

from evenkeel.desk.decide import Limits
from evenkeel.desk.ledger import Ledger
from evenkeel.desk.risk import RiskSettings
from evenkeel.desk.sight import Boards
from evenkeel.desk.turn import Desk
from evenkeel.events.evidence import Voices, voices
from evenkeel.events.fair import Lognormal, Spot
from evenkeel.events.fitted import Known, Part
from evenkeel.events.pipeline import ScreenSettings, StakeSettings
from evenkeel.events.stake import Skill
from evenkeel.events.volatility import realised
from evenkeel.journal import Journal
from evenkeel.market.synthetic import SyntheticSettings, market
from evenkeel.sandbox.app import Sandbox, build
from evenkeel.sandbox.clock import Clock
from evenkeel.sandbox.faults import Faults
from evenkeel.sandbox.kalshi_orders import Rules
from evenkeel.sandbox.market import Market
from evenkeel.store import RealDisk, Store, halted
from evenkeel.types import Identity
from evenkeel.venues.kalshi import Kalshi
from evenkeel.venues.kalshi_account import KalshiAccount
from evenkeel.venues.kalshi_broker import KalshiBroker
from evenkeel.venues.kalshi_paper import PaperKalshi
from evenkeel.venues.kalshi_wire import Credentials, Wire
from sandbox.kalshi_world import plenty
from venues.exchanges import DAY, PAIRS, START

SEED = 7
"""Of the sandbox: its market and the account's key."""
SERIES = ("KXBTC", "KXBTCD", "KXETH", "KXETHD")
EAGER = Limits(
    ScreenSettings(series=SERIES, depth=1.0),
    StakeSettings(kelly=0.5, min_edge=0.0, max_edge=0.5, market=0.05, event=0.05, cluster=0.3, category=0.9, total=0.9),
    RiskSettings(daily_loss=1.0, drawdown=1.0, asset=0.6),
)
"""A desk that trades often. What it earns proves nothing: the sandbox's makers price with one fixed volatility."""


@contextmanager
def served(days: int = 2, capital: str = "100", **rules: Any) -> Iterator[tuple[str, Sandbox]]:
    """A sandbox of two coins whose clock stands, a day after its market began; its address and itself."""
    pairs = tuple(PAIRS.values())
    panel = market(pairs, START, START + (days + 1) * DAY, 900, SyntheticSettings(seed=SEED))
    clock = Clock(lambda: 0.0, start=START + DAY + 1_201, speed=0.0)
    chosen = Rules(**{"reads": 0, "writes": 0, **rules})
    box = build(Market(panel, PAIRS), clock, Faults(()), seed=SEED, capital=Decimal(capital), kalshi_rules=chosen)
    with box.serve() as url:
        yield url, box


class Prices:
    """Spots from the sandbox's Binance, by plain HTTP."""

    def __init__(self, url: str) -> None:
        self._url, self._http = f"{url}/binance/api/v3", requests.Session()

    def __call__(self, assets: Collection[str], time: int) -> Mapping[str, Spot]:
        """Closed 15-minute bars of two days, and the last price."""
        return {asset: self._spot(asset, time) for asset in sorted(assets)}

    def _spot(self, asset: str, time: int) -> Spot:
        given = {"symbol": f"{asset}USDT", "interval": "15m", "limit": 192}
        rows = self._http.get(f"{self._url}/klines", params=given, timeout=10).json()
        at = np.array([row[6] // 1000 + 1 for row in rows], dtype=np.int64)
        close = np.array([float(row[4]) for row in rows])
        return Spot(float(close[-1]), 0.0, realised(at, close, time))


def believed(now: int) -> Voices:
    """A lognormal whose skill is asserted: nothing that was measured."""
    skill = {name: Skill(1_000, 1.0, 0.0) for name in SERIES}
    part = Part("lognormal", Lognormal(), skill, {}, None, 2**33)
    return voices(Known("told", "", (part,)), SERIES, now)


def wire(url: str, clock: Any, key: Credentials | None = None) -> Wire:
    """A wire that never really waits."""
    given = {"clock": clock, "sleep": lambda _: None, "reads": plenty(), "writes": plenty()}
    return Wire(f"{url}/kalshi/trade-api/v2", key, **given)


@dataclass
class Made:
    """A desk, its home, and what it trades at."""

    desk: Desk
    home: Path
    paper: PaperKalshi | None

    @property
    def ledger(self) -> Ledger:
        """What it remembers."""
        return self.desk.ledger


@contextmanager
def opened(
    home: Path, url: str, clock: Any, *, key: Credentials | None = None, limits: Limits = EAGER, capital: str = "100",
    durable: bool = True, **more: Any,
) -> Iterator[Made]:  # fmt: skip
    """A desk on paper, or with a key the account itself."""
    folder = home / "state"
    folder.mkdir(parents=True, exist_ok=True)
    public = Kalshi(wire(url, clock))
    paper = None if key else PaperKalshi(folder / "kalshi-paper.db", Decimal(capital), public, clock)
    account = KalshiAccount(wire(url, clock, key)) if key else None
    identity = Identity("kalshi" if key else "kalshi-paper", "test", "real", url)
    disk = RealDisk(durable=durable)
    store = Store.open(home, identity, now=lambda: int(clock()), disk=disk, of="kalshi.json", kind=Ledger)
    if store.load().memory is None:
        store.begin(Ledger(identity, int(clock())))
    journal = Journal.open(folder / "kalshi-journal.db", durable=durable)
    made = Desk(
        store=store,
        exchange=paper or KalshiBroker(account, Kalshi(wire(url, clock))),
        sight=Boards(public, limits.screen.series, Prices(url), clock),
        voices=more.pop("voices", believed),
        limits=limits,
        folder=home / "data" / "paper",
        journal=journal,
        log=structlog.wrap_logger(logging.getLogger("desk"), processors=[structlog.processors.KeyValueRenderer()]),
        halted=lambda: halted(home),
        now=clock,
    )
    made = replace(made, **more)
    made.flushed()
    try:
        yield Made(made, home, paper)
    finally:
        journal.close()
        if paper:
            paper.close()
