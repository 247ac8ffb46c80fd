"""Orders that follow geometry, never row numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["along_curve", "in_rows"]

Ints = npt.NDArray[np.int64]


def in_rows(x: npt.ArrayLike, y: npt.ArrayLike, areas: npt.ArrayLike) -> Ints:
    """Order places in rows, the northernmost row first, west to east inside a row.

    City-management standards (Beijing, Xi'an) number grids "west to east, then north to south".
    On continuous coordinates north would never matter, so it is read as rows of the height of a
    mean grid, ``sqrt(mean area)``, counted from the northernmost place.

    Parameters
    ----------
    x, y : array-like of float, shape (n,)
        Positions in metres, y to the north.
    areas : array-like of float, shape (n,)
        Areas in square metres.

    Returns
    -------
    ndarray of int64, shape (n,)
        Positions of the places in that order.

    Examples
    --------
    >>> in_rows([0, 10, 0, 10], [10, 10, 0, 0], [100] * 4)
    array([0, 1, 2, 3])
    """
    x_mm = np.rint(np.asarray(x, float) * 1000).astype(np.int64)
    y_mm = np.rint(np.asarray(y, float) * 1000).astype(np.int64)
    if not x_mm.size:
        return np.zeros(0, np.int64)
    height = max(round(float(np.sqrt(np.asarray(areas, float).mean())) * 1000), 1)
    row = (y_mm.max() - y_mm) // height
    return np.lexsort((-y_mm, x_mm, row)).astype(np.int64)


def along_curve(x: Ints, y: Ints, *ties: Ints) -> Ints:
    """Order places along a Z-order curve, so that neighbours in space are near in memory.

    Parameters
    ----------
    x, y : ndarray of int64, shape (n,)
        Positions in millimetres from the south-west corner, none negative.
    *ties : ndarray of int64, shape (n,)
        What decides between places at the same position.

    Returns
    -------
    ndarray of int64, shape (n,)
        Positions of the places in that order.
    """
    if not x.size:
        return np.zeros(0, np.int64)
    # 32 bits a side: 4,000 km in millimetres
    curve = _spread(x.astype(np.uint64)) | (_spread(y.astype(np.uint64)) << np.uint64(1))
    return np.lexsort((*ties[::-1], y, x, curve)).astype(np.int64)


def _spread(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Put a zero bit between the low 32 bits of every value (Morton, 1966)."""
    value = value & np.uint64(0xFFFFFFFF)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value
