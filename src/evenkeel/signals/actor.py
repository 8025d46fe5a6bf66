"""The policy's network, in numpy: what a trained actor answers, alone or routed, and which moves are possible.

An action a in [-1, 1] moves a share of a slot by a; a discrete actor chooses BUY, SELL or HOLD, which are 1, -1 and 0.
The law: an answer is that of the trainer's own deterministic prediction, to 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evenkeel.types import Array, BoolArray

Inputs = NDArray[np.float32]

MOVES = np.array([1.0, -1.0, 0.0])
"""BUY, SELL and HOLD as actions."""

GENERAL = "general"
DIRECTIONS = ("trend", "chop", "down")
"""The regimes that an actor may be fine-tuned for; the general one speaks for the others."""

SATURATED = 5.0
"""A continuous actor that answers beyond this was shown what it never learned from: it is not believed."""


_ASKED = 128
"""As many rows are asked at once in service, at most: so often a bias is kept."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Layers of a perceptron with tanh between them: weight (out, in) and bias (out,), float32.

    One output is the action itself (continuous); three are the merits of BUY, SELL and HOLD (discrete).
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    _hidden: tuple[tuple[Inputs, Inputs], ...] = field(init=False, repr=False, compare=False)
    _last: tuple[Inputs, Inputs] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Weights lie as they are multiplied, and a bias stands under itself as often as it is added: quicker."""
        laid = [(np.ascontiguousarray(weight.T), bias) for weight, bias in self.layers]
        hidden = tuple((weight, np.repeat(bias[None], _ASKED, axis=0)) for weight, bias in laid[:-1])
        object.__setattr__(self, "_hidden", hidden)
        object.__setattr__(self, "_last", laid[-1])

    @property
    def discrete(self) -> bool:
        """Whether it chooses among three."""
        return len(self.layers[-1][1]) > 1

    def merits(self, seen: Inputs) -> NDArray[np.float32]:
        """(B, 1 or 3) the last layer's output. seen (B, inputs)."""
        x: Inputs = seen
        few = len(seen) <= _ASKED
        for weight, bias in self._hidden:
            x = np.dot(x, weight)
            x += bias[: len(x)] if few else bias[0]
            np.tanh(x, out=x)
        weight, bias = self._last
        x = np.dot(x, weight)
        x += bias
        return x

    def act(self, seen: Inputs, allowed: BoolArray) -> Array:
        """(B,) actions in [-1, 1]; allowed (B, 3) says which of BUY, SELL and HOLD may be chosen."""
        said = self.merits(seen)
        return _believed(said.ravel().astype(np.float64)) if said.shape[1] == 1 else _best(said, allowed)


def routed(merits: Sequence[NDArray[np.float32]], part: Array, allowed: BoolArray) -> Array:
    """(B,) one action of several actors: continuous ones are averaged, discrete ones vote with their probabilities.

    merits  (B, 1 or 3) of each · part  (len(merits),) or (len(merits), B) what each counts, summing to 1. NaN where one
    is beyond belief.
    """
    share = part.reshape(len(merits), -1, 1)
    if merits[0].shape[1] == 1:
        said = np.stack([x.astype(np.float64) for x in merits])
        action: Array = (share * _believed(said)).sum(axis=0)[:, 0]
        return action
    likely = sum(one * _likely(x, allowed) for one, x in zip(share, merits, strict=True))
    chosen: Array = MOVES[np.argmax(likely, axis=1)]
    return np.where(np.isfinite(likely).all(axis=1), chosen, np.nan)


def _believed(said: Array) -> Array:
    """Outputs cut to [-1, 1]; NaN beyond belief."""
    size = np.abs(said)
    if not np.count_nonzero(size > 1.0):
        return said
    return np.where(size < SATURATED, np.minimum(np.maximum(said, -1.0), 1.0), np.nan)


def _likely(merits: NDArray[np.float32], allowed: BoolArray) -> Array:
    """(B, 3) probabilities of BUY, SELL and HOLD."""
    x = np.where(allowed, merits, -np.inf)
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


def _best(merits: NDArray[np.float32], allowed: BoolArray) -> Array:
    """(B,) the move of the highest merit; NaN where it is not a number."""
    x = np.where(allowed, merits, -np.inf)
    highest = np.maximum(np.maximum(x[:, 0], x[:, 1]), x[:, 2])
    return np.where(np.isfinite(highest), MOVES[np.argmax(x, axis=1)], np.nan)


def permitted(share: Array, *, can_buy: BoolArray, can_sell: BoolArray) -> BoolArray:
    """(B, 3) which of BUY, SELL, HOLD are possible: nothing is sold that is not held, nothing bought without room."""
    hold = np.ones(len(share), dtype=bool)
    return np.stack([can_buy & (share < 1.0), can_sell & (share > 0.0), hold], axis=1)
