"""Three fitted classifiers and one curve: what a board shows of a short contract -> a probability of YES.

Logistic regression, random forest and gradient boosting are fitted by scikit-learn in research and walked here in
numpy, so that a desk needs no training library. Their mean is corrected by an isotonic curve of forecasts that were
made out of time; the error is that of the curve together with how far the three disagree.

The law: only what a board tells is read. The model says NaN outside of its series, its times and what it saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from evenkeel.events.board import Ladders, series_of
from evenkeel.events.calibration import Curve
from evenkeel.events.fair import Fair, Spot
from evenkeel.types import Array, IntArray

NAMES: Final = ("logit", "spread", "elapsed", "logit_elapsed")
"""What a model reads of a board, in this order: see `inputs`."""


def inputs(mid: Array, spread: Array, elapsed: Array) -> Array:
    """(M, 4) log odds of the mid, spread (USD), elapsed part of the contract's life, log odds x elapsed; NaN stays."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logit = np.where((mid > 0) & (mid < 1), np.log(mid / (1 - mid)), math.nan)
    return np.stack([logit, spread, elapsed, logit * elapsed], axis=-1)


class Member(Protocol):
    """One classifier: (M, F) inputs without NaN -> (M,) probability of YES."""

    def __call__(self, x: Array) -> Array:
        """Probabilities in the order of the rows."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """sigmoid(intercept + coef . (x - mean) / scale); mean, scale, coef (F,)."""

    mean: Array
    scale: Array
    coef: Array
    intercept: float

    def __call__(self, x: Array) -> Array:
        """(M,) probabilities."""
        return sigmoid(self.intercept + (x - self.mean) / self.scale @ self.coef)


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes of a tree, (K,), node 0 the root: float32(x[feature]) <= threshold goes left; feature < 0 is a leaf."""

    feature: IntArray
    threshold: Array
    left: IntArray
    right: IntArray
    value: Array

    def __call__(self, x: Array) -> Array:
        """(M,) value of the leaf that each row falls into."""
        at = np.zeros(len(x), dtype=np.int64)
        while (inner := self.feature[at] >= 0).any():
            rows = np.flatnonzero(inner)
            node = at[rows]
            below = x[rows, self.feature[node]].astype(np.float32) <= self.threshold[node]
            at[rows] = np.where(below, self.left[node], self.right[node])
        return self.value[at]


@dataclass(frozen=True, slots=True)
class Trees:
    """Sum of trees: `start` + `rate` x sum; as log odds (boosting), or as a probability (a forest, rate 1 / trees)."""

    trees: tuple[Tree, ...]
    start: float
    rate: float
    log_odds: bool

    def __call__(self, x: Array) -> Array:
        """(M,) probabilities."""
        total = self.start + self.rate * sum((tree(x) for tree in self.trees), np.zeros(len(x)))
        return sigmoid(total) if self.log_odds else total


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members, and the curve that their mean is read from.

    series  those that it was fitted on: any other is refused (NaN) · life_s  a contract's life, s
    """

    name: str
    series: frozenset[str]
    life_s: float
    members: tuple[Member, ...]
    curve: Curve

    def __call__(self, board: Ladders, spots: Mapping[str, Spot]) -> Fair:  # noqa: ARG002 - one signature for all models
        """NaN without a two-sided quote, for other series, before and after the contract's life."""
        known = np.array([series_of(c.ticker) in self.series for c in board.contracts], dtype=bool)
        known &= (board.left > 0) & (board.left <= self.life_s) & np.isfinite(board.mid)
        x = inputs(board.mid, board.spread, 1 - board.left / self.life_s)
        p, error = np.full((2, len(known)), np.nan)
        if known.any():
            p[known], error[known] = self.calibrated(self.each(x[known]))
        return Fair(p, error)

    def each(self, x: Array) -> Array:
        """(members, M) what each says of inputs (M, 4)."""
        return np.stack([member(x) for member in self.members])

    def calibrated(self, each: Array) -> tuple[Array, Array]:
        """(M,) probability and its standard error of what the members say, (members, M)."""
        return corrected(each, self.curve)


def corrected(each: Array, curve: Curve) -> tuple[Array, Array]:
    """The mean of the members read from the curve, and its error: the curve's, and the members' standard deviation."""
    p, error = curve.at(each.mean(axis=0))
    return p, np.hypot(error, each.std(axis=0, ddof=1))


def sigmoid(log_odds: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1 / (1 + small), small / (1 + small))


def member(said: Mapping[str, object]) -> Member:
    """A member of its JSON form. Raises KeyError, TypeError or ValueError for what is none."""
    if said["kind"] == "logistic":
        mean, scale, coef = (_row(said[name]) for name in ("mean", "scale", "coef"))
        if not len(mean) == len(scale) == len(coef) == len(NAMES) or not (scale > 0).all():
            raise ValueError(f"a logistic regression has not {len(NAMES)} coefficients")
        return Logistic(mean, scale, coef, _number(said["intercept"]))
    if said["kind"] != "trees":
        raise ValueError(f"a member of kind {said['kind']!r} is not known")
    trees = tuple(_tree(one) for one in _list(said["trees"]))
    if not trees:
        raise ValueError("a forest has no tree")
    return Trees(trees, _number(said["start"]), _number(said["rate"]), bool(said["log_odds"]))


def _tree(said: Mapping[str, object]) -> Tree:
    feature, left, right = (_row(said[name]).astype(np.int64) for name in ("feature", "left", "right"))
    threshold, value = _row(said["threshold"]), _row(said["value"])
    nodes = np.arange(len(feature))
    inner = feature >= 0
    whole = len({len(x) for x in (feature, left, right, threshold, value)}) == 1 and len(nodes) > 0
    # a child after its parent: a walk always ends
    if not whole or (feature >= len(NAMES)).any() or any(
        ((side <= nodes) | (side >= len(nodes)))[inner].any() for side in (left, right)
    ):  # fmt: skip
        raise ValueError("the nodes of a tree do not make one")
    return Tree(feature, threshold, left, right, value)


def _row(given: object) -> Array:
    row = np.array(_list(given), dtype=np.float64)
    if row.ndim != 1 or not np.isfinite(row).all():
        raise ValueError("a row of numbers has one that is none")
    return row


def _number(given: object) -> float:
    return float(_row([given])[0])


def _list(given: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(given, list):
        raise TypeError(f"{type(given).__name__} where a list is expected")
    return given
