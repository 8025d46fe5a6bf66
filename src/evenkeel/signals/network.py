"""What an actor's layers do beside multiplying, compiled; what it is for stands in `signals.actor`. Loads numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenkeel.market.compiled import fused
from evenkeel.types import Array

Inputs = NDArray[np.float32]

SATURATED = 5.0
"""A continuous actor that answers beyond this was shown what it never learned from: it is not believed."""

_f = np.float32
_HALF, _FLAT, _28, _378, _3150 = _f(0.5), _f(9.0), _f(28.0), _f(378.0), _f(3150.0)
_17325, _62370, _135135 = _f(17325.0), _f(62370.0), _f(135135.0)


@fused
def bend(x: Inputs, bias: Inputs) -> None:
    """tanh(x + bias) in the place of x, to 2e-7. x (B, H), bias (H,); NaN stays.

    tanh z = 2 t / (1 + t^2) with t = tanh(z / 2) = p / q, the seventh convergent of Lambert's continued fraction
    (1768), which is wrong by 2e-8 up to 9; beyond, tanh is 1 to float32.
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
