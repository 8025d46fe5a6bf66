"""From a board to proposals in five pure steps, each leaving a reason for what it stops.

screen (may this contract be looked at?) -> quant (what is it worth?) -> orchestrate (one bet for each event, sized) ->
critic (rules that may only veto or shrink) -> trade (proposals, the best first). A mind that judges beside the rules
answers with a factor for a bet; `judged` makes of it what the law allows.

The law: what one step stopped, no later step revives, and no step enlarges a bet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Final, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from evenkeel.events.bets import Bet, Limits, Offers, Proposal, bets, offers, scaled
from evenkeel.events.board import Flaw, Ladders, series_of
from evenkeel.events.evidence import Trust, trusted
from evenkeel.events.fair import Fair, Model, Spot
from evenkeel.types import BoolArray, Contract
from evenkeel.units import DAY_S, Key, iso

Codes = NDArray[np.int8]
Share = Annotated[float, Gt(0), Le(1)]

COINS: Final = frozenset({"BTC", "ETH", "SOL", "XRP", "DOGE"})


class Why(IntEnum):
    """Why a contract is not bought. The first step that stops it names it; GOOD reaches a proposal.

    screen       NOT_ACTIVE SERIES_OFF TERMS_UNKNOWN STALE_QUOTE TOO_CLOSE TOO_FAR LADDER_BROKEN NOT_TWO_SIDED
                 SPREAD_WIDE PRICE_BAND THIN
    quant        NO_FAIR     the model does not know it
    orchestrate  EDGE_SMALL  too little is left after fee and spread · TOO_SMALL  less than one contract
                 UNPROVEN    the model alone would buy it, the skill that was measured does not carry that
                 NOT_BEST    another contract of the event is the bet
    critic       GAP_TOO_GOOD EVENT_HELD CLUSTER_FULL CATEGORY_FULL EXPOSURE_FULL CASH_SHORT
    """

    GOOD = 0
    NOT_ACTIVE = 1
    SERIES_OFF = 2
    TERMS_UNKNOWN = 3
    STALE_QUOTE = 4
    TOO_CLOSE = 5
    TOO_FAR = 6
    LADDER_BROKEN = 7
    NOT_TWO_SIDED = 8
    SPREAD_WIDE = 9
    PRICE_BAND = 10
    THIN = 11
    NO_FAIR = 12
    EDGE_SMALL = 13
    UNPROVEN = 14
    TOO_SMALL = 15
    NOT_BEST = 16
    GAP_TOO_GOOD = 17
    EVENT_HELD = 18
    CLUSTER_FULL = 19
    CATEGORY_FULL = 20
    EXPOSURE_FULL = 21
    CASH_SHORT = 22


_BROKEN = (Flaw.CROSSED, Flaw.OFF_GRID, Flaw.DISORDER, Flaw.SUM)
_ONE_SIDED = (Flaw.EMPTY, Flaw.ONE_SIDED)


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """Which contracts are looked at."""

    series: Annotated[tuple[str, ...], Key("series that are traded")] = ("KXBTC", "KXBTCD", "KXETH", "KXETHD")
    price_low: Annotated[float, Ge(0), Le(0.5), Key("lowest mid that is traded", "USD")] = 0.03
    price_high: Annotated[float, Ge(0.5), Le(1), Key("highest mid that is traded", "USD")] = 0.97
    spread: Annotated[float, Gt(0), Le(1), Key("widest spread that is believed", "USD")] = 0.10
    depth: Annotated[float, Ge(0), Key("contracts that a side must offer", "count")] = 10.0
    min_left_s: Annotated[int, Ge(0), Key("least time to the close", "s")] = 90
    max_left_s: Annotated[int, Gt(0), Key("most time to the close", "s")] = DAY_S
    max_age_s: Annotated[int, Gt(0), Key("oldest quote that is believed", "s")] = 60


@dataclass(frozen=True, slots=True)
class StakeSettings:
    """How much is staked. Shares are of the desk's equity."""

    kelly: Annotated[Share, Key("part of Kelly's stake", "fraction")] = 0.10
    min_edge: Annotated[float, Ge(0), Le(1), Key("least edge after fee and spread", "USD per contract")] = 0.02
    max_edge: Annotated[float, Gt(0), Le(1), Key("edge that is too good to be true", "USD per contract")] = 0.10
    side: Annotated[Literal["yes", "no", "both"], Key("what is bought")] = "both"
    market: Annotated[Share, Key("most in one contract", "fraction of equity")] = 0.02
    event: Annotated[Share, Key("most in one event", "fraction of equity")] = 0.03
    cluster: Annotated[Share, Key("most in events of one category that close together", "fraction of equity")] = 0.06
    category: Annotated[Share, Key("most in one category", "fraction of equity")] = 0.15
    total: Annotated[Share, Key("most in all contracts", "fraction of equity")] = 0.25
    max_contracts: Annotated[int, Gt(0), Key("most contracts of one market", "count")] = 1_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the desk has: equity and cash, USD, and what is at risk (paid for positions and open orders), USD.

    events, clusters, categories  USD by event ticker, `cluster_of`, `category_of`
    """

    equity: float
    cash: float
    events: Mapping[str, float] = field(default_factory=dict)
    clusters: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything one pass said: (M,) codes, the model's and the staked probabilities, offers, and what is proposed."""

    board: Ladders
    why: Codes
    fair: Fair
    staked: Fair
    offers: Offers
    bets: tuple[Bet, ...]
    proposals: tuple[Proposal, ...]


def category_of(contract: Contract) -> str:
    """What moves together: `crypto` for the coins, else the asset's own word."""
    return "crypto" if contract.asset in COINS else contract.asset


def cluster_of(contract: Contract) -> str:
    """Contracts of one category that close at one time share a cap: `crypto@2026-08-13T21:00:00Z`."""
    return f"{category_of(contract)}@{iso(contract.expiry)}"


def scan(
    board: Ladders,
    model: Model,
    spots: Mapping[str, Spot],
    trust: Trust,
    exposure: Exposure,
    screened: ScreenSettings,
    stakes: StakeSettings,
) -> Scan:
    """All five steps over a board; `trust` says how far the model is believed on each series."""
    why = screen(board, screened)
    fair, why = quant(board, model, spots, why)
    staked = trusted(board, fair, trust)
    of, found, why = orchestrate(board, fair, staked, exposure, screened, stakes, why)
    kept, why = critic(board, found, exposure, stakes, why)
    return Scan(board, why, fair, staked, of, kept, trade(kept))


# ---------------------------------------------------------------- the five steps


def screen(board: Ladders, settings: ScreenSettings) -> Codes:
    """(M,) code of what may not be looked at, GOOD for the rest."""
    rows, mid = board.contracts, board.mid
    stopped = {
        Why.NOT_ACTIVE: _each([c.status != "active" for c in rows]),
        Why.SERIES_OFF: _each([series_of(c.ticker) not in settings.series for c in rows]),
        Why.TERMS_UNKNOWN: np.isnan(board.rate) | _each([not c.ticks for c in rows]),
        Why.STALE_QUOTE: ~(board.age <= settings.max_age_s),
        Why.TOO_CLOSE: board.left < settings.min_left_s,
        Why.TOO_FAR: board.left > settings.max_left_s,
        Why.LADDER_BROKEN: np.isin(board.flaw, _BROKEN),
        Why.NOT_TWO_SIDED: np.isin(board.flaw, _ONE_SIDED),
        Why.SPREAD_WIDE: ~(board.spread <= settings.spread + 1e-9),
        Why.PRICE_BAND: ~((mid >= settings.price_low) & (mid <= settings.price_high)),
        Why.THIN: np.maximum(board.bid_size, board.ask_size) < settings.depth,
    }
    return np.select(list(stopped.values()), list(stopped), Why.GOOD).astype(np.int8)


def quant(board: Ladders, model: Model, spots: Mapping[str, Spot], why: Codes) -> tuple[Fair, Codes]:
    """The model's probabilities of everything, also of what is not traded: a table shows them."""
    fair = model(board, spots)
    return fair, _stopped(why, np.isnan(fair.p) | np.isnan(fair.error), Why.NO_FAIR)


def orchestrate(
    board: Ladders,
    fair: Fair,
    staked: Fair,
    exposure: Exposure,
    screened: ScreenSettings,
    settings: StakeSettings,
    why: Codes,
) -> tuple[Offers, tuple[Bet, ...], Codes]:
    """One bet for each event that has an edge of at least `min_edge` at the actual size."""
    equity = max(exposure.equity, 0.0)
    limits = Limits(equity, settings.kelly, settings.market * equity, settings.event * equity, settings.min_edge)
    of = offers(board, fair, staked, limits, settings.max_contracts)
    asked = np.array([settings.side != "no", settings.side != "yes"])[:, None]
    deep = np.stack([board.ask_size, board.bid_size]) >= screened.depth
    open_ = (why == Why.GOOD) & asked & deep
    paying = open_ & (of.edge >= settings.min_edge)
    wanted = paying & (of.count > 0)
    found = bets(board, of, wanted, limits)
    chosen = np.isin(np.arange(len(why)), [row for bet in found for row in bet.rows])
    believed = (open_ & (of.gap >= settings.min_edge)).any(axis=0)
    why = _stopped(why, ~paying.any(axis=0) & ~believed, Why.EDGE_SMALL)
    why = _stopped(why, ~paying.any(axis=0), Why.UNPROVEN)
    why = _stopped(why, ~wanted.any(axis=0), Why.TOO_SMALL)
    return of, found, _stopped(why, ~chosen, Why.NOT_BEST)


def critic(
    board: Ladders, found: tuple[Bet, ...], exposure: Exposure, settings: StakeSettings, why: Codes
) -> tuple[tuple[Bet, ...], Codes]:
    """Veto or shrink, the fastest-growing bet first: what it takes is not there for the next."""
    kept = []
    for bet in sorted(found, key=lambda bet: (-bet.growth, bet.legs[0].ticker)):
        contract = board.contracts[bet.rows[0]]
        factor, code = _room(bet, contract, exposure, settings)
        smaller = scaled(bet, factor, board, settings.min_edge)
        dropped = set(bet.rows) - set(smaller.rows if smaller is not None else ())
        why = _stopped(why, np.isin(np.arange(len(why)), sorted(dropped)), code)
        if smaller is not None:
            exposure = _with(exposure, contract, float(smaller.cost))
            kept.append(smaller)
    return tuple(kept), why


def trade(kept: tuple[Bet, ...]) -> tuple[Proposal, ...]:
    """The legs as orders, in the order of their bets."""
    return tuple(leg for bet in kept for leg in bet.legs)


def judged(bet: Bet, factor: float, board: Ladders, settings: StakeSettings) -> Bet | None:
    """What another critic's factor makes of a bet: below 1 shrinks, 0 vetoes, above 1 is ignored, NaN vetoes."""
    return scaled(bet, factor, board, settings.min_edge)


def _room(bet: Bet, contract: Contract, exposure: Exposure, settings: StakeSettings) -> tuple[float, Why]:
    """The part of the bet that may stay, and what limits it most."""
    if max(leg.gap for leg in bet.legs) > settings.max_edge:
        return 0.0, Why.GAP_TOO_GOOD
    if exposure.events.get(contract.event, 0.0) > 0:
        return 0.0, Why.EVENT_HELD
    equity, cost = exposure.equity, float(bet.cost)
    room = {
        Why.CLUSTER_FULL: settings.cluster * equity - exposure.clusters.get(cluster_of(contract), 0.0),
        Why.CATEGORY_FULL: settings.category * equity - exposure.categories.get(category_of(contract), 0.0),
        Why.EXPOSURE_FULL: settings.total * equity - sum(exposure.events.values()),
        Why.CASH_SHORT: exposure.cash,
    }
    code = min(room, key=room.__getitem__)
    # a smaller bet pays its own rounded fees: up to two cents for a leg are kept free
    return (1.0 if room[code] >= cost else (room[code] - 0.02 * len(bet.legs)) / cost), code


def _with(exposure: Exposure, contract: Contract, usd: float) -> Exposure:
    """The exposure after a bet."""

    def more(spent: Mapping[str, float], key: str) -> Mapping[str, float]:
        return {**spent, key: spent.get(key, 0.0) + usd}

    return Exposure(
        exposure.equity,
        exposure.cash - usd,
        more(exposure.events, contract.event),
        more(exposure.clusters, cluster_of(contract)),
        more(exposure.categories, category_of(contract)),
    )


def _each(values: list[bool]) -> BoolArray:
    return np.array(values, dtype=bool)


def _stopped(why: Codes, where: BoolArray, code: Why) -> Codes:
    """The codes with `code` where nothing stopped the contract before."""
    return np.where((why == Why.GOOD) & where, np.int8(code), why)
