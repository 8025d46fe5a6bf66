"""Kernels where nothing can be written are compiled anew, and say the same."""

import numpy as np
import pytest
from numba.core import caching

from evenkeel.market.compiled import kernel, relaxed


def total(x):
    """A sum in the written order."""
    said = 0.0
    for value in x:
        said += value
    return said


@pytest.mark.parametrize("how", [kernel, relaxed])
def test_without_a_folder_for_machine_code_a_kernel_works(how, monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert how(total)(np.array([1e16, 1.0, 1.0])) == total([1e16, 1.0, 1.0])
