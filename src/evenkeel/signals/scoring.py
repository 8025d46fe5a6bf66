"""Which leaves does a row reach? The tables of `forest` and the compiled loops over them. Importing loads numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenkeel.market.compiled import kernel
from evenkeel.types import Array, BoolArray, IntArray

Column = NDArray[np.float32]
Rows = NDArray[np.int32]
"""Rows of `Tables.masks`."""

BLOCK = 32
"""Rows whose codes and masks stay in the nearest cache."""


class Tables(NamedTuple):
    """F features, W trees. Feature f has n codes for values, one more than thresholds, and then one for NaN.

    thresholds  float32, of each feature in turn, ascending; a value's code is how many of its feature's lie below it
    starts      (F + 1,) where each feature's begin
    masks       (C, W) uint32 or uint64: bit l says that leaf l of the tree, from the left, can be reached; row
                starts[f] + 2 f + code of feature f
    every       (W,) all leaves of each tree
    values      (W, 32 or 64) what a leaf adds, at the place that `multiplier` and `shift` give its bit
    ends        (H,) how many trees there are up to and with each horizon
    multiplier, shift  a de Bruijn sequence: (bit x multiplier) >> shift differs for every single bit
    """

    thresholds: NDArray[np.float32]
    starts: IntArray
    masks: NDArray[Any]
    every: NDArray[Any]
    values: Array
    ends: IntArray
    multiplier: Any
    shift: Any


@kernel
def score(values: Array, market: Array, known: BoolArray, tables: Tables, first: int, stop: int, out: Array) -> None:
    """Write `out` (H, R, N) where `known` (R, N), rows first..stop; values (R, N, F'), market (R, F - F')."""
    own = values.shape[2]
    rows = np.empty((BLOCK, own), np.int32)
    shared_rows = np.empty((BLOCK, market.shape[1]), np.int32)
    shared = np.empty((BLOCK, len(tables.every)), tables.masks.dtype)
    left = np.zeros((BLOCK, len(tables.every)), tables.masks.dtype)
    for begin in range(first, stop, BLOCK):
        end = min(begin + BLOCK, stop)
        find(market[begin:end], own, tables, shared_rows)
        for t in range(end - begin):
            shared[t] = tables.every
            narrow(tables.masks, shared_rows[t], shared[t])
        for n in range(values.shape[1]):
            if known[begin:end, n].any():
                find(values[begin:end, n], 0, tables, rows)
                for t in range(end - begin):
                    left[t] = shared[t]
                    narrow(tables.masks, rows[t], left[t])
                    place(left[t], tables)
                add(left, tables, known[begin:end, n], out[:, begin:end, n])


@kernel
def find(values: Array, first: int, tables: Tables, rows: Rows) -> None:
    """Find the rows (m, F') of `masks` for values (m, F'), whose columns are the features from `first` on."""
    column = np.empty(len(values), np.float32)
    found = np.empty(len(values), np.int32)
    for i in range(values.shape[1]):
        f = first + i
        for t in range(len(values)):
            column[t] = np.float32(values[t, i])
        found[:] = tables.starts[f] + 2 * f
        count(column, tables.thresholds[tables.starts[f] : tables.starts[f + 1]], found)
        for t in range(len(values)):
            unknown = column[t] != column[t]
            rows[t, i] = tables.starts[f + 1] + 2 * f + 1 if unknown else found[t]


@kernel
def count(values: Column, thresholds: Column, into: Rows) -> None:
    """Add to `into` (m,) how many thresholds, ascending, lie below each value (m,).

    Neighbours in time are alike: only thresholds between the smallest and the largest are compared with all.
    """
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for value in values:
        low, high = min(low, value), max(high, value)
    k = 0
    while k < len(thresholds) and thresholds[k] < low:
        k += 1
    into += np.int32(k)
    while k < len(thresholds) and thresholds[k] < high:
        for t in range(len(values)):
            into[t] += np.int32(thresholds[k] < values[t])
        k += 1


@kernel
def narrow(masks: NDArray[Any], rows: Rows, left: NDArray[Any]) -> None:
    """Leave in `left` (W,) what all these rows of `masks` leave; four at a time, for fewer writes."""
    i = 0
    while i + 4 <= len(rows):
        a, b, c, d = masks[rows[i]], masks[rows[i + 1]], masks[rows[i + 2]], masks[rows[i + 3]]
        for k in range(len(left)):
            left[k] &= a[k] & b[k] & c[k] & d[k]
        i += 4
    while i < len(rows):
        a = masks[rows[i]]
        for k in range(len(left)):
            left[k] &= a[k]
        i += 1


@kernel
def place(left: NDArray[Any], tables: Tables) -> None:
    """Make of each bit that is left, (W,), where its leaf's value stands."""
    for k in range(len(left)):
        left[k] *= tables.multiplier
        left[k] >>= tables.shift


@kernel
def trust(
    values: Array, market: Array, hull: Array, near: float, far: float, first: int, stop: int, out: Array
) -> None:
    """Write `out` (R, N), rows first..stop: 1 where the farthest input lies up to `near` outside of its range, from
    `far` on 0, between them in proportion.

    hull  (F, 2) the ranges, in whose widths is measured; an unknown input lies nowhere
    """
    own = values.shape[2]
    for t in range(first, stop):
        shared = 0.0
        for i in range(market.shape[1]):
            shared = max(shared, outside(market[t, i], hull[own + i, 0], hull[own + i, 1]))
        for n in range(values.shape[1]):
            farthest = shared
            for f in range(own):
                farthest = max(farthest, outside(values[t, n, f], hull[f, 0], hull[f, 1]))
            out[t, n] = min(max((far - farthest) / (far - near), 0.0), 1.0)


@kernel
def outside(value: float, low: float, high: float) -> float:
    """How far a value lies outside of low..high, in widths of that; 0 inside, and where it is NaN."""
    if value < low:
        return (low - value) / (high - low)
    if value > high:
        return (value - high) / (high - low)
    return 0.0


@kernel
def add(places: NDArray[Any], tables: Tables, known: BoolArray, out: Array) -> None:
    """Write the sums (H, m) of the leaves at these places, (BLOCK, W), in the order of the trees."""
    total = np.empty(BLOCK)
    k = 0
    for h in range(len(tables.ends)):
        total[:] = 0.0
        while k < tables.ends[h]:
            for t in range(len(known)):
                total[t] += tables.values[k, places[t, k]]
            k += 1
        for t in range(len(known)):
            if known[t]:
                out[h, t] = total[t]
