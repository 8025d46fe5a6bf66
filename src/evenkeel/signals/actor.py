"""The policy's network: what a trained actor answers, alone or routed. Loads numba: import where it is used.

An action a in [-1, 1] moves a share of a slot by a; a discrete actor chooses BUY, SELL or HOLD, which are 1, -1 and 0.
numpy multiplies, what follows a product is compiled. The law: an answer is that of the trainer's own deterministic
prediction, to 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evenkeel.market.compiled import fused
from evenkeel.signals.actions import MOVES, Inputs
from evenkeel.types import Array, BoolArray

SATURATED = 5.0
"""A continuous actor that answers beyond this was shown what it never learned from: it is not believed."""

_f = np.float32
_HALF, _FLAT, _28, _378, _3150 = _f(0.5), _f(9.0), _f(28.0), _f(378.0), _f(3150.0)
_17325, _62370, _135135 = _f(17325.0), _f(62370.0), _f(135135.0)


@dataclass(frozen=True, slots=True)
class Actor:
    """Layers of a perceptron with tanh between them: weight (out, in) and bias (out,), float32.

    One output is the action itself (continuous); three are the merits of BUY, SELL and HOLD (discrete).
    """

    layers: tuple[tuple[Inputs, Inputs], ...]
    _hidden: tuple[tuple[Inputs, Inputs], ...] = field(init=False, repr=False, compare=False)
    _last: tuple[Inputs, Inputs] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Weights lie as they are multiplied."""
        *hidden, last = ((np.ascontiguousarray(weight.T), bias) for weight, bias in self.layers)
        object.__setattr__(self, "_hidden", tuple(hidden))
        object.__setattr__(self, "_last", last)

    @property
    def discrete(self) -> bool:
        """Whether it chooses among three."""
        return len(self._last[1]) > 1

    def merits(self, seen: Inputs) -> Inputs:
        """(B, 1 or 3) the last layer's output. seen (B, inputs)."""
        x: Inputs = seen
        for weight, bias in self._hidden:
            x = x.dot(weight)
            bend(x, bias)
        weight, bias = self._last
        x = x.dot(weight)
        x += bias
        return x

    def act(self, seen: Inputs, allowed: BoolArray) -> Array:
        """(B,) actions in [-1, 1]; allowed (B, 3) says which of BUY, SELL and HOLD may be chosen."""
        said = self.merits(seen)
        return _best(said, allowed) if self.discrete else believed(said)


def routed(merits: Sequence[Inputs], part: Array, allowed: BoolArray) -> Array:
    """(B,) one action of several actors: continuous ones are averaged, discrete ones vote with their probabilities.

    merits  (B, 1 or 3) of each · part  (len(merits),) or (len(merits), B) what each counts, summing to 1. NaN where one
    is beyond belief.
    """
    share = part.reshape(len(merits), -1)
    if merits[0].shape[1] == 1:
        action: Array = (share * [believed(x) for x in merits]).sum(axis=0)
        return action
    likely = sum(one[:, None] * _likely(x, allowed) for one, x in zip(share, merits, strict=True))
    chosen: Array = MOVES[np.argmax(likely, axis=1)]
    return np.where(np.isfinite(likely).all(axis=1), chosen, np.nan)


@fused
def bend(x: Inputs, bias: Inputs) -> None:
    """tanh(x + bias) in the place of x, to 2.5e-7. x (B, H), bias (H,); NaN stays.

    tanh z = 2 t / (1 + t^2), t = tanh(z / 2) = p / q, the seventh convergent of Lambert's continued fraction (1768):
    without rounding wrong by 2e-8 at most up to 9, where tanh is 1 but for 3e-8.
    """
    rows, width = x.shape
    for i in range(rows):
        for j in range(width):
            z = _HALF * min(max(x[i, j] + bias[j], -_FLAT), _FLAT)
            s = z * z
            p = z * (_135135 + s * (_17325 + s * (_378 + s)))
            q = _135135 + s * (_62370 + s * (_3150 + s * _28))
            x[i, j] = (p + p) * q / (p * p + q * q)


@fused
def believed(said: Inputs) -> Array:
    """(B,) answers of a continuous actor, (B, 1), cut to [-1, 1]; NaN beyond belief."""
    out = np.empty(len(said))
    for i in range(len(said)):
        size = abs(said[i, 0])
        if size <= 1.0:
            out[i] = said[i, 0]
        else:
            out[i] = np.sign(said[i, 0]) if size < SATURATED else np.nan
    return out


def _likely(merits: Inputs, allowed: BoolArray) -> Array:
    """(B, 3) probabilities of BUY, SELL and HOLD."""
    x = np.where(allowed, merits, -np.inf)
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


def _best(merits: Inputs, allowed: BoolArray) -> Array:
    """(B,) the move of the highest merit; NaN where it is not a number."""
    x = np.where(allowed, merits, -np.inf)
    highest = np.maximum(np.maximum(x[:, 0], x[:, 1]), x[:, 2])
    return np.where(np.isfinite(highest), MOVES[np.argmax(x, axis=1)], np.nan)
