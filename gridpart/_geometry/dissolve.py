"""Areas united of the units that have the same label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import shapely

__all__ = ["dissolve", "runs_of"]


def runs_of(names: pd.Series) -> tuple[Any, Any, Any, Any]:
    """Sorted names, where each begins in the sorted rows, how many rows, and the sorting order."""
    codes, unique = pd.factorize(names, sort=True)
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes, minlength=len(unique))
    return np.asarray(unique, dtype=object), np.cumsum(size) - size, size, order


def dissolve(geometries: Any, first: Any, size: Any) -> Any:
    """Unite runs of geometries along their shared borders, never by a general union.

    Only where units still overlap (which a repair has reported) is the result of uniting along
    borders invalid or of another area; there, and only there, a general union is made.
    """
    shapes = np.empty(first.size, dtype=object)
    area = shapely.area(geometries)
    for number, (start, count) in enumerate(zip(first, size, strict=True)):
        own = geometries[start : start + count]
        expected = area[start : start + count].sum()
        try:
            shape = own[0] if count == 1 else shapely.coverage_union_all(own)
        except shapely.GEOSException:
            shape = None  # edges that cross: the units overlap
        if (
            shape is None
            or not shapely.is_valid(shape)
            or abs(shape.area - expected) > 1e-6 * expected
        ):
            shape = shapely.union_all(own)
        shapes[number] = shape
    return shapes
