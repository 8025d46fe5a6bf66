"""The opinions that no model backs yet, said out loud: *off* where not wanted, *missing* where wanted and absent.

Each is a room of its own (`signals/alpha`, `signals/policy`) where its model exists.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from evenkeel.types import Health, Opinion, frozen

ABSENT = {
    "alpha": "no model under models/alpha",
    "policy": "no model under models/policy",
}


@lru_cache(maxsize=64)
def absent(name: str, size: int, *, wanted: bool, why: str = "") -> Opinion:
    """An opinion of `size` assets that says nothing: x is NaN (N,), health tells why."""
    health, reason = (Health.MISSING, why or ABSENT[name]) if wanted else (Health.OFF, "switched off in config")
    return Opinion(name, frozen(np.full(size, np.nan)), health, reason=reason)
