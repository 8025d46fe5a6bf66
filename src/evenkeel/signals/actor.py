"""The policy's network: what a trained actor answers, alone or routed, and which moves are possible.

An action a in [-1, 1] moves a share of a slot by a; a discrete actor chooses BUY, SELL or HOLD, which are 1, -1 and 0.
numpy multiplies the wide layers, what follows a product is compiled (`signals.network`). The law: an answer is that of
the trainer's own deterministic prediction, to 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

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

CACHE_LINE = 64
"""Bytes that the processor takes from memory at once."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Layers of a perceptron, two at least, with tanh between them: weight (out, in) and bias (out,), float32.

    One output is the action itself (continuous); three are the merits of BUY, SELL and HOLD (discrete). Raises
    ValueError where layers do not follow one another, are fewer, or end in another number of outputs.
    """

    layers: tuple[tuple[Inputs, Inputs], ...]
    _first: Inputs = field(init=False, repr=False, compare=False)
    _inner: tuple[tuple[Inputs, Inputs], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Wide weights lie as they are multiplied, each beside the bias of the layer before."""
        _fit(self.layers)
        first, *inner = (aligned(weight.T) for weight, _ in self.layers[:-1])
        biases = [bias for _, bias in self.layers]
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_inner", tuple(zip(biases, inner, strict=False)))

    @property
    def inputs(self) -> int:
        """Numbers that it sees of an asset."""
        return len(self.layers[0][0].T)

    @property
    def discrete(self) -> bool:
        """Whether it chooses among three."""
        return len(self.layers[-1][1]) > 1

    def merits(self, seen: Inputs, most: float = SATURATED) -> Array:
        """(B, 1) actions in [-1, 1], or (B, 3) what is said of three moves, for seen (B, inputs).

        most  what an actor says of an action is not below this in size, or no number: NaN
        """
        network = _network()
        x: Inputs = seen.dot(self._first)
        for bias, weight in self._inner:
            network.bend(x, bias)
            x = x.dot(weight)
        said: Array = network.answer(x, self.layers[-2][1], *self.layers[-1], most)
        return said

    def act(self, seen: Inputs, allowed: BoolArray) -> Array:
        """(B,) actions in [-1, 1], NaN beyond belief; allowed (B, 3) says which of BUY, SELL and HOLD may be chosen."""
        merits = self.merits(seen)
        return _best(merits, allowed) if self.discrete else merits[:, 0]


def routed(merits: Sequence[Array], part: Array, allowed: BoolArray) -> Array:
    """(B,) one action of several actors: continuous ones are averaged, discrete ones vote with their probabilities.

    merits  of each, as `Actor.merits` gives them
    part    (len(merits),) or (len(merits), B) what each counts, summing to 1. NaN where one is beyond belief.
    """
    share = part.reshape(len(merits), -1)
    if merits[0].shape[1] == 1:
        action: Array = (share * [x[:, 0] for x in merits]).sum(axis=0)
        return action
    likely = sum(one[:, None] * _likely(x, allowed) for one, x in zip(share, merits, strict=True))
    chosen: Array = MOVES[np.argmax(likely, axis=1)]
    return np.where(np.isfinite(likely).all(axis=1), chosen, np.nan)


def _fit(layers: tuple[tuple[Inputs, Inputs], ...]) -> None:
    """Compiled loops do not look where an array ends."""
    if len(layers) < 2:
        raise ValueError(f"an actor has {len(layers)} layer, 2 are the least")
    width = len(layers[0][0].T)
    for weight, bias in layers:
        if weight.shape != (*bias.shape, width):
            raise ValueError(f"a layer of shape {weight.shape}, bias {bias.shape}, does not follow {width} inputs")
        width = len(bias)
    if width not in (1, len(MOVES)):
        raise ValueError(f"an actor has {width} outputs, 1 or {len(MOVES)} are known")


def aligned(weight: Inputs) -> Inputs:
    """A copy from the start of a cache line on: numpy begins anywhere, and products take an eighth longer there."""
    room: Inputs = np.empty(weight.size + CACHE_LINE // weight.itemsize, dtype=weight.dtype)
    start = -room.ctypes.data % CACHE_LINE // weight.itemsize
    made = room[start : start + weight.size].reshape(weight.shape)
    made[...] = weight
    return made


@cache
def _network() -> ModuleType:
    """Loaded with the first answer: numba takes half a second, and who only trains or names things needs none."""
    from evenkeel.signals import network  # noqa: PLC0415

    return network


def _likely(merits: Array, allowed: BoolArray) -> Array:
    """(B, 3) probabilities of BUY, SELL and HOLD."""
    x = np.where(allowed, merits, -np.inf)
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True))
    shares: Array = e / e.sum(axis=1, keepdims=True)
    return shares


def _best(merits: Array, allowed: BoolArray) -> Array:
    """(B,) the move of the highest merit; NaN where it is not a number."""
    x = np.where(allowed, merits, -np.inf)
    highest = np.maximum(np.maximum(x[:, 0], x[:, 1]), x[:, 2])
    return np.where(np.isfinite(highest), MOVES[np.argmax(x, axis=1)], np.nan)


def permitted(share: Array, *, can_buy: BoolArray, can_sell: BoolArray) -> BoolArray:
    """(B, 3) which of BUY, SELL, HOLD are possible: nothing is sold that is not held, nothing bought without room."""
    hold = np.ones(len(share), dtype=bool)
    return np.stack([can_buy & (share < 1.0), can_sell & (share > 0.0), hold], axis=1)
