"""Means over a finite window as a compiled loop; what it means stands in `signals.rank`."""

from __future__ import annotations

import numpy as np

from evenkeel.market.compiled import kernel
from evenkeel.types import Array, BoolArray


@kernel
def trailing(x: Array, known: BoolArray, factor: Array) -> Array:
    """Mean of the known among the last W rows weighed by factor (W,), newest first; (R, N), NaN where not known now.

    x (R, N), 0 where not known. What a full window weighs is added up once, in the same order.
    """
    rows, size = x.shape
    out, total, run = np.empty((rows, size)), np.empty(size), np.zeros(size, np.int64)
    whole = np.zeros(len(factor) + 1)
    for j in range(len(factor)):
        whole[j + 1] = whole[j] + factor[j]
    for t in range(rows):
        depth = min(t + 1, len(factor))
        total[:] = 0.0
        for j in range(depth):
            for i in range(size):
                total[i] += x[t - j, i] * factor[j]
        for i in range(size):
            run[i] = run[i] + 1 if known[t, i] else 0
            if run[i] >= depth:
                out[t, i] = total[i] / whole[depth]
            elif run[i] == 0:
                out[t, i] = np.nan
            else:
                weight = 0.0
                for j in range(depth):
                    weight += factor[j] if known[t - j, i] else 0.0
                out[t, i] = total[i] / weight
    return out
