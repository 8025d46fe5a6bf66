"""The `policy` opinion: what a trained actor would do with one asset and the cash beside it.

One table says what an actor observes; `market_part` and `own_part` make it, for one decision here and for thousands of
books in training, by the same code. `Actor` is the network, in numpy: no torch in the service.

An actor trades a *slot*: an asset's capped share of the equity, of which `share` is held and the rest is cash. Its
action a in [-1, 1] means: hold clip(share + a, 0, 1), and less than DEAD is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenkeel.market.features import FEATURES, MARKET_FEATURES
from evenkeel.types import Array, BoolArray
from evenkeel.units import HOUR_S

KIND = "policy"
DEAD = 0.1
"""An action nearer to 0 holds."""

CLIP = 5.0
"""Standardised inputs are cut here; NaN becomes 0, the mean."""

REGIMES = ("p_trend", "p_chop", "p_down", "p_low", "p_mid", "p_high")

OWN: tuple[tuple[str, str, str], ...] = (
    ("share", "share of the slot, 0 to 1", "how much of the slot is held"),
    ("cash", "share of the slot, 0 to 1", "how much of the slot is cash"),
    ("unrealised", "log return / 24 h volatility, -5 to 5", "price against the basis, 0 where nothing is held"),
    ("age", "log2(1 + days), 0 to 5", "time in position, 0 where nothing is held"),
    ("cooling", "0 or 1", "a stop fired lately: purchases wait"),
    ("budget", "log10(USD) - 4, -2 to 3", "size of the slot: what minimum notional, lots and impact depend on"),
)
"""What an actor knows of its own slot: name, unit and range, meaning."""

MARKET: tuple[str, ...] = tuple(x.name for x in FEATURES) + tuple(x.name for x in MARKET_FEATURES) + REGIMES
NAMES: tuple[str, ...] = MARKET + tuple(name for name, _, _ in OWN)
"""Everything that is observed, in this order."""

Inputs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of each market input, (len(MARKET),), taken from training rows."""

    mean: Array
    sd: Array

    def of(self, raw: Array | Inputs) -> Inputs:
        """(..., len(MARKET)) standardised, cut at CLIP; NaN is 0. Read as float32, wherever it comes from."""
        with np.errstate(invalid="ignore", over="ignore"):
            z = np.clip((raw.astype(np.float32) - self.mean) / self.sd, -CLIP, CLIP)
        return np.nan_to_num(z, nan=0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Own:
    """The slots as they stand, (B,) each.

    share  held / slot, 0 to 1 · price, basis  USD a unit, basis NaN where nothing is held · day_vol  sd of 24 h
    age_s  time in position, s · cooling  a stop fired lately · budget  USD
    """

    share: Array
    price: Array
    basis: Array
    day_vol: Array
    age_s: Array
    cooling: BoolArray
    budget: Array


def own_part(own: Own) -> Inputs:
    """(B, len(OWN)) what `OWN` says, in its order."""
    out = np.zeros((len(own.share), len(OWN)), dtype=np.float32)
    held = own.share > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.clip(np.log(own.price / own.basis) / own.day_vol, -CLIP, CLIP)
    out[:, 0] = np.clip(own.share, 0.0, 1.0)
    out[:, 1] = 1.0 - out[:, 0]
    out[:, 2] = np.where(held & np.isfinite(gain), gain, 0.0)
    out[:, 3] = np.where(held, np.clip(np.log2(1.0 + own.age_s / (24 * HOUR_S)), 0.0, CLIP), 0.0)
    out[:, 4] = own.cooling
    out[:, 5] = np.clip(np.log10(np.maximum(own.budget, 1.0)) - 4.0, -2.0, 3.0)
    return out


def market_part(features: Array, market: Array, regime: Array) -> Array:
    """(..., N, len(MARKET)) of features (..., N, F), market-wide ones (..., G) and regime probabilities (..., 6)."""
    wide = np.concatenate([market, regime], axis=-1)[..., None, :]
    shared = np.broadcast_to(wide, (*features.shape[:-1], wide.shape[-1]))
    return np.concatenate([features, shared], axis=-1)


def wanted(share: Array, action: Array) -> Array:
    """Share of the slot that is wanted, (B,) in [0, 1]; NaN = hold what is held."""
    moved = np.clip(share + action, 0.0, 1.0)
    return np.where(np.abs(action) < DEAD, np.nan, moved)


# ---------------------------------------------------------------- the network


@dataclass(frozen=True, slots=True)
class Actor:
    """Layers of a perceptron with tanh between them: weight (out, in) and bias (out,), float32.

    One output is the action itself (continuous); three are the merits of BUY, SELL and HOLD (discrete).
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    @property
    def discrete(self) -> bool:
        """Whether it chooses among three."""
        return len(self.layers[-1][1]) > 1

    def act(self, inputs: Inputs, allowed: BoolArray) -> Array:
        """(B,) actions in [-1, 1]. inputs (B, len(NAMES)), allowed (B, 3) which of BUY, SELL, HOLD may be chosen."""
        x = inputs
        for number, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if number < len(self.layers) - 1:
                x = np.tanh(x)
        if self.discrete:
            chosen: Array = MOVES[np.argmax(np.where(allowed, x, -np.inf), axis=1)]
            return chosen
        return np.clip(x[:, 0], -1.0, 1.0).astype(np.float64)


MOVES = np.array([1.0, -1.0, 0.0])
"""BUY, SELL and HOLD as actions."""


def permitted(share: Array, *, can_buy: BoolArray, can_sell: BoolArray) -> BoolArray:
    """(B, 3) which of BUY, SELL, HOLD are possible: nothing is sold that is not held, nothing bought without room."""
    hold = np.ones(len(share), dtype=bool)
    return np.stack([can_buy & (share < 1.0), can_sell & (share > 0.0), hold], axis=1)


def inputs(market: Inputs, own: Inputs) -> Inputs:
    """(B, len(NAMES)) both parts side by side."""
    return np.concatenate([market, own], axis=1)
