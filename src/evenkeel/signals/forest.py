"""Trees of all horizons as tables: which leaves does a value leave possible? Trees in, raw forecasts of rows out.

After QuickScorer (Lucchese et al., SIGIR 2015): not tree by tree but feature by feature. All thresholds of a feature,
of all trees, cut its values into codes; for each code a table says, tree by tree, which leaves can still be reached.
What all features of a row leave is one leaf of each tree. `scoring` holds the tables and the loops over them.

The law: the bits are those of LightGBM's `Booster.predict` on float32, a sum in float64, tree after tree; those of a
row depend on its own values alone. Importing this loads numba.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenkeel.market import compiled
from evenkeel.signals import scoring
from evenkeel.signals.scoring import Column, Tables
from evenkeel.signals.trees import Tree
from evenkeel.types import Array, BoolArray, IntArray

TINY = np.float32(1e-35)
"""LightGBM reads a value no larger than this as 0 (`kZeroThreshold`)."""

ROWS_AT_ONCE = 1024
"""What a thread takes at a time, at most."""

NEAR, FAR = 0.25, 1.0
"""Widths of what was learned, outside of it: up to NEAR a forecast is believed in full, from FAR on not at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Models of one or more horizons, h, that are asked together.

    hull  (F, 2) smallest and largest value of each input that all of them were fitted on; infinite = of no account
    """

    horizons: tuple[int, ...]
    tables: Tables
    hull: Array

    def score(self, values: Array, market: Array, known: BoolArray) -> dict[int, Array]:
        """Raw forecast of every horizon, (R, N); NaN where not `known` (R, N).

        values  (R, N, F') inputs of each row and asset, NaN = unknown · market (R, F - F') the others, of every asset
        Raises ValueError for inputs of another shape.
        """
        if values.shape[2] + market.shape[1] != len(self.tables.starts) - 1 or known.shape != values.shape[:2]:
            raise ValueError(f"inputs {values.shape}, {market.shape}, {known.shape} are not those of the trees")
        out = np.full((len(self.horizons), *known.shape), np.nan)
        own, common, judged = (_read_only(x) for x in (values, market, known))
        _in_parts(len(known), lambda first, stop: scoring.score(own, common, judged, self.tables, first, stop, out))
        return dict(zip(self.horizons, out, strict=True))

    def trust(self, values: Array, market: Array) -> Array:
        """(R, N) in [0, 1]: 1 where every input is like what was learned, less the farther one lies outside, at last 0.

        Shapes as in `score`; an unknown input changes nothing. Outside of what it learned a tree only repeats its
        outermost leaf: a little outside, where a larger sample would have reached too, that is right.
        """
        out = np.empty(values.shape[:2])
        own, common, hull = (_read_only(x) for x in (values, market, self.hull))
        _in_parts(len(out), lambda first, stop: scoring.trust(own, common, hull, NEAR, FAR, first, stop, out))
        return out


def _in_parts(rows: int, work: Callable[[int, int], None]) -> None:
    step = max(1, min(ROWS_AT_ONCE, -(-rows // compiled.THREADS)))
    compiled.each(lambda first: work(first, min(first + step, rows)), range(0, rows, step))


def forest(models: Mapping[int, Sequence[Tree]], hull: Array) -> Forest:
    """The tables of every horizon's trees over F inputs, and the (F, 2) range of these that was learned from."""
    trees, features = [tree for model in models.values() for tree in model], len(hull)
    thresholds = [_thresholds(trees, f) for f in range(features)]
    starts = np.cumsum([0, *(len(one) for one in thresholds)])
    word = WORDS[max(len(tree.value) for tree in trees) > WORDS[0].bits]
    masks = np.full((starts[-1] + 2 * features, len(trees)), word.all, dtype=word.type)
    every = np.zeros(len(trees), dtype=word.type)
    values = np.zeros((len(trees), word.bits))
    for k, tree in enumerate(trees):
        leaves = _leaves(tree)
        every[k] = (1 << len(leaves.order)) - 1
        values[k, [word.place(bit) for bit in range(len(leaves.order))]] = tree.value[leaves.order]
        _narrow(masks[:, k], tree, leaves, thresholds, starts)
    tables = Tables(
        thresholds=np.concatenate(thresholds),
        starts=starts,
        masks=masks,
        every=every,
        values=values,
        ends=np.cumsum([len(model) for model in models.values()]),
        multiplier=word.type(word.multiplier),
        shift=word.type(word.shift),
    )
    return Forest(tuple(models), tables, hull)


class _Word(NamedTuple):
    """An unsigned integer with a bit for each leaf, and a de Bruijn sequence of as many bits."""

    type: Any
    bits: int
    multiplier: int
    shift: int

    @property
    def all(self) -> int:
        """All bits."""
        return (1 << self.bits) - 1

    def place(self, bit: int) -> int:
        """Where the loops look for the value of a leaf."""
        return (self.multiplier << bit & self.all) >> self.shift


WORDS = (_Word(np.uint32, 32, 0x077CB531, 27), _Word(np.uint64, 64, 0x03F79D71B4CB0A89, 58))


class _Leaves(NamedTuple):
    """Leaves from left to right, and of each node the bits of those under its left and right child."""

    order: list[int]
    left: list[int]
    right: list[int]


def _leaves(tree: Tree) -> _Leaves:
    out = _Leaves([], [0] * len(tree.left), [0] * len(tree.right))

    def under(child: int) -> int:
        if child < 0:
            out.order.append(~child)
            return 1 << (len(out.order) - 1)
        out.left[child], out.right[child] = under(int(tree.left[child])), under(int(tree.right[child]))
        return out.left[child] | out.right[child]

    under(0 if len(tree.left) else ~0)
    return out


def _narrow(masks: NDArray[Any], tree: Tree, leaves: _Leaves, thresholds: Sequence[Column], starts: IntArray) -> None:
    """Take from one tree's masks (C,) what each code of each split rules out."""
    for node, f in enumerate(tree.feature):
        first, unknown = starts[f] + 2 * f, starts[f + 1] + 2 * f + 1
        above = first + 1 + np.searchsorted(thresholds[f], as_seen(tree.threshold[node]))
        goes_left, goes_right = ~masks.dtype.type(leaves.right[node]), ~masks.dtype.type(leaves.left[node])
        masks[first:above] &= goes_left
        masks[above:unknown] &= goes_right
        masks[unknown] &= goes_left if tree.nan_left[node] else goes_right


def _thresholds(trees: Sequence[Tree], f: int) -> Column:
    found = {as_seen(one) for tree in trees for one in tree.threshold[tree.feature == f].tolist()}
    return np.array(sorted(found), dtype=np.float32)


def as_seen(threshold: float) -> np.float32:
    """The largest float32 on the left of a threshold: float32 values fall to the same side of both.

    Values that LightGBM reads as 0 all lie where 0 lies.
    """
    with np.errstate(over="ignore"):
        seen = np.float32(threshold)
    if float(seen) > threshold:
        seen = np.nextafter(seen, np.float32(-np.inf))
    if -TINY <= seen < 0.0:
        seen = np.nextafter(-TINY, np.float32(-np.inf))
    return TINY if 0.0 <= seen < TINY else seen


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """One kind of array for the kernel, which is compiled anew for each."""
    view = array.view()
    view.flags.writeable = False
    return view
