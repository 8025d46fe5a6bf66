"""What arrays of the house are: float64, read-only, NaN = unknown, 0 = none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@lru_cache(maxsize=64)
def places(assets: tuple[str, ...]) -> Mapping[str, int]:
    """Position of each asset in the order of the arrays."""
    return {asset: i for i, asset in enumerate(assets)}


def frozen(array: Array) -> Array:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array


@lru_cache(maxsize=8)
def unknown(size: int) -> Array:
    """(size,) NaN."""
    return frozen(np.full(size, np.nan))
