"""The nouns that travel through the house: frozen, slotted dataclasses.

T bars, N assets, F features, M contracts. float64 arrays, read-only. NaN = unknown, 0 = none. Log returns.
Volatility is annualised with 365.25 days. Money in USD; quantities, prices and cash of the ledger are Decimal.
Quantities are signed (+ buys).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, wraps
from operator import is_
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from evenkeel.units import iso

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@lru_cache(maxsize=64)
def places(assets: tuple[str, ...]) -> Mapping[str, int]:
    """Position of each asset in the order of the arrays."""
    return {asset: i for i, asset in enumerate(assets)}


T = TypeVar("T")
P = ParamSpec("P")


def frozen(array: Array) -> Array:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array


@lru_cache(maxsize=8)
def unknown(size: int) -> Array:
    """(size,) NaN."""
    return frozen(np.full(size, np.nan))


def kept(function: Callable[P, T]) -> Callable[P, T]:
    """Keeps the last answer of a pure function, for the very same objects, which nobody may change.

    A venue shows the same mapping until it trades, and three slots see one row of prices.
    """
    last: list[tuple[tuple[Any, ...], Any]] = [((object(),), None)]

    @wraps(function)
    def asked(*given: P.args, **named: P.kwargs) -> T:
        known, answer = last[0]
        if named or len(known) != len(given) or not all(map(is_, known, given)):
            answer = function(*given, **named)
            if not named:
                last[0] = given, answer
        return answer  # type: ignore[no-any-return]

    return asked


def changed(obj: T, **changes: Any) -> T:
    """`dataclasses.replace` for the slotted dataclasses below, in a fraction of its time: every slot changes Memory.

    Raises AttributeError for a field that is not there. What `__post_init__` would do is not done.
    """
    cls = type(obj)
    made = (_COPIES.get(cls) or _copy_of(cls))(obj)
    for name, value in changes.items():
        setattr(made, name, value)
    made.__class__ = cls
    return made  # type: ignore[no-any-return]


def lean(cls: type[T]) -> type[T]:
    """A frozen dataclass that is made in half of the time: every slot makes a dozen of them.

    It takes what its `__init__` took. For plain defaults and no `__post_init__`.
    """
    names = _names(cls)
    lines = "".join(f"    made.{name} = {name}\n" for name in names)
    body = f"    made = new(open)\n{lines}    made.__class__ = cls\n    return made\n"
    made = _compiled(f"def __new__(cls, {', '.join(names)}):\n{body}", cls)
    made.__defaults__, made.__annotations__ = cls.__init__.__defaults__, cls.__init__.__annotations__
    whole = _compiled(f"def whole(self):\n    return cls, ({''.join(f'self.{name}, ' for name in names)})\n", cls)
    plain: Any = cls
    plain.__new__, plain.__reduce__ = staticmethod(made), whole
    del plain.__init__
    return cls


_COPIES: dict[type, Callable[[Any], Any]] = {}
"""What copies an object of a class into one that can still be written."""


def _copy_of(cls: type) -> Callable[[Any], Any]:
    lines = "".join(f"    made.{name} = obj.{name}\n" for name in _names(cls))
    copy: Callable[[Any], Any] = _compiled(f"def copy(obj):\n    made = new(open)\n{lines}    return made\n", cls)
    _COPIES[cls] = copy
    return copy


def _names(cls: Any) -> tuple[str, ...]:
    return tuple(x.name for x in fields(cls))


def _opened(cls: Any) -> type:
    """The class of `changed` and `lean`: what a base froze is thawed."""
    base = cls.__base__
    own = {"__slots__": _names(cls)} if base is object else {"__slots__": cls.__slots__}
    return type("Open", (base,), own if base is object else {**own, "__setattr__": object.__setattr__})


def _compiled(code: str, cls: type) -> Any:
    """The one function in `code`, which is a line for each slot, as `dataclass` itself makes its methods.

    `open` is a class of the same slots that is not frozen: its objects are written, then they become those of `cls`.
    """
    made: dict[str, Any] = {}
    exec(code, {"new": object.__new__, "open": _opened(cls), "cls": cls}, made)  # noqa: S102
    return next(iter(made.values()))


# ---------------------------------------------------------------- market


@dataclass(frozen=True, slots=True)
class Panel:
    """Closed bars of N assets on one constant grid.

    time    (T,)    int64 UTC s of the bar's *close*, constant step `bar_s`
    assets  N names (coins: `BTC`), unique, in universe order
    open, high, low, close  (T, N)  USD per unit; NaN = no bar known
    volume  (T, N)  units traded in the bar; NaN = no bar known, 0 = none
    """

    time: IntArray
    assets: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    bar_s: int


@dataclass(frozen=True, slots=True)
class Quotes:
    """What a risk check sees of the present.

    bid, ask   (N,) USD; NaN = unknown
    low, high  (N,) USD, the range since the previous check; NaN = empty range
    age        (N,) s since the price was true; inf = never seen
    time       UTC s of the check
    """

    time: int
    bid: Array
    ask: Array
    low: Array
    high: Array
    age: Array


@dataclass(frozen=True, slots=True)
class Contract:
    """One event contract as quoted: a row of a `Board`. Prices in USD per 1 USD pay-off; None = no quote, never 0 or 1.

    kind            the venue's strike type: `greater`, `greater_or_equal`, `less`, `less_or_equal`, `between`; another
                    word (`structured`) has no strikes, and so no price model
    floor, cap      strikes, USD · expiry  UTC s of the close; without strikes, of when the result is expected
    yes_bid, yes_ask  best prices of YES; those of NO are 1 - the other one · bid_size, ask_size  contracts there
    ticks           price grid: (from, to, step), ascending; empty = unknown, no order can be written
    fee_type, fee_multiplier  of the series; "" and None = unknown, no stake can be computed
    status          of the venue; only `active` trades · seen  UTC s when the quote was true, None = the board's time
    exclusive       exactly one contract of the event pays · fractional  counts of 0.01 are allowed, else whole ones
    """

    ticker: str
    event: str
    asset: str
    kind: str
    floor: float | None
    cap: float | None
    expiry: int
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    bid_size: Decimal
    ask_size: Decimal
    ticks: tuple[tuple[Decimal, Decimal, Decimal], ...] = ()
    fee_type: str = ""
    fee_multiplier: Decimal | None = None
    status: str = ""
    seen: int | None = None
    exclusive: bool = False
    fractional: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """Event contracts quoted at one time (Kalshi's shape, before any opinion)."""

    time: int
    contracts: tuple[Contract, ...]


@lean
@dataclass(frozen=True, slots=True)
class Reading:
    """What the ladder of one coin implies at one board. Numbers are NaN where `reason` says why.

    time    UTC s of the board · event, close  its ladder, and UTC s of that one's close; `` and 0 = it has none
    mu      drift of the log price until the close · mean  of mu over 7 days before · past  readings in that mean
    sd      our own std of that log price · drift  (mu - mean) / sd · error  standard error of mu / sd
    vol     implied volatility, annualised · contracts  (ticker, bid, ask) that were fitted, USD of YES
    """

    asset: str
    time: int
    event: str = ""
    close: int = 0
    mu: float = math.nan
    mean: float = math.nan
    past: int = 0
    sd: float = math.nan
    drift: float = math.nan
    error: float = math.nan
    vol: float = math.nan
    reason: str = ""
    contracts: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One tradable pair of the universe: a coin against USD, and what the venue allows.

    symbols  venue name -> (symbol, price factor): `binance_perp: (1000PEPEUSDT, 1000)` quotes 1000 coins
    """

    asset: str
    pair: str
    tier: int
    price_decimals: int
    amount_decimals: int
    min_notional: Decimal
    kind: str = "crypto"
    symbols: Mapping[str, tuple[str, int]] = field(default_factory=dict)


# ---------------------------------------------------------------- orders


class SlotKind(StrEnum):
    """The three cadences, in the order in which they run at one instant."""

    RISK = "risk"
    REBALANCE = "rebalance"
    SCORE = "score"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A kind and its scheduled UTC time: the unit of work that ends exactly once."""

    kind: SlotKind
    time: int

    @property
    def id(self) -> str:
        """Readable and unique: `rebalance@2025-07-01T06:00:00Z`."""
        return f"{self.kind}@{iso(self.time)}"


@lean
@dataclass(frozen=True, slots=True)
class SlotOutcome:
    """How a slot ended: `done`, `skipped` or `failed`, with a reason code unless done."""

    slot: str
    kind: str
    time: int
    outcome: str
    reason: str = ""
    as_of: int = 0
    orders: int = 0


class IntentStatus(StrEnum):
    """Durable life of an order; UNKNOWN is never treated as rejected."""

    PREPARED = "PREPARED"
    SENT = "SENT"
    ACKED = "ACKED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"
    CANCELED = "CANCELED"

    @property
    def resolved(self) -> bool:
        """True once the venue can do nothing more with the order."""
        return self in _RESOLVED


_RESOLVED = frozenset({IntentStatus.FILLED, IntentStatus.REJECTED, IntentStatus.NOT_PLACED, IntentStatus.CANCELED})


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING only lowers exposure; HALTED only cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Health(StrEnum):
    """Whether an opinion may be believed."""

    OK = "ok"
    STALE = "stale"
    MISSING = "missing"
    EXPIRED = "expired"
    OFF = "off"


@lean
@dataclass(frozen=True, slots=True)
class Order:
    """One leg of a plan. `id` derives from (slot, asset, leg): the same decision always has the same id.

    quantity  signed units (+ buys), legal at the venue
    reason    code of why it exists (`ATR_STOP`, `TARGET`)
    stop      level whose touch sent this order: a replay never fills better than it; None for others
    """

    id: str
    slot: str
    leg: int
    asset: str
    quantity: Decimal
    reason: str
    style: str = "market"
    stop: Decimal | None = None


@lean
@dataclass(frozen=True, slots=True)
class Fill:
    """What a venue executed. price USD per unit, fee USD >= 0, quantity signed."""

    id: str
    order_id: str
    asset: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    time: int


@lean
@dataclass(frozen=True, slots=True)
class Trace:
    """What proves what became of an order: the account before it, when it left, what it is called at the venue.

    highest  highest order number of the account before, -1 = it had none; None where the venue keeps our id
    units    of the order's asset, before · at  UTC ms when the socket was touched, 0 = not yet
    venue    the venue's id, `` = unknown · polls, asked  looks that found nothing, and the first of them (UTC s)
    limit    USD per unit as sent, None = market order
    """

    highest: int | None
    units: Decimal
    at: int = 0
    venue: str = ""
    polls: int = 0
    asked: int = 0
    limit: Decimal | None = None


@lean
@dataclass(frozen=True, slots=True)
class Intent:
    """An order and what is durably known of it; without a trace where no answer can be lost (back-tests)."""

    order: Order
    status: IntentStatus = IntentStatus.PREPARED
    attempts: int = 0
    note: str = ""
    fills: tuple[Fill, ...] = ()
    trace: Trace | None = None


@lean
@dataclass(frozen=True, slots=True)
class Dropped:
    """A leg that was wanted and is not sent, with its documented reason code."""

    asset: str
    code: str
    weight: float
    held: float
    note: str = ""


# ---------------------------------------------------------------- what we hold and remember


@lean
@dataclass(frozen=True, slots=True)
class Holdings:
    """The venue's truth: cash USD, units per asset (no zero rows), ids of open orders.

    newest  highest order number of the account, -1 = it has none; None where the venue keeps our ids
    cut     there may be up to so much more cash (USD, this amount not included): the venue shows it cut; 0 = exact
    locked  of the cash, USD that open orders hold back: no purchase can take it (O22)
    """

    time: int
    cash: Decimal
    units: Mapping[str, Decimal]
    open_orders: tuple[str, ...] = ()
    newest: int | None = None
    cut: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose state this is. A state of another identity is refused."""

    venue: str
    account: str
    clock: str
    window: str


@lean
@dataclass(frozen=True, slots=True)
class Position:
    """What the venue cannot tell about a holding.

    units  last confirmed by the ledger · basis  average price paid, USD, fees included; None = unknown
    opened UTC s · high  highest price seen since (raised only after triggers were tested), USD
    stop   ATR stop fixed at entry, USD; NaN = none
    """

    units: Decimal
    basis: Decimal | None
    opened: int
    high: float
    stop: float = float("nan")


@dataclass(frozen=True, slots=True)
class DayMark:
    """Highest and opening equity (USD) of a UTC day; `day` is its start in UTC s."""

    day: int
    open: float
    high: float


@dataclass(frozen=True, slots=True)
class Regime:
    """The label with dwell: `trend`, `chop` or `down`, since when, and the challenger's count of slots."""

    label: str = "chop"
    since: int = 0
    challenger: str = ""
    streak: int = 0


@lean
@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A trading step that has durable intents and is not finished: resumed, never decided again.

    settled  ids of orders that are over and in the books already: their pairs are free while the others go on
    """

    slot: Slot
    as_of: int
    plan: Mapping[str, Any]
    intents: tuple[Intent, ...]
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Only what no venue can tell us. Authoritative; everything else in state.json is a view.

    trips       open circuit breakers of the account: code -> since, UTC s
    limit_only  asset -> until when (UTC s) its trades rest at a limit, as fills were far worse than modelled
    cold        when (UTC s) coins were taken over of which nothing was remembered; 0 = never, or a person resumed since
    """

    identity: Identity
    origin: int
    config_digest: str = ""
    sequence: int = 0
    records: int = 0
    watermarks: Mapping[str, int] = field(default_factory=dict)
    slots: tuple[SlotOutcome, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    trading_state: TradingState = TradingState.ACTIVE
    state_reason: str = ""
    flatten: bool = False
    cash: Decimal | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    cooldowns: Mapping[str, int] = field(default_factory=dict)
    regime: Regime = Regime()
    days: tuple[DayMark, ...] = ()
    drawdown_scale: float = 1.0
    flows: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    turnover: Decimal = Decimal(0)
    evidence: int = 0
    scored: int = 0
    loss_day: int = 0
    opinions_lost: int = 0
    quarantined: Mapping[str, str] = field(default_factory=dict)
    trips: Mapping[str, int] = field(default_factory=dict)
    limit_only: Mapping[str, int] = field(default_factory=dict)
    cold: int = 0
    open_slots: tuple[OpenSlot, ...] = ()
    audit_hash: str = ""
    outbox: Mapping[str, Any] | None = None

    def busy(self) -> tuple[str, ...]:
        """Assets with an order of an open slot that is not in the books yet: nobody else may trade or adopt them."""
        return tuple(i.order.asset for s in self.open_slots for i in s.intents if i.order.id not in s.settled)


@dataclass(frozen=True, slots=True)
class Book:
    """Holdings (the venue's truth) and Memory (ours), valued together."""

    holdings: Holdings
    memory: Memory

    def units(self, assets: tuple[str, ...]) -> Array:
        """Units held per asset, (N,); 0 = none."""
        out, (at, held) = np.zeros(len(assets)), _held(assets, self.holdings.units)
        out[at] = held
        return out

    def equity(self, assets: tuple[str, ...], price: Array) -> float:
        """Cash plus holdings at `price` (N,) in USD. Raises ValueError when a held asset has no price."""
        return self.valued(assets, price)[0]

    def weights(self, assets: tuple[str, ...], price: Array) -> Array:
        """Share of equity per asset, (N,), 0 where nothing is held."""
        return self.valued(assets, price)[1]

    def valued(self, assets: tuple[str, ...], price: Array) -> tuple[float, Array]:
        """Equity in USD and share of it per asset, (N,). Raises ValueError when a held asset has no price."""
        value = _value if price.flags.writeable else _valued
        return value(assets, price, self.holdings.units, self.holdings.cash)


def _value(assets: tuple[str, ...], price: Array, units: Mapping[str, Decimal], cash: Decimal) -> tuple[float, Array]:
    at, held = _held(assets, units)
    paid = price[at]
    equity = float(cash) + float(held @ paid)
    if not math.isfinite(equity) and not np.isfinite(paid).all():
        missing = [assets[i] for i, p in zip(at, paid, strict=True) if not np.isfinite(p)]
        raise ValueError(f"no price was ever seen for held {', '.join(missing)}: equity is unknown")
    weights = np.zeros(len(assets))
    weights[at] = held * paid / equity
    return equity, frozen(weights)


_valued = kept(_value)


@kept
def _held(assets: tuple[str, ...], units: Mapping[str, Decimal]) -> tuple[IntArray, Array]:
    """Positions of the assets that are held, ascending, and the units of each."""
    place = places(assets)
    rows = sorted([(place[a], float(quantity)) for a, quantity in units.items() if quantity and a in place])
    return np.array([i for i, _ in rows], dtype=np.int64), np.array([quantity for _, quantity in rows])


# ---------------------------------------------------------------- opinions and plans


@lean
@dataclass(frozen=True, slots=True)
class Opinion:
    """What one source thinks of every asset.

    x         (N,) unit scale, clipped to [-3, 3]; NaN = no opinion
    strength  expected 24 h return per unit of x and per unit of 24 h volatility (design section 10, b_o)
    """

    name: str
    x: Array
    health: Health
    strength: float = 0.0
    version: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Brain:
    """Fitted artifacts, loaded and verified; what is absent is said out loud.

    alpha    models in the order of their training: at each time the newest speaks that had been trained by then
    edge     measured skill of what event contracts imply
    without  why an opinion has no model, by its name
    """

    alpha: tuple[Any, ...] = ()
    policy: Any | None = None
    edge: Any | None = None
    without: Mapping[str, str] = field(default_factory=dict)


@lean
@dataclass(frozen=True, slots=True)
class View:
    """Everything of the market that one decision may see: one row of `Signals`.

    time       UTC s of the slot · as_of  close of the newest bar seen, <= time
    origin     open time of the first bar that the signals were computed from, UTC s
    since      evidence that was known before · seen  time of the newest evidence: as_of, or a later quote
    price      (N,) last believed price USD; NaN = never seen · age (N,) s since it was true
    fault      (N,) int8 verdict of market.quality, 0 = fine
    low, high  (N,) range of believed prices after `since`; NaN = nothing new
    vol        (N,) annualised · atr (N,) fraction of price · liquidity (N,) USD a day; NaN = unknown
    ready      (N,) listed long enough to be opened · regime (6,) probabilities, see signals.regime
    expected, score  (N,) what the opinions come to, see signals.blend · heard  whether any of them says something
    wanted     (N,) weights that a strategy wants, for `allocate.method: direct`; NaN = no wish
    moves      (H, N) hourly log returns of 30 days, oldest first, 0 where unknown, for the portfolio's volatility
    variance   (N,) annualised mean square of those that are known; vol^2 where none is, 0 without either
    features   (N, F) and market (G,), named · readings  of event contracts, what the edge was made of
    """

    time: int
    as_of: int
    origin: int
    since: int
    seen: int
    assets: tuple[str, ...]
    price: Array
    age: Array
    fault: NDArray[np.int8]
    low: Array
    high: Array
    vol: Array
    atr: Array
    liquidity: Array
    ready: BoolArray
    regime: Array
    opinions: tuple[Opinion, ...]
    expected: Array
    score: Array
    heard: bool
    wanted: Array
    moves: Array
    variance: Array
    feature_names: tuple[str, ...]
    features: Array
    market_names: tuple[str, ...]
    market: Array
    readings: tuple[Reading, ...] = ()


@lean
@dataclass(frozen=True, slots=True)
class Reason:
    """One rule's mark on one asset: the factor by which it changed the wanted weight."""

    asset: str
    rule: str
    factor: float


@lean
@dataclass(frozen=True, slots=True)
class Carry:
    """What a decision changes in Memory whether or not its orders fill."""

    origin: int
    evidence: int
    scored: int
    regime: Regime
    days: tuple[DayMark, ...]
    drawdown_scale: float
    loss_day: int
    opinions_lost: int
    highs: Mapping[str, float]
    cooldowns: Mapping[str, int]
    entry_atr: Mapping[str, float]


@lean
@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided in one slot. Arrays are (N,) in the order of `assets`.

    held, raw, base, target  weights as share of equity: now; allocated; allocated without opinions; after the overlay
    expected                 blended 24 h return, fraction · score  expected / 24 h volatility
    """

    slot: Slot
    as_of: int
    assets: tuple[str, ...]
    price: Array
    equity: float
    drawdown: float
    held: Array
    raw: Array
    base: Array
    target: Array
    expected: Array
    score: Array
    opinions: tuple[Opinion, ...]
    reasons: tuple[Reason, ...]
    orders: tuple[Order, ...]
    dropped: tuple[Dropped, ...]
    carry: Carry


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that came of one slot: rows per journal table, written under one sequence number."""

    sequence: int
    tables: Mapping[str, tuple[Mapping[str, Any], ...]]
