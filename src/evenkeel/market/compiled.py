"""Numba as this house uses it. Whoever imports this module loads it (half a second, 60 MB): import where it is used.

No parallel reductions, and no fast maths but in `relaxed`: a kernel adds in the order in which it is written, so its
result has the same bits in every process and thread. The machine code is kept beside the source; where no folder can be
written each process compiles anew. Kernels that call one another live in one file: the kept code of a caller does not
notice that another file has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, cast

from numba import njit

THREADS = 2
"""Fixed, though no bit depends on it."""

Kernel = TypeVar("Kernel", bound=Callable[..., object])
Part = TypeVar("Part")
One = TypeVar("One")
Other = TypeVar("Other")


def kernel(function: Kernel) -> Kernel:
    """A function of arrays and numbers as machine code; runs without the interpreter's lock; 1 / 0 is infinite."""
    return _compiled(function)


def relaxed(function: Kernel) -> Kernel:
    """As `kernel`, but its last bits are the processor's affair: it may add in another order, and round a product and
    the sum after it once.
    """
    return _compiled(function, "contract", "reassoc")


def _compiled(function: Kernel, *freedoms: str) -> Kernel:
    compiled = partial(njit, nogil=True, error_model="numpy", fastmath=set(freedoms))
    try:
        made: object = compiled(cache=True)(function)
    except RuntimeError:  # no folder for the machine code can be written
        made = compiled()(function)
    return cast(Kernel, made)


def together(first: Callable[[], One], second: Callable[[], Other]) -> tuple[One, Other]:
    """What two functions give that run beside each other; raises what one of them raises."""
    with ThreadPoolExecutor(THREADS) as threads:
        one, other = threads.submit(first), threads.submit(second)
        return one.result(), other.result()


def each(work: Callable[[Part], object], parts: Iterable[Part]) -> None:
    """Do all parts, THREADS at a time; raises what a part raises."""
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(work, parts):
            pass
