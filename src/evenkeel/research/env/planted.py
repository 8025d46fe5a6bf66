"""A made-up market in which one input tells a little of the next bars: what a learner must find, and beat noise by.

The input is an AR(1) process of unit variance for each asset; the next bar's log return is strength x input + the rest
noise, in units of the bar's volatility, so that `strength` is their correlation and 0 is pure noise. Markets are deep,
nothing is frozen and no stop fires; costs, lots and least orders are the usual ones. All other inputs are noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenkeel.portfolio.costs import CostSettings
from evenkeel.portfolio.orders import OrderSettings
from evenkeel.portfolio.overlay import OverlaySettings
from evenkeel.research.env.slots import SlotRules
from evenkeel.research.env.tape import Tape
from evenkeel.signals.policy import MARKET
from evenkeel.types import Array
from evenkeel.units import DAY_S, HOUR_S

START = 1_704_067_200
"""2024-01-01T00:00:00Z."""
INPUT = 0
"""Position of the input that tells something."""
_FIRST_REGIME = MARKET.index("p_trend")


@dataclass(frozen=True, slots=True)
class Plant:
    """What is planted.

    strength  correlation of the input with the next bar's log return, 0 = pure noise
    memory  AR(1) coefficient of the input, a bar · vol  sd of a bar's log return
    """

    strength: float = 0.2
    seed: int = 0
    assets: int = 8
    bars: int = 4_500
    bar_s: int = 3_600
    memory: float = 0.95
    vol: float = 0.01


def tape(plant: Plant) -> Tape:
    """The market, (T, N) = (bars, assets)."""
    rng = np.random.default_rng(plant.seed)
    shape = (plant.bars, plant.assets)
    told = _remembering(rng.standard_normal(shape), plant.memory)
    moves = plant.strength * told + np.sqrt(1.0 - plant.strength**2) * rng.standard_normal(shape)
    price = 100.0 * np.exp(np.cumsum(np.vstack([np.zeros(plant.assets), plant.vol * moves[:-1]]), axis=0))
    raw = rng.standard_normal((*shape, len(MARKET))).astype(np.float32)
    raw[:, :, INPUT] = told
    raw[:, :, _FIRST_REGIME:] = _regimes(rng, plant)[:, None, :]
    opens = price.copy()
    opens[-1] = np.nan
    always, never = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    return Tape(
        time=START + plant.bar_s * np.arange(1, plant.bars + 1),
        bar_s=plant.bar_s,
        assets=tuple(f"A{i}" for i in range(plant.assets)),
        price=price,
        low=price,
        high=price,
        opens=opens,
        volume=np.full(shape, 1e10),
        liquidity=np.full(shape, 1e10),
        day_vol=np.full(shape, plant.vol * np.sqrt(DAY_S / plant.bar_s)),
        atr=np.full(shape, plant.vol),
        ready=always,
        frozen=never,
        trading=np.ones(plant.bars, dtype=bool),
        raw=raw,
    )


def rules(plant: Plant) -> SlotRules:
    """What a book obeys there: the usual costs and least orders, no stops, no limit of liquidity."""
    return SlotRules(
        cap=0.97,
        overlay=OverlaySettings(exits=False, participation=1.0),
        orders=OrderSettings(),
        costs=CostSettings(),
        rebalance_s=6 * HOUR_S,
        tier=np.ones(plant.assets, dtype=np.int64),
        price_scale=np.full(plant.assets, 1e4),
        lot_scale=np.full(plant.assets, 1e4),
        min_notional=np.ones(plant.assets),
    )


def _remembering(noise: Array, memory: float) -> Array:
    """AR(1) of unit variance out of unit noise (T, N)."""
    out = noise.copy()
    fresh = np.sqrt(1.0 - memory**2)
    for t in range(1, len(out)):
        out[t] = memory * out[t - 1] + fresh * noise[t]
    return out


def _regimes(rng: np.random.Generator, plant: Plant) -> Array:
    """(T, 6) probabilities of two triples that wander slowly."""
    logits = 1.5 * _remembering(rng.standard_normal((plant.bars, 6)), 0.99)
    e = np.exp(logits).reshape(plant.bars, 2, 3)
    likely: Array = (e / e.sum(axis=2, keepdims=True)).reshape(plant.bars, 6)
    return likely
