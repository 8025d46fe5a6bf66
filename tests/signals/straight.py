"""Actors that say a line of what they see: the one hidden number is so small that its tanh is itself."""

import numpy as np

from evenkeel.signals.actor import Actor
from evenkeel.signals.policy import NAMES

SMALL = np.float32(2.0**-12)


def line(bias=0.0, **weight):
    """An actor that answers bias + the sum of weight x input, by the inputs' names."""
    inner = np.array([[weight.pop(name, 0.0) for name in NAMES]], dtype=np.float32)
    assert not weight, weight
    outer = np.ones((1, 1), dtype=np.float32)
    return Actor(((SMALL * inner, np.zeros(1, dtype=np.float32)), (outer / SMALL, np.array([bias], dtype=np.float32))))
