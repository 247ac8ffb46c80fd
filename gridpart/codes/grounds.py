"""What a code stands for: its households, its area, and its ground as WKB with its CRS."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import shapely

from gridpart.errors import CRSError, Problem

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Ground", "Grounded", "check_ground", "check_grounds_crs", "crs_text", "in_metres"]

POLYGONAL = ("Polygon", "MultiPolygon")


class Grounded(Protocol):
    """What has a ground, or part of what makes one."""

    @property
    def households(self) -> int | None:
        """Number of households."""

    @property
    def area_m2(self) -> float | None:
        """Square metres."""

    @property
    def shape(self) -> BaseGeometry | None:
        """Polygons."""


@dataclass(frozen=True)
class Ground:
    """Households, area and ground as the register keeps them."""

    households: int | None = None
    area_m2: float | None = None
    wkb: bytes | None = None
    crs: str | None = None

    @classmethod
    def of(cls, grid: Grounded, crs: str | None, before: Ground | None = None) -> Ground:
        """Ground of a grid whose shape is in a CRS; what it leaves out is as it was before."""
        made = replace(before) if before is not None else cls()
        if grid.shape is not None:
            wkb = shapely.to_wkb(shapely.force_2d(grid.shape))
            measured = float(grid.shape.area) if crs is not None and in_metres(crs) else None
            made = replace(made, wkb=wkb, crs=crs, area_m2=measured)
        if grid.area_m2 is not None:
            made = replace(made, area_m2=float(grid.area_m2))
        if grid.households is not None:
            made = replace(made, households=int(grid.households))
        return made

    @classmethod
    def from_row(cls, row: Any) -> Ground:
        """Ground of a row of the register."""
        wkb = None if row.wkb is None else bytes(row.wkb)
        return cls(row.households, row.area_m2, wkb, row.crs)

    @property
    def shape(self) -> BaseGeometry | None:
        """Polygons, in the ground's CRS."""
        return None if self.wkb is None else shapely.from_wkb(self.wkb)

    def as_row(self) -> dict[str, Any]:
        """Columns of the register, the bounding box among them."""
        names = ("min_x", "min_y", "max_x", "max_y")
        bounds = [None] * 4 if self.shape is None else list(self.shape.bounds)
        return {
            "households": self.households, "area_m2": self.area_m2, "wkb": self.wkb,
            "crs": self.crs, **dict(zip(names, bounds, strict=True)),
        }  # fmt: skip


def check_ground(grid: Grounded) -> Iterator[str]:
    """Say what is wrong with the households, the area and the shape of a grid."""
    households, area, shape = grid.households, grid.area_m2, grid.shape
    if households is not None and not (_whole(households) and households >= 0):
        yield f"households must be a whole number from 0 up, got {households!r}"
    if area is not None and not (_number(area) and area >= 0):
        yield f"area_m2 must be a number from 0 up, got {area!r}"
    if shape is None:
        return
    if not isinstance(shape, shapely.Geometry) or shape.geom_type not in POLYGONAL:
        yield f"its shape is no polygon but {getattr(shape, 'geom_type', type(shape).__name__)}"
    elif shape.is_empty:
        yield "its shape is empty"
    elif not shape.is_valid:
        yield f"its shape is not valid: {shapely.is_valid_reason(shape)}"


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return (_whole(value) or isinstance(value, float | np.floating)) and math.isfinite(value)


def check_grounds_crs(grids: Iterable[Grounded], crs: str | None) -> Problem | None:
    """Say that shapes are given without the CRS they are in."""
    if crs is None and any(grid.shape is not None for grid in grids):
        return Problem("missing_crs", "shapes need their CRS; give crs='EPSG:4547' or the like")
    return None


def crs_text(crs: Any) -> str | None:
    """A CRS as text: its name in a list such as EPSG's, else WKT.

    Raises
    ------
    CRSError
        If it is none.
    """
    import pyproj

    if crs is None:
        return None
    try:
        known = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise CRSError(f"{crs!r} is no CRS; say EPSG:4547, for instance") from error
    authority = known.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(known.to_wkt())


@lru_cache(maxsize=64)
def in_metres(crs: str) -> bool:
    """Whether areas in a CRS are square metres."""
    import pyproj

    known = pyproj.CRS.from_user_input(crs)
    return bool(known.is_projected and known.axis_info[0].unit_conversion_factor == 1)
