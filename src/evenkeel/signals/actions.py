"""What an actor may do with a slot, which of it is possible, and for which regimes there are actors of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenkeel.types import Array, BoolArray

Inputs = NDArray[np.float32]
"""What an actor is shown, and what its layers make of it."""

MOVES = np.array([1.0, -1.0, 0.0])
"""BUY, SELL and HOLD as actions."""

GENERAL = "general"
DIRECTIONS = ("trend", "chop", "down")
"""The regimes that an actor may be fine-tuned for; the general one speaks for the others."""


def permitted(share: Array, *, can_buy: BoolArray, can_sell: BoolArray) -> BoolArray:
    """(B, 3) which of BUY, SELL, HOLD are possible: nothing is sold that is not held, nothing bought without room."""
    hold = np.ones(len(share), dtype=bool)
    return np.stack([can_buy & (share < 1.0), can_sell & (share > 0.0), hold], axis=1)
