"""What every search that cools has in common: its generator, its temperatures, its chances."""

from __future__ import annotations

from functools import cache

import numpy as np

from gridpart.engine import kernels
from gridpart.engine.kernels import Bits, Ints

__all__ = ["chances", "generator", "geometric"]


def generator(seed: Bits, turn: int) -> Bits:
    """State of the generator of one run."""
    state = seed.copy()
    state[0] ^= np.uint64((turn + 1) << 40)
    kernels.draw(state)
    return state


def geometric(start: int, stop: int, count: int, *, bend: float = 1.0) -> Ints:
    """`count` whole numbers from `start` to `stop`, each the same multiple of the one before.

    With `bend` below 1 the first steps are larger than the last. Rounded to 6 digits of the
    exponent first, so that a last bit that differs between machines cannot show.
    """
    ratio = np.linspace(0, 1, count) ** bend
    low = np.log2(max(start, 1))
    span = np.log2(max(stop, 1)) - low
    return np.round(np.exp2(np.round(low + span * ratio, 6))).astype(np.int64)


@cache
def chances() -> Ints:
    """-ln of 4096 evenly spread chances, in 1/65536; far from rounding ties on any machine."""
    size = 1 << kernels.CHANCE_BITS
    return np.rint(-np.log((np.arange(size) + 0.5) / size) * 65536).astype(np.int64)
