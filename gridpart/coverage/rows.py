"""Checks of single rows of a zone layer: has it a shape, is the shape sound, has it an id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridpart.coverage.findings import Finding
from gridpart.coverage.scene import Scene

__all__ = ["check_rows"]


def check_rows(scene: Scene) -> Iterator[Finding]:
    """Run every check of the layers, of single rows and of their ids."""
    yield from _crs(scene)
    yield from _empty_geometry(scene)
    yield from _invalid_geometry(scene)
    yield from _missing_id(scene)
    yield from _duplicate_id(scene)


def _crs(scene: Scene) -> Iterator[Finding]:
    for check, layer, message in scene.crs_remarks:
        yield Finding(check, message, (layer,))


def _empty_geometry(scene: Scene) -> Iterator[Finding]:
    raw = scene.zones.raw
    for row in np.flatnonzero(shapely.is_missing(raw) | shapely.is_empty(raw)):
        name = scene.zones.ids[row]
        yield Finding("empty_geometry", f"zone {name} has no shape", (name,))


def _invalid_geometry(scene: Scene) -> Iterator[Finding]:
    zones = scene.zones
    present = ~(shapely.is_missing(zones.raw) | shapely.is_empty(zones.raw))
    polygon = np.isin(shapely.get_type_id(zones.raw), (3, 6))
    for row in np.flatnonzero(present & ~zones.sound):
        name, shape = zones.ids[row], zones.raw[row]
        if not zones.finite[row]:
            reason, place = "a coordinate is not a number that a place on earth can have", None
        elif not polygon[row]:
            reason, place = f"it is a {shape.geom_type}, not a polygon", shape
        else:
            reason, place = _reason(shape)
        yield Finding("invalid_geometry", f"zone {name}: {reason}", (name,), place)


def _reason(shape: Any) -> tuple[str, Any]:
    """Say why a polygon is invalid and where: GEOS ends its reason with ``[x y]``."""
    text = str(shapely.is_valid_reason(shape))
    found = re.fullmatch(r"(.*)\[(\S+) (\S+)\]", text)
    if found is None:
        return text, shapely.point_on_surface(shapely.make_valid(shape))
    return found[1].lower(), shapely.Point(float(found[2]), float(found[3]))


def _missing_id(scene: Scene) -> Iterator[Finding]:
    rows = [row for row, name in enumerate(scene.zones.ids) if not name]
    for row in rows:
        yield Finding("missing_id", f"row {row} has no id", (), scene.zones.polygons[row])


def _duplicate_id(scene: Scene) -> Iterator[Finding]:
    names = pd.Series(scene.zones.ids)
    names = names[names != ""]
    for name, rows in names[names.duplicated(keep=False)].groupby(names).groups.items():
        shape = shapely.union_all(scene.zones.polygons[list(rows)])
        message = f"{len(rows)} zones carry the id {name}"
        yield Finding("duplicate_id", message, (str(name),), shape, n=len(rows) - 1)
