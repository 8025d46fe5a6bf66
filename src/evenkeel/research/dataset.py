"""What is learned from: features of sampled decisions beside what the next bars then returned.

Panel -> `Dataset`. The laws: a row's features read bars <= its decision, its label only opens of later bars; an asset
counts from `min_history_days` on and until its last bar; the grid of decisions is anchored at 1970, so that it does not
depend on where the panel begins.

R_H(t) = open(t + 1 + H) / open(t + 1) - 1, simple, from the first price after the decision. Features lie as float32
(D, N, F), 63 MB for four years of hours, 46 assets and a step of 3 h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evenkeel.archive import align
from evenkeel.archive.integrity import Rows, dedupe, screen, split
from evenkeel.archive.tables import read_candles
from evenkeel.errors import DataError, NotReadyError
from evenkeel.market import features
from evenkeel.market.features import ANNUAL
from evenkeel.signals import alpha
from evenkeel.signals.rank import ranks
from evenkeel.signals.regime import RegimeSettings, probabilities
from evenkeel.types import Array, BoolArray, IntArray, Pair, Panel
from evenkeel.units import DAY_S, HOUR_S, duration

LABELS = ("rank_vol", "rank", "demeaned", "raw")
MIN_ASSETS = 3
"""Fewer assets cannot be ordered; evidence asks for more (`evidence.MIN_ASSETS`)."""


_REGIME = RegimeSettings()


@dataclass(frozen=True, slots=True)
class Dataset:
    """D decisions on a constant step, N assets, F inputs.

    time     (D,) UTC s of the deciding bar's close · step_s  s between decisions · bar_s  s
    names    F inputs, `signals.alpha.NAMES` · x (D, N, F) float32, NaN = unknown
    member   (D, N) asset counts: judged by its features and listed long enough
    returns  horizon h -> (D, N) simple returns from the next open; NaN = a price is missing
    vol      (D, N) annualised · regime (D, 6) probabilities
    """

    time: IntArray
    step_s: int
    bar_s: int
    assets: tuple[str, ...]
    names: tuple[str, ...]
    x: alpha.Matrix
    member: BoolArray
    returns: Mapping[int, Array]
    vol: Array
    regime: Array


def build(
    panel: Panel,
    *,
    horizons_h: Sequence[int] = (6, 24),
    step_h: int = 3,
    min_history_days: float = 14.0,
    benchmark: str = "BTC",
    regime: RegimeSettings = _REGIME,
) -> Dataset:
    """Sample a panel every `step_h` hours, on the hours that are multiples of it since 1970.

    Raises DataError for a universe of one, a step that is none, or a horizon longer than the data; NotReadyError where
    no asset is ever listed long enough.
    """
    if len(panel.assets) < MIN_ASSETS:
        raise DataError(f"{len(panel.assets)} assets cannot be ordered: give {MIN_ASSETS} or more")
    if step_h < 1 or step_h * HOUR_S % panel.bar_s:
        raise DataError(f"a step of {step_h} h is no multiple of {duration(panel.bar_s)} bars: give whole hours")
    span_h = (len(panel.time) - 2) * panel.bar_s / HOUR_S
    if not horizons_h or min(horizons_h) < 1 or max(horizons_h) > span_h:
        raise DataError(
            f"horizons of {', '.join(map(str, horizons_h)) or 'nothing'} h do not fit {max(0.0, span_h):.0f} h of data:"
            " give shorter ones, or more bars"
        )
    rows = np.flatnonzero(panel.time % (step_h * HOUR_S) == 0)
    wide = features.compute(panel, benchmark=benchmark)
    cut = features.Features(wide.names, wide.values[rows], wide.market_names, wide.market[rows])
    bars = np.cumsum(np.isfinite(panel.close), axis=0)[rows]
    member: BoolArray = alpha.known_of(cut) & (bars >= min_history_days * DAY_S / panel.bar_s)
    if not (member.sum(axis=1) >= MIN_ASSETS).any():
        raise NotReadyError(
            f"too little history: at no time have {MIN_ASSETS} of {len(panel.assets)} assets {min_history_days:g} days "
            f"of bars and known features; {len(panel.time) * panel.bar_s / DAY_S:.0f} days are there, load more"
        )
    return Dataset(
        time=panel.time[rows],
        step_s=step_h * HOUR_S,
        bar_s=panel.bar_s,
        assets=panel.assets,
        names=alpha.NAMES,
        x=_inputs(cut),
        member=member,
        returns={h: forward_returns(panel, h)[rows] for h in horizons_h},
        vol=cut.column("vol").copy(),
        regime=probabilities(
            cut.market_column("breadth"), cut.market_column("btc_r168"), cut.market_column("btc_vol"), regime
        ),
    )


def forward_returns(panel: Panel, horizon_h: int) -> Array:
    """(T, N) open(t + 1 + H) / open(t + 1) - 1, H hours; NaN where either open is unknown or not yet there."""
    bars = horizon_h * HOUR_S // panel.bar_s
    opened = np.where(np.isfinite(panel.open) & (panel.open > 0), panel.open, np.nan)
    out = np.full_like(opened, np.nan)
    last = len(opened) - 1 - bars
    if last > 0:
        out[:last] = opened[1 + bars :] / opened[1 : 1 + last] - 1.0
    return out


def label(data: Dataset, horizon_h: int, kind: str) -> Array:
    """(D, N) what is fitted, NaN = not trained on: no member, no return, or fewer than 3 assets at that time.

    rank_vol  rank of (R - mean R) / (vol sqrt H) · rank  rank of R · demeaned  R - mean R · raw  R
    Raises DataError for another kind.
    """
    if kind not in LABELS:
        raise DataError(f"label {kind!r} is unknown: take one of {', '.join(LABELS)}")
    known = data.member & np.isfinite(data.returns[horizon_h])
    count = known.sum(axis=1, keepdims=True)
    returns = np.where(known & (count >= MIN_ASSETS), data.returns[horizon_h], np.nan)
    if kind == "raw":
        return returns
    if kind == "rank":
        return ranks(returns)
    demeaned: Array = returns - np.nansum(returns, axis=1, keepdims=True) / np.maximum(count, 1)
    if kind == "demeaned":
        return demeaned
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = demeaned / (data.vol / ANNUAL * np.sqrt(horizon_h))
    return ranks(np.where(data.vol > 0, scaled, np.nan))


def refuse_blind(data: Dataset) -> None:
    """Raise DataError, naming it, if an input is unknown in every row that counts."""
    used = data.x[data.member]
    blind = [name for i, name in enumerate(data.names) if not np.isfinite(used[:, i]).any()]
    if blind:
        raise DataError(
            f"{', '.join(blind)} unknown in every row: the panel lacks what it is made of (volume? days?), load it"
        )


def write(data: Dataset, path: Path) -> int:
    """Write the rows that count as tidy Parquet: time (UTC s), asset, inputs, r_<H>h_next. -> rows written."""
    rows, columns = np.nonzero(data.member)
    table = {"time": pa.array(data.time[rows]), "asset": pa.array(np.array(data.assets)[columns])}
    table |= {name: pa.array(data.x[rows, columns, i]) for i, name in enumerate(data.names)}
    table |= {f"r_{h}h_next": pa.array(returns[rows, columns]) for h, returns in data.returns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return len(rows)


def read_panel(path: Path, pairs: Sequence[Pair], bar_s: int | None = None) -> Panel:
    """A stranger's candle file as a panel: known symbols by their coin and factor, others by their symbol's coin.

    bar_s  s; None takes the usual step of the file. Insane and repeated rows are dropped as at an import.
    Raises DataError for a file that cannot be used.
    """
    names, codes, rows = read_candles(path)
    bar = bar_s or _usual_step(path, codes, rows)
    good = (screen(rows, bar) == 0) & (codes >= 0)
    if not good.any():
        raise DataError(f"{path} holds no usable {duration(bar)} candle: give the bar that the file has")
    census, _ = dedupe(names, codes[good], rows[good])
    listed = {symbol: (pair.asset, factor) for pair in pairs for symbol, factor in pair.symbols.values()}
    found: dict[str, tuple[str, Rows, int]] = {}
    for symbol, part in split(census):
        asset, factor = listed.get(symbol, (_coin(symbol), 1))
        if asset not in found:
            found[asset] = (asset, part, factor)
    order = [pair.asset for pair in pairs if pair.asset in found]
    rest = sorted(set(found) - set(order))
    return align([found[asset] for asset in order + rest], bar)


def _coin(symbol: str) -> str:
    for quote in ("USDT", "USDC", "USD"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote).rstrip("-/_")
    return symbol


def _usual_step(path: Path, codes: IntArray, rows: Rows) -> int:
    order = np.lexsort((rows[:, 0], codes))
    steps = np.diff(rows[order, 0])[np.diff(codes[order]) == 0]
    steps = steps[steps > 0]
    if not len(steps):
        raise DataError(f"{path} has one candle per symbol, no bar can be told: give more candles")
    lengths, counts = np.unique(steps, return_counts=True)
    return int(lengths[np.argmax(counts)])


def _inputs(cut: features.Features) -> alpha.Matrix:
    days, assets, _ = cut.values.shape
    rows, columns = np.divmod(np.arange(days * assets), assets)
    return alpha.matrix(cut, rows, columns).reshape(days, assets, len(alpha.NAMES))
